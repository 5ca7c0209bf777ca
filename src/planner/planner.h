// Planner: where the blocks of a model should run on the nodes of a cluster. A planner is a pure function: the same request gives
// the same plan. Every value is cost/cost.h's estimate; a planner may search with its own arithmetic but never judges with it.
//
//   PlanRequest request{.cost = {.cluster = &cluster, .profiles = {&profile, &profile, &profile}}};
//   TIDELINE_TRY(const PlanResult result, run_planner(request, "auto"));
//   fmt::print("{} ms\n", result.estimate.latency.count());
//
// Ties go to the lower node: of the plans with the least latency, the one that is lowest on the last block, then on the one
// before it, and so on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "cost/cost.h"
#include "plan/plan.h"

namespace tideline {

struct PlanRequest {
  CostInput cost;      // what it points to must outlive the call
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
  bool operator==(const PlanResult&) const = default;
};

struct Planner {
  std::string_view name;
  std::string_view summary;
  Result<PlanResult> (*plan)(const PlanRequest&);
};

// All of them; defined in planners.cpp.
std::span<const Planner> planners();

// Checks the request, runs the planner of that name and verifies its plan (every block placed once, up the chain, memory limits
// kept). "auto" is aaiot. kNotFound for an unknown name, kInvalidArgument for cluster and profiles that do not fit, kInfeasible
// (with the reason for each node) when no placement keeps the memory limits, kUnsupported when the planner gives up,
// kInternal when its plan does not verify.
Result<PlanResult> run_planner(const PlanRequest& request, std::string_view planner);

// A placement shown beside the answer.
struct Candidate {
  enum class Kind : std::uint8_t { kNative, kSplit };
  Kind kind = Kind::kNative;
  Plan plan;
  Estimate estimate;  // says why when it is infeasible
  bool operator==(const Candidate&) const = default;
};

// Everything on each node in the order of the chain, feasible or not, then the best plan in which at least two nodes compute
// (when there is a feasible one). The answer of an exact planner is always one of these or ties with one.
Result<std::vector<Candidate>> candidates(const PlanRequest& request);

// The best plan in which at least two nodes compute, as chain-exact finds it. kInfeasible when there is none.
Result<PlanResult> plan_best_split(const PlanRequest& request);

// The planners, one file each. REQUIRES: a request that run_planner() would accept.
Result<PlanResult> plan_native(const PlanRequest& request);
Result<PlanResult> plan_aaiot(const PlanRequest& request);
Result<PlanResult> plan_chain_exact(const PlanRequest& request);
Result<PlanResult> plan_exhaustive(const PlanRequest& request);

}  // namespace tideline
