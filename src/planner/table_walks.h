// Any question about a table of version 2: the best walk, the trade-off, why there is none. Pure functions; exact unless the
// answer's note says what was left out. Every answer is judged by planner/walk.h; a search that had another idea of it is a
// defect.
//
//   TIDELINE_TRY(const WalkPlan plan, plan_walk(table, {.objective = Objective::kEnergy, .limits = limits}, "auto", cancel));
//   fmt::print("{} J\n", plan.value.total.energy_j);
//
// Of plans that are equal in the objective the one with the lower latency is given; then the whole model before exits, these in
// their order; then the one whose last op runs on the lower device, then the op before it, and so on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "planner/question.h"
#include "planner/walk.h"
#include "planner/why_not.h"

namespace tideline {

struct WalkPlan {
  std::string planner;
  TableWalk walk;
  WalkValue value;
  std::string note;  // what the search left out; empty: nothing
  // Of the period of a graph of ops: no plan is below it. Absent: the plan is the best among what was searched.
  std::optional<double> bound = std::nullopt;
  bool operator==(const WalkPlan&) const = default;
};

// "auto" is labels, for a graph of ops min-cut or down-sets (planner/graph_walks.h); "exhaustive" tries every walk and is for
// small tables. kInfeasible when no walk keeps the limits (why_not()
// says more); kInvalidArgument for a question that the table cannot answer (energy without power numbers, keep_on_source beyond
// the ops); kUnsupported for limits and trade-offs of a graph of ops, or when it would take too long.
Result<WalkPlan> plan_walk(const Table& table, const Question& question, std::string_view planner, const CancelToken& cancel);

// For `question.pareto`: every walk that no other beats, one for each combination of values; sorted by the first quantity, the
// best first.
Result<std::vector<WalkPlan>> walk_front(const Table& table, const Question& question, std::string_view planner,
                                         const CancelToken& cancel);

Result<std::vector<LimitReport>> why_not(const Table& table, const Question& question, const CancelToken& cancel);

// A walk shown beside the answer.
struct WalkCandidate {
  enum class Kind : std::uint8_t { kNative, kSplit, kExit, kRoute };
  Kind kind = Kind::kNative;
  std::uint32_t index = 0;  // the device of a native, the exit of an exit
  WalkPlan plan;
  std::string infeasible = {};          // the limits that it breaks, in a sentence; empty: none
  std::vector<std::uint32_t> via = {};  // of a route: its devices from the source to the last that it can reach
  bool operator==(const WalkCandidate&) const = default;
};
// For the objective, whatever the limits: everything on each device by its best way; the best with each exit; the best in which
// two devices compute. Those that cannot be are left out.
Result<std::vector<WalkCandidate>> walk_candidates(const Table& table, const Question& question, const CancelToken& cancel);

// Where links lead along more than one way: the best walk that goes along each, leaving the source; the best first and at most
// kRoutesShown (planner.h).
Result<std::vector<WalkCandidate>> walk_routes(const Table& table, const Question& question, const CancelToken& cancel);
// The candidate of the same kind for another table or question, with the same device, exit or route; nothing when there is none.
Result<std::optional<WalkCandidate>> candidate_like(const Table& table, const Question& question, const WalkCandidate& candidate,
                                                    const CancelToken& cancel);
// Whether every move of the route is one step along `via`.
bool goes_along(const std::vector<std::uint32_t>& route, const std::vector<std::uint32_t>& via);

// Whose energy is counted.
std::vector<std::string> energy_of(const Table& table);

// The referee: every walk that visits no device twice without computing an op in between, judged one by one, lossy or not,
// whatever any limit says. A walk that does so only adds to its latency, energy, loads, upload and losses. kUnsupported beyond
// `walks_max`.
Result<std::vector<WalkPlan>> all_walks(const Table& table, std::size_t walks_max, const CancelToken& cancel);
// Those that answer the question, the preferred one first. kInfeasible when there is none.
Result<std::vector<WalkPlan>> exhaustive_walks(const Table& table, const Question& question, const CancelToken& cancel);

}  // namespace tideline
