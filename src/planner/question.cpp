#include "planner/question.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/energy.h"
#include "base/text.h"
#include "base/units.h"

namespace tideline {
namespace {

constexpr std::array<std::string_view, kObjectives.size()> kObjectiveNames{"latency", "energy", "period", "upload", "accuracy"};
constexpr std::array<std::string_view, kObjectives.size()> kObjectiveKeys{"latency_ms", "energy_j", "period_ms", "upload_bytes",
                                                                          "accuracy"};
constexpr double kLimitSlack = 1e-9;

Error invalid(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

Result<double> parse_accuracy(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value <= 1))
    return invalid(fmt::format("'{}' is no accuracy: expected a share from 0 to 1, as in accuracy=0.85", printable(text)));
  return value;
}

Result<double> parse_limit(Objective objective, std::string_view text) {
  switch (objective) {
    case Objective::kLatency:
    case Objective::kPeriod: {
      TIDELINE_TRY(const Millis time, parse_duration(text));
      return time.count();
    }
    case Objective::kEnergy: return parse_joules(text);
    case Objective::kUpload: {
      TIDELINE_TRY(const Bytes bytes, parse_bytes(text));
      return static_cast<double>(bytes);
    }
    case Objective::kAccuracy: return parse_accuracy(text);
  }
  return invalid("no such limit");
}

}  // namespace

std::string_view to_string(Objective objective) { return kObjectiveNames[static_cast<std::size_t>(objective)]; }
std::string_view key_of(Objective objective) { return kObjectiveKeys[static_cast<std::size_t>(objective)]; }

Result<Objective> parse_objective(std::string_view text) {
  for (const Objective objective : kObjectives)
    if (to_string(objective) == text) return objective;
  const std::string_view near = nearest(text, kObjectiveNames);
  return invalid(fmt::format("'{}' is nothing to plan for{}: there are {}", printable(text),
                             near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(kObjectiveNames, ", ")));
}

Result<std::vector<Objective>> parse_objectives(std::string_view text) {
  std::vector<Objective> list;
  for (const std::string& name : split(text, ',')) {
    TIDELINE_TRY(const Objective objective, parse_objective(name));
    if (std::find(list.begin(), list.end(), objective) != list.end()) return invalid(fmt::format("'{}' is named twice", name));
    list.push_back(objective);
  }
  if (list.size() < 2 || list.size() > 3)
    return invalid(fmt::format("a trade-off is between two or three quantities, as in latency,energy; found {}", list.size()));
  return list;
}

double Values::of(Objective objective) const {
  switch (objective) {
    case Objective::kLatency: return latency_ms;
    case Objective::kEnergy: return energy_j;
    case Objective::kPeriod: return period_ms;
    case Objective::kUpload: return upload_bytes;
    case Objective::kAccuracy: return accuracy;
  }
  return 0;
}

std::string format_value(Objective objective, double value) {
  switch (objective) {
    case Objective::kLatency:
    case Objective::kPeriod: return format_millis(Millis{value});
    case Objective::kEnergy: return format_joules(value);
    case Objective::kUpload: return format_bytes(static_cast<Bytes>(std::llround(std::clamp(value, 0.0, 9e18))));
    case Objective::kAccuracy: return fmt::format("{:.4g}", value);
  }
  return "";
}

bool Limits::any() const {
  return memory || std::any_of(by.begin(), by.end(), [](const std::optional<double>& limit) { return limit.has_value(); });
}

Status add_limit(std::string_view text, Limits& limits) {
  if (text == "memory") {
    limits.memory = true;
    return {};
  }
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return invalid(
        fmt::format("'{}' is no limit: expected one of latency=200ms, energy=0.5J, upload=20kB, period=50ms, "
                    "accuracy=0.85, memory",
                    printable(text)));
  TIDELINE_TRY(const Objective objective, parse_objective(text.substr(0, equals)));
  std::optional<double>& limit = limits.by[static_cast<std::size_t>(objective)];
  if (limit) return invalid(fmt::format("there are two limits on {}: give one", to_string(objective)));
  TIDELINE_TRY(limit, parse_limit(objective, text.substr(equals + 1)));
  return {};
}

bool keeps(Objective objective, double value, double limit) {
  const double slack = kLimitSlack * std::abs(limit);
  return objective == Objective::kAccuracy ? value >= limit - kLimitSlack : value <= limit + slack;
}

bool Question::asks_for(Objective quantity) const {
  if (limits.of(quantity)) return true;
  return pareto.empty() ? objective == quantity : std::find(pareto.begin(), pareto.end(), quantity) != pareto.end();
}

}  // namespace tideline
