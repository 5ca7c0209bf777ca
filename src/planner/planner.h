// Planner: where the blocks of a model should run on the nodes of a cluster, and by which route. A planner is a pure function:
// the same request gives the same plan. Every value is cost/cost.h's estimate; a planner may search with its own arithmetic but
// never judges with it.
//
//   PlanRequest request{.cost = {.cluster = &cluster, .profiles = {&profile, &profile, &profile}}};
//   TIDELINE_TRY(const PlanResult result, run_planner(request, "auto"));
//   fmt::print("{} ms\n", result.estimate.latency.count());
//
// Ties go to the lower place (cluster/routes.h): of the plans with the least latency, the one whose last block runs at the lowest
// place, then the block before it, and so on. On a chain place i is node i.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "cost/cost.h"
#include "plan/plan.h"
#include "planner/question.h"
#include "planner/why_not.h"

namespace tideline {

// Which walks a request may take.
enum class Walks : std::uint8_t {
  kAny,     // back down with blocks left to run, and up other branches
  kUpOnly,  // up one route, and home when all blocks are done
};

struct PlanRequest {
  CostInput cost;     // what it points to must outlive the call
  Question question;  // latency without limits unless said otherwise; memory limits of the cluster always hold
  Walks walks = Walks::kAny;
  CancelToken cancel;  // kCancelled soon after it is set
};

// Counts of why: what was looked at and what was left out.
struct PlannerStats {
  std::uint64_t considered = 0;     // states or whole placements
  std::uint64_t pruned_memory = 0;  // segments or placements that do not fit their node
  std::string note;                 // "memory limits bind: aaiot handed over to chain-exact"
  bool operator==(const PlannerStats&) const = default;
};

struct PlanResult {
  Plan plan;
  Estimate estimate;
  PlannerStats stats;
  Values values = {};  // of the estimate and cost/totals.h; accuracy is that of the profile less what codecs lose
  bool operator==(const PlanResult&) const = default;
};

// What a plan costs, by its estimate on that cluster.
Values values_of(const Cluster& cluster, const Estimate& estimate);

struct Problem;
struct Solution;
struct SolveContext;

// One algorithm, for models and tables alike.
struct Planner {
  std::string_view name;
  std::string_view summary;
  Result<Solution> (*solve)(const Problem& problem, const SolveContext& context);
};

// All of them; defined in planners.cpp.
std::span<const Planner> planners();
// "auto" and all of them, for help: "auto, aaiot, route, ...".
std::string planner_names();

// Checks the request, runs the planner of that name and verifies its plan (a program of the cluster, every block once, memory
// limits kept). "auto" is aaiot where the places are a chain and coming back with blocks left does not win, else route; for a
// table of a graph it is min-cut. A difference below a billionth is a tie, and aaiot's. A question beyond latency is answered by
// labels (docs/algorithms/labels.md); exhaustive, native and edgent take it too. These, and auto for plain latency where a codec
// wins, choose codecs; the others send everything raw. A question that says something about accuracy may be answered by a plan
// that leaves by an exit (plan.exit), as far as every profile has it: planner/exits.h. kNotFound for an unknown name,
// kInvalidArgument for cluster and profiles that do not fit, kInfeasible (with the reason for each node) when no placement keeps
// the memory limits, kUnsupported when the planner gives up, kInternal when its plan does not verify.
Result<PlanResult> run_planner(const PlanRequest& request, std::string_view planner);

// A placement shown beside the answer.
struct Candidate {
  enum class Kind : std::uint8_t { kNative, kSplit, kPair, kRoute };
  Kind kind = Kind::kNative;
  Plan plan;
  Estimate estimate;  // says why when it is infeasible
  Values values = {};
  std::string ruled_out = {};         // by which limits, memory included; empty: by none
  std::vector<std::string> via = {};  // of a route: its nodes from the source to the last that it can reach
  bool operator==(const Candidate&) const = default;
};

// Everything on each node that a request can reach, by the best route there, feasible or not, in the order of the cluster file;
// then the best plan with two segments or more (when there is a feasible one). With exits in play the same for each of them, the
// most accurate one first. Best for the question's objective, whatever its
// limits but the cluster's memory. The answer of an exact planner to a question without limits is always one of these or ties
// with one.
Result<std::vector<Candidate>> candidates(const PlanRequest& request);

// The first part of it alone.
Result<std::vector<Candidate>> native_candidates(const PlanRequest& request);

// Where a request can go by more than one route that is not the beginning of another: the best plan that goes along each of them,
// leaving the source, whatever the question's limits; the best routes first and at most kRoutesShown.
inline constexpr std::size_t kRoutesShown = 8;
Result<std::vector<Candidate>> route_candidates(const PlanRequest& request);

// The candidate of the same kind for another request, with the same node or route: what candidates() or route_candidates() would
// list. Nothing when there is none. REQUIRES: not a pair.
Result<std::optional<Candidate>> candidate_like(const PlanRequest& request, const Candidate& candidate);

// For request.question.pareto: all plans that no other beats within the question's limits, the best in the first quantity first.
// Errors as run_planner().
Result<std::vector<PlanResult>> plan_front(const PlanRequest& request);

// When run_planner() or plan_front() is kInfeasible: which limits clash. An error when the cluster's memory alone is too little.
Result<std::vector<LimitReport>> why_not(const PlanRequest& request);

// The best plan with two segments or more. kInfeasible when there is none.
Result<PlanResult> plan_best_split(const PlanRequest& request);

// For each two nodes the best plan in which the first runs the blocks before one cut and the second those after it, over the best
// routes; in the order of the cluster file. Plans that do not keep the memory limits are left out. O(places^2 x blocks):
// kUnsupported above some millions of steps.
Result<std::vector<Candidate>> best_pairs(const PlanRequest& request);

}  // namespace tideline
