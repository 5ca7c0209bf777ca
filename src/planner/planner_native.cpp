// Everything on the one best node: what a split has to beat. O(nodes x blocks), exact among these.
#include "planner/problem.h"

namespace tideline {

Result<PlanResult> plan_native(const PlanRequest& request) {
  PlanResult best;
  PlannerStats stats;
  for (std::uint32_t node = 0; node < request.cost.cluster->nodes.size(); ++node) {
    const std::vector<std::uint32_t> everything(request.cost.profiles[0]->blocks.size(), node);
    TIDELINE_TRY(PlanResult result, finish_plan(request, "native", everything, {}));
    ++stats.considered;
    if (!result.estimate.infeasible.empty())
      ++stats.pruned_memory;
    else if (best.plan.segments.empty() || result.estimate.latency < best.estimate.latency)
      best = std::move(result);
  }
  if (best.plan.segments.empty()) return infeasible_error(request);
  best.stats = std::move(stats);
  return best;
}

}  // namespace tideline
