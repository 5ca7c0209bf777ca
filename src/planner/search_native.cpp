// Everything at the one best place: what a split has to beat. O(places x blocks), exact among these.
#include "planner/problem.h"

namespace tideline {

Result<Solution> solve_native(const Problem& problem, const SolveContext& context) {
  Solution best;
  std::optional<Rank> best_rank;
  PlannerStats stats;
  for (std::uint32_t place = 0; place < problem.places.size(); ++place) {
    if (context.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    std::vector<std::uint32_t> everything(problem.blocks, place);
    const std::optional<Rank> rank = context.judge(everything);
    ++stats.considered;
    if (!rank) ++stats.pruned_memory;
    if (!rank || (best_rank && *rank >= *best_rank)) continue;
    best.places = std::move(everything);
    best_rank = rank;
  }
  if (!best_rank) return Error{ErrorCode::kInfeasible, ""};
  best.stats = std::move(stats);
  return best;
}

}  // namespace tideline
