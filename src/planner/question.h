// Question: what somebody asks a planner for: what to minimise, within which limits. Values; any thread.
//
//   Question question{.objective = Objective::kEnergy};
//   TIDELINE_CHECK_OK(add_limit("latency=200ms", question.limits));
//
// Accuracy is the one quantity of which more is better: as an objective it is maximised, and its limit is a lower one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline {

enum class Objective : std::uint8_t { kLatency, kEnergy, kPeriod, kUpload, kAccuracy };
inline constexpr std::array kObjectives{Objective::kLatency, Objective::kEnergy, Objective::kPeriod, Objective::kUpload,
                                        Objective::kAccuracy};
// "latency", "energy", ...
std::string_view to_string(Objective objective);
// Of JSON and CSV, with the unit: "latency_ms", "energy_j", ...
std::string_view key_of(Objective objective);
// kInvalidArgument naming those there are.
Result<Objective> parse_objective(std::string_view text);
// "latency,energy,accuracy": two or three of them, each once.
Result<std::vector<Objective>> parse_objectives(std::string_view text);

// What a plan costs, in the units of the answers: milliseconds, joules, bytes, a share of 1.
struct Values {
  double latency_ms = 0;
  double energy_j = 0;
  double period_ms = 0;
  double upload_bytes = 0;
  double accuracy = 1;
  // How far an answer may be off by what lossy codecs were measured to do, as a share of its largest number; of models alone.
  double output_error = 0;
  double of(Objective objective) const;
  bool operator==(const Values&) const = default;
};
// "12.3 ms", "0.42 J", "20 kB", "0.85".
std::string format_value(Objective objective, double value);

struct Limits {
  std::array<std::optional<double>, kObjectives.size()> by;  // [Objective], in the units of Values
  bool memory = false;                                       // of tables; a cluster's always hold
  std::optional<double> of(Objective objective) const { return by[static_cast<std::size_t>(objective)]; }
  bool any() const;
  bool operator==(const Limits&) const = default;
};
// "latency=200ms", "energy=0.5J", "upload=20kB", "period=50ms", "accuracy=0.85", "memory". kInvalidArgument, naming what could be
// written, for anything else, and for a second limit on the same.
Status add_limit(std::string_view text, Limits& limits);
// Within a billionth of the limit, so that a plan of exactly 200 ms keeps 200 ms however its terms were added up.
bool keeps(Objective objective, double value, double limit);

struct Question {
  Objective objective = Objective::kLatency;
  std::vector<Objective> pareto;  // not empty: instead of the objective, all plans that no other beats in all of these
  Limits limits;
  // How many first blocks must run on the source; absent: as the table says.
  std::optional<std::uint32_t> keep_on_source;
  // Of models: the largest output_error that is allowed; it is what lossy codecs may be used for. Absent: the limits say.
  std::optional<double> tolerance;
  bool asks_for(Objective objective) const;
  // Whether less accuracy than the whole model's may be traded for something.
  bool may_lose_accuracy() const { return asks_for(Objective::kAccuracy); }
};

}  // namespace tideline
