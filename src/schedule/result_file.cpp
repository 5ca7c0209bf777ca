#include "schedule/result_file.h"

#include <iterator>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"

namespace tideline::schedule {

std::string write_result(const Schedule& schedule) {
  fmt::memory_buffer out;
  const auto put = std::back_inserter(out);
  fmt::format_to(put, "{{\"policy\": {}, \"deployed\": {}, \"tasks\": [", nlohmann::json(schedule.policy).dump(),
                 schedule.deployed());
  const char* comma = "";
  for (const std::uint32_t k : schedule.layers) {
    fmt::format_to(put, "{}{{\"layers\": {}}}", comma, k);
    comma = ", ";
  }
  const bool has_bound = !schedule.multipliers.bandwidth.empty();
  if (has_bound)
    fmt::format_to(put, "], \"upper_bound\": {}, \"tasks_max\": {}, \"multipliers\": {}", schedule.upper_bound,
                   schedule.tasks_max, write_multipliers(schedule.multipliers));
  else
    fmt::format_to(put, "], \"upper_bound\": null, \"tasks_max\": null, \"multipliers\": null");
  if (!schedule.curve.empty())
    fmt::format_to(put, ", \"curve\": [{}], \"evicted\": {}, \"recut\": {}", fmt::join(schedule.curve, ", "), schedule.evicted,
                   schedule.recut);
  if (!schedule.chosen.empty()) fmt::format_to(put, ", \"chosen\": {}", nlohmann::json(schedule.chosen).dump());
  fmt::format_to(put, ", \"checked\": true}}\n");
  return fmt::to_string(out);
}

std::string write_multipliers(const Multipliers& multipliers) {
  return fmt::format("{{\"bandwidth\": [{}], \"compute\": [{}]}}", fmt::join(multipliers.bandwidth, ", "),
                     fmt::join(multipliers.compute, ", "));
}

Result<Multipliers> read_multipliers(JsonMap& map) {
  TIDELINE_TRY(const auto* object, map.object("multipliers"));
  JsonMap inner(*object, map.file(), "multipliers");
  Multipliers multipliers;
  TIDELINE_TRY(multipliers.bandwidth, inner.numbers("bandwidth", {.min = 0}));
  TIDELINE_TRY(multipliers.compute, inner.numbers("compute", {.min = 0}));
  TIDELINE_CHECK_OK(inner.finish());
  return multipliers;
}

Result<Schedule> parse_result(std::string_view json, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  Schedule schedule;
  TIDELINE_TRY(schedule.policy, map.text("policy"));
  TIDELINE_TRY(const std::int64_t deployed, map.integer("deployed", 0, static_cast<std::int64_t>(limits::kInstanceTasksMax)));
  TIDELINE_TRY(const auto* tasks, map.array("tasks"));
  for (std::size_t j = 0; j < tasks->size(); ++j) {
    const std::string path = fmt::format("tasks[{}]", j);
    JsonMap task((*tasks)[j], std::string(name), path);
    TIDELINE_TRY(const std::int64_t layers, task.integer("layers", 0, static_cast<std::int64_t>(limits::kInstanceLayersMax)));
    TIDELINE_CHECK_OK(task.finish());
    schedule.layers.push_back(static_cast<std::uint32_t>(layers));
  }
  if (schedule.deployed() != deployed)
    return map.error("deployed", fmt::format("says {}, but {} of the tasks have layers", deployed, schedule.deployed()));
  const bool has_bound = map.has("multipliers") && !document["multipliers"].is_null();
  if (has_bound) {
    TIDELINE_TRY(schedule.upper_bound, map.number("upper_bound", {.min = 0}));
    TIDELINE_TRY(const std::int64_t tasks_max, map.integer("tasks_max", 0, std::int64_t{1} << 60));
    schedule.tasks_max = static_cast<std::uint64_t>(tasks_max);
    TIDELINE_TRY(schedule.multipliers, read_multipliers(map));
  } else {
    for (const char* key : {"upper_bound", "tasks_max", "multipliers"})
      if (map.has(key) && !document[key].is_null())
        return map.error(key, "upper_bound, tasks_max and multipliers come together or not at all");
  }
  if (map.has("curve")) {
    TIDELINE_TRY(const auto curve, map.numbers("curve", {.min = 0, .max = static_cast<double>(limits::kInstanceTasksMax)}));
    schedule.curve.assign(curve.begin(), curve.end());
  }
  TIDELINE_TRY(const std::int64_t evicted, map.integer_or("evicted", 0, 0, std::numeric_limits<std::int64_t>::max()));
  TIDELINE_TRY(const std::int64_t recut, map.integer_or("recut", 0, 0, std::numeric_limits<std::int64_t>::max()));
  schedule.evicted = static_cast<std::uint64_t>(evicted);
  schedule.recut = static_cast<std::uint64_t>(recut);
  TIDELINE_TRY(schedule.chosen, map.text_or("chosen", ""));
  TIDELINE_TRY(const bool checked, map.boolean_or("checked", true));
  if (!checked) return map.error("checked", "must be true");
  // Asking for the keys marks them as known, also when they are null.
  [[maybe_unused]] const auto asked = {map.object("multipliers").has_value(), map.object("upper_bound").has_value(),
                                       map.object("tasks_max").has_value()};
  TIDELINE_CHECK_OK(map.finish());
  return schedule;
}

}  // namespace tideline::schedule
