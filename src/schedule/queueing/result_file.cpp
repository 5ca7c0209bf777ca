#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "base/limits.h"
#include "schedule/queueing/queueing.h"
#include "schedule/result_file.h"

namespace tideline::schedule {

std::string write_queueing(const QueueingSchedule& schedule) {
  const std::uint32_t admitted = schedule.admitted();
  std::string text = fmt::format(
      "{{\"policy\": {}, \"model\": \"queueing\", \"arrivals\": \"{}\", \"late_share\": {}, \"cloud_gflop_s\": {}, "
      "\"admitted\": {}, \"deployed\": {}, \"in_cloud\": {}, \"refused\": {}, \"tasks\": [",
      nlohmann::json(schedule.policy).dump(), to_string(schedule.options.arrivals), schedule.options.late_share,
      schedule.options.cloud_gflop_s, admitted, schedule.deployed(), admitted - schedule.deployed(),
      schedule.grants.size() - admitted);
  const char* comma = "";
  for (const Grant& grant : schedule.grants) {
    if (grant.admitted)
      text += fmt::format("{}{{\"admitted\": true, \"layers\": {}, \"mbit_s_per_mb\": {}, \"gflop_s_per_mb\": {}}}", comma,
                          grant.layers, grant.mbit_s_per_mb, grant.gflop_s_per_mb);
    else
      text += fmt::format("{}{{\"admitted\": false}}", comma);
    comma = ", ";
  }
  if (schedule.multipliers.bandwidth.empty())
    text += "], \"upper_bound\": null, \"multipliers\": null";
  else
    text +=
        fmt::format("], \"upper_bound\": {}, \"multipliers\": {}", schedule.upper_bound, write_multipliers(schedule.multipliers));
  if (!schedule.curve.empty()) text += fmt::format(", \"curve\": [{}]", fmt::join(schedule.curve, ", "));
  return text + ", \"checked\": true}\n";
}

namespace {

Result<Grant> parse_queueing_grant(const nlohmann::json& json, std::string_view name, std::size_t index) {
  JsonMap map(json, std::string(name), fmt::format("tasks[{}]", index));
  Grant grant;
  TIDELINE_TRY(grant.admitted, map.boolean_or("admitted", false));
  if (grant.admitted) {
    TIDELINE_TRY(const std::int64_t layers, map.integer("layers", 0, static_cast<std::int64_t>(limits::kInstanceLayersMax)));
    grant.layers = static_cast<std::uint32_t>(layers);
    TIDELINE_TRY(grant.mbit_s_per_mb, map.number("mbit_s_per_mb", {.min = 0}));
    TIDELINE_TRY(grant.gflop_s_per_mb, map.number("gflop_s_per_mb", {.min = 0}));
  }
  TIDELINE_CHECK_OK(map.finish());
  return grant;
}

Result<QueueingOptions> parse_options(JsonMap& map) {
  QueueingOptions options;
  TIDELINE_TRY(const std::string model, map.text("model"));
  if (model != "queueing") return map.error("model", "expected \"queueing\"");
  TIDELINE_TRY(const std::string arrivals, map.text("arrivals"));
  if (arrivals != "poisson" && arrivals != "periodic") return map.error("arrivals", "expected \"poisson\" or \"periodic\"");
  options.arrivals = arrivals == "periodic" ? RequestArrivals::kPeriodic : RequestArrivals::kPoisson;
  TIDELINE_TRY(options.late_share, map.number("late_share", {.min = 1e-6, .max = 0.5}));
  TIDELINE_TRY(options.cloud_gflop_s, map.number("cloud_gflop_s", {.min = 0, .min_is_excluded = true}));
  return options;
}

}  // namespace

Result<QueueingSchedule> parse_queueing(std::string_view json, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  QueueingSchedule schedule;
  const auto count_max = static_cast<std::int64_t>(limits::kInstanceTasksMax);
  TIDELINE_TRY(schedule.policy, map.text("policy"));
  TIDELINE_TRY(schedule.options, parse_options(map));
  TIDELINE_TRY(const std::int64_t admitted, map.integer("admitted", 0, count_max));
  TIDELINE_TRY(const std::int64_t deployed, map.integer("deployed", 0, count_max));
  TIDELINE_TRY(const std::int64_t in_cloud, map.integer("in_cloud", 0, count_max));
  TIDELINE_TRY(const std::int64_t refused, map.integer("refused", 0, count_max));
  TIDELINE_TRY(const auto* tasks, map.array("tasks"));
  for (std::size_t j = 0; j < tasks->size(); ++j) {
    TIDELINE_TRY(const Grant grant, parse_queueing_grant((*tasks)[j], name, j));
    schedule.grants.push_back(grant);
  }
  if (admitted != schedule.admitted() || deployed != schedule.deployed() || in_cloud != admitted - deployed ||
      refused != static_cast<std::int64_t>(schedule.grants.size()) - admitted)
    return map.error("admitted", "the totals do not agree with the tasks");
  if (map.has("multipliers") && !document["multipliers"].is_null()) {
    TIDELINE_TRY(schedule.upper_bound, map.number("upper_bound", {.min = 0}));
    TIDELINE_TRY(schedule.multipliers, read_multipliers(map));
  } else {
    if (map.has("upper_bound") && !document["upper_bound"].is_null())
      return map.error("upper_bound", "upper_bound and multipliers come together or not at all");
    // Asking for the keys marks them as known, also when they are null.
    [[maybe_unused]] const auto asked = {map.object("multipliers").has_value(), map.object("upper_bound").has_value()};
  }
  if (map.has("curve")) {
    TIDELINE_TRY(const auto curve, map.numbers("curve", {.min = 0, .max = static_cast<double>(limits::kInstanceTasksMax)}));
    schedule.curve.assign(curve.begin(), curve.end());
  }
  TIDELINE_TRY(const bool checked, map.boolean_or("checked", true));
  if (!checked) return map.error("checked", "must be true");
  TIDELINE_CHECK_OK(map.finish());
  return schedule;
}

bool is_queueing_result(std::string_view json) {
  const auto document = parse_json(json, "result");
  return document && document->is_object() && document->contains("model") && (*document)["model"] == "queueing";
}

}  // namespace tideline::schedule
