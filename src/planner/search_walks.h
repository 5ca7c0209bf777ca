// Answers to questions over walks, for tables and models alike: what search_labels() finds, asked for in the right way. Internal
// to src/planner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "planner/search_labels.h"

namespace tideline {

// Limits are kept, and values are the same, within a billionth.
inline constexpr double kSameValue = 1e-9;
// Limits that nothing breaks.
inline constexpr double kAnyAccuracy = -1e6;

struct FoundWalks {
  std::vector<FoundWalk> walks;
  std::string note;  // what was left out; empty: nothing
};

// The best walk for the question's objective within its limits. Errors have sentences: kInfeasible when there is none,
// kUnsupported, saying what to drop, when it takes too long.
Result<FoundWalks> best_walk(const WalkProblem& problem, const Question& question, const CancelToken& cancel);
// The best in which at least two devices compute. The same errors; for the period
// kUnsupported unless it is the best of all.
Result<FoundWalks> best_split_walk(const WalkProblem& problem, const Question& question, const CancelToken& cancel);
// Walks among which are all that no other beats in question.pareto; front_of() picks these.
Result<FoundWalks> tradeoff_walks(const WalkProblem& problem, const Question& question, const CancelToken& cancel);

// The indices of those that no other beats, the best in the first quantity first; one for each combination of values, of equal
// ones that with the lower latency, then the earlier one.
std::vector<std::size_t> front_of(const Question& question, const std::vector<Values>& values);

// The values by the search's arithmetic.
Values values_of(const WalkProblem& problem, const FoundWalk& walk);
// Nothing when the judge's values are the search's and keep the question's limits; kInternal with what differs otherwise.
Status check_judged(const Question& question, const WalkProblem& problem, const FoundWalk& walk, const Values& judged);
// "latency 385 ms, the limit is 200 ms"; empty: all limits are kept but those on memory.
std::vector<std::string> broken_limits(const Question& question, const Values& values);

}  // namespace tideline
