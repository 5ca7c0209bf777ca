#include "train/report/report.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"
#include "report/svg.h"
#include "train/privacy/accountant.h"
#include "train/privacy/private_round.h"

namespace tideline::train {
namespace {

using Json = nlohmann::json;

// JSON has no NaN.
Json real(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json real(const std::optional<double>& value) { return value ? real(*value) : Json(nullptr); }

Result<RoundRecord> read_round(const Json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  RoundRecord record;
  constexpr std::int64_t kLargest = std::int64_t{1} << 53;
  TIDELINE_TRY(const std::int64_t round, map.integer("round", 1, kLargest));
  record.round = static_cast<std::uint64_t>(round);
  const auto number_or_null = [&](std::string_view key) -> Result<std::optional<double>> {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) {
      [[maybe_unused]] const bool marked = map.has(key);
      return std::optional<double>();
    }
    TIDELINE_TRY(const double value, map.number(key));
    return std::optional<double>(value);
  };
  TIDELINE_TRY(const auto loss, number_or_null("loss"));
  record.loss = loss.value_or(std::numeric_limits<double>::quiet_NaN());
  TIDELINE_TRY(record.accuracy, number_or_null("accuracy"));
  TIDELINE_TRY(record.test_loss, number_or_null("test_loss"));
  TIDELINE_TRY(const std::int64_t up, map.integer("bytes_up", 0, kLargest));
  TIDELINE_TRY(const std::int64_t down, map.integer("bytes_down", 0, kLargest));
  TIDELINE_TRY(record.seconds, map.number("seconds", {.min = 0}));
  TIDELINE_TRY(const std::int64_t workers, map.integer("workers", 0, limits::kTrainWorkersMax));
  TIDELINE_TRY(const std::int64_t late, map.integer("late", 0, limits::kTrainWorkersMax));
  TIDELINE_TRY(const std::int64_t rejected, map.integer("rejected", 0, limits::kTrainWorkersMax));
  record.bytes_up = static_cast<std::uint64_t>(up);
  record.bytes_down = static_cast<std::uint64_t>(down);
  record.workers = static_cast<std::uint32_t>(workers);
  record.late = static_cast<std::uint32_t>(late);
  record.rejected = static_cast<std::uint32_t>(rejected);
  return record;
}

}  // namespace

std::vector<double> epsilons_of(const Job& job, const std::vector<RoundRecord>& rounds) {
  std::vector<double> epsilons;
  if (!job.privacy) return epsilons;
  const Accountant accountant(sampling_rate(job), job.privacy->noise, job.privacy->delta);
  for (const RoundRecord& record : rounds) epsilons.push_back(accountant.epsilon(record.round));
  return epsilons;
}

std::string write_report(const Job& job, const TrainReport& report, const std::string& model, const std::string& weights_sha256) {
  Json rounds = Json::array();
  for (const RoundRecord& record : report.rounds)
    rounds.push_back({{"round", record.round},
                      {"loss", real(record.loss)},
                      {"accuracy", real(record.accuracy)},
                      {"test_loss", real(record.test_loss)},
                      {"bytes_up", record.bytes_up},
                      {"bytes_down", record.bytes_down},
                      {"seconds", record.seconds},
                      {"workers", record.workers},
                      {"late", record.late},
                      {"rejected", record.rejected}});
  const std::vector<double> epsilons = epsilons_of(job, report.rounds);
  for (std::size_t i = 0; i < epsilons.size(); ++i) rounds[i]["epsilon"] = epsilons[i];
  Json final{{"accuracy", nullptr}, {"loss", nullptr}};
  if (!report.rounds.empty())
    final = {{"accuracy", real(report.rounds.back().accuracy)}, {"loss", real(report.rounds.back().test_loss)}};
  const Json json{{"rounds", std::move(rounds)},
                  {"final", std::move(final)},
                  {"bytes_by_worker", report.bytes_by_worker},
                  {"samples_by_worker", report.samples_by_worker},
                  {"staleness", report.staleness},
                  {"news", report.news},
                  {"interrupted", report.is_interrupted},
                  {"model", model.empty() ? Json(nullptr) : Json(model)},
                  {"weights_sha256", weights_sha256},
                  {"job", Json::parse(write_job(job))}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<RunCurve> parse_report(std::string_view text, const std::string& file) {
  TIDELINE_TRY(const Json json, parse_json(text, file));
  if (!json.is_object())
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: expected what `tideline train -o json` prints", file)};
  JsonMap map(json, file, "");
  TIDELINE_TRY(const Json* rounds, map.array("rounds"));
  RunCurve curve{.name = file};
  for (std::size_t i = 0; i < rounds->size(); ++i) {
    if (!(*rounds)[i].is_object()) return map.error("rounds", "expected objects");
    TIDELINE_TRY(const RoundRecord record, read_round((*rounds)[i], file, fmt::format("rounds[{}]", i)));
    curve.rounds.push_back(record);
  }
  return curve;
}

report::Table round_table(const std::vector<RoundRecord>& rounds, bool every_round, const std::vector<double>& epsilons) {
  std::vector<report::Table::Column> columns({{"round", "round"},
                                              {"loss", "loss"},
                                              {"accuracy", "accuracy"},
                                              {"sent", "bytes_up"},
                                              {"received", "bytes_down"},
                                              {"seconds", "seconds"},
                                              {"workers", "workers"},
                                              {"late", "late"},
                                              {"rejected", "rejected"}});
  if (!epsilons.empty()) columns.push_back({"epsilon", "epsilon"});
  report::Table table(std::move(columns));
  // What people read is what has come together since the last row.
  std::uint64_t up = 0, down = 0;
  double seconds = 0;
  for (const RoundRecord& record : rounds) {
    up += record.bytes_up;
    down += record.bytes_down;
    seconds += record.seconds;
    if (!every_round && !record.accuracy && &record != &rounds.back()) continue;
    std::vector<report::Table::Cell> cells{
        record.round,
        {fmt::format("{:.4f}", record.loss), record.loss},
        record.accuracy ? report::Table::Cell(fmt::format("{:.2f} %", 100 * *record.accuracy), *record.accuracy)
                        : report::Table::Cell(""),
        {format_bytes(up), static_cast<double>(record.bytes_up)},
        {format_bytes(down), static_cast<double>(record.bytes_down)},
        {fmt::format("{:.2f}", seconds), record.seconds},
        record.workers,
        record.late,
        record.rejected};
    if (!epsilons.empty()) {
      const double epsilon = epsilons[static_cast<std::size_t>(&record - rounds.data())];
      cells.emplace_back(fmt::format("{:.2f}", epsilon), epsilon);
    }
    table.add(std::move(cells));
  }
  return table;
}

std::vector<std::pair<std::string, std::string>> accuracy_figures(const std::vector<RunCurve>& runs) {
  struct Against {
    std::string_view file;
    std::string_view label;
    double (*step)(const RoundRecord& record);
  };
  constexpr Against kAgainst[] = {{"accuracy-rounds.svg", "rounds", [](const RoundRecord&) { return 1.0; }},
                                  {"accuracy-bytes.svg", "MB sent by workers",
                                   [](const RoundRecord& record) { return static_cast<double>(record.bytes_up) / 1e6; }},
                                  {"accuracy-seconds.svg", "seconds", [](const RoundRecord& record) { return record.seconds; }}};
  std::vector<std::pair<std::string, std::string>> figures;
  for (const Against& against : kAgainst) {
    report::LineChart chart{.title = fmt::format("Accuracy against {}", against.label),
                            .x = {.label = std::string(against.label), .min = 0},
                            .y = {.label = "accuracy on the test data (%)"}};
    for (const RunCurve& run : runs) {
      report::Line line{.name = run.name};
      double x = 0;
      for (const RoundRecord& record : run.rounds) {
        x += against.step(record);
        if (record.accuracy) line.points.push_back({x, 100 * *record.accuracy});
      }
      line.markers = line.points.size() <= 50;
      if (!line.points.empty()) chart.lines.push_back(std::move(line));
    }
    if (!chart.lines.empty()) figures.emplace_back(against.file, report::render(chart));
  }
  return figures;
}

}  // namespace tideline::train
