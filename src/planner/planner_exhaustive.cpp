// Every placement, judged by the cost model alone: the referee of the other planners. C(n+m-1, m-1) placements of n blocks on m
// nodes; gives up beyond kPlacementsMax with kUnsupported.
#include <fmt/format.h>

#include "planner/problem.h"

namespace tideline {
namespace {

// A few seconds.
constexpr double kPlacementsMax = 1e6;

// `left` and `right` have the same latency: the lower one has the lower node on the last block that differs.
bool is_lower(const std::vector<std::uint32_t>& left, const std::vector<std::uint32_t>& right) {
  for (std::size_t i = left.size(); i-- > 0;)
    if (left[i] != right[i]) return left[i] < right[i];
  return false;
}

// The next non-decreasing sequence; false after the last one.
bool advance(std::vector<std::uint32_t>& nodes, std::uint32_t node_count) {
  std::size_t i = nodes.size();
  while (i > 0 && nodes[i - 1] + 1 == node_count) --i;
  if (i == 0) return false;
  const std::uint32_t next = nodes[i - 1] + 1;
  for (std::size_t k = i - 1; k < nodes.size(); ++k) nodes[k] = next;
  return true;
}

}  // namespace

Result<PlanResult> plan_exhaustive(const PlanRequest& request) {
  const auto node_count = static_cast<std::uint32_t>(request.cost.cluster->nodes.size());
  const std::size_t block_count = request.cost.profiles[0]->blocks.size();
  double placements = 1;
  for (std::uint32_t k = 1; k < node_count; ++k) placements = placements * static_cast<double>(block_count + k) / k;
  if (placements > kPlacementsMax)
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[plan] exhaustive tries at most {:.0f} placements, and {} blocks on {} nodes have {:.3g}: use --planner "
                    "chain-exact, which is exact too",
                    kPlacementsMax, block_count, node_count, placements)};
  PlanResult best;
  PlannerStats stats;
  std::vector<std::uint32_t> nodes(block_count, 0);
  std::vector<std::uint32_t> best_nodes;
  do {
    if (++stats.considered % 1024 == 0 && request.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    TIDELINE_TRY(PlanResult result, finish_plan(request, "exhaustive", nodes, {}));
    if (!result.estimate.infeasible.empty()) {
      ++stats.pruned_memory;
      continue;
    }
    const bool is_better = best_nodes.empty() || result.estimate.latency < best.estimate.latency ||
                           (result.estimate.latency == best.estimate.latency && is_lower(nodes, best_nodes));
    if (!is_better) continue;
    best = std::move(result);
    best_nodes = nodes;
  } while (advance(nodes, node_count));
  if (best_nodes.empty()) return infeasible_error(request);
  best.stats = std::move(stats);
  return best;
}

}  // namespace tideline
