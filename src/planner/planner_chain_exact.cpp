// The best plan of a chain under memory limits, segment by segment. O(nodes x blocks^2) time, exact always.
//
// done[j][k] is the least time after which the first k blocks are done and their cut is on node j, whoever computed them:
//   arrived[j][k] = done[j-1][k] + hop_j(k)            (arrived[0][0] = 0)
//   done[j][k]    = min(arrived[j][k],  min over i < k with segment i..k-1 fitting node j of arrived[j][i] + time_j(i, k))
// A segment is one step here, so its memory can be checked, which AAIoT's table of single layers cannot do. For the best real
// split the states also count how many segments there are: none, one, or more.
#include <algorithm>
#include <array>

#include "planner/problem.h"

namespace tideline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// What the states count: nothing, or the segments so far (0, 1, 2 or more).
constexpr std::size_t kUncounted = 1;
constexpr std::size_t kCounted = 3;

struct State {
  double best = kNever;
  std::int32_t first = -1;  // of the segment that ended here; -1: relayed
  std::uint8_t layer = 0;   // before it
};

struct Programme {
  const PlanRequest& request;
  const Problem problem;
  const std::size_t layers;
  std::vector<std::array<State, kCounted>> states;  // [node * (n + 1) + cut]
  PlannerStats stats;

  Programme(const PlanRequest& r, std::size_t layer_count)
      : request(r), problem(make_problem(r.cost)), layers(layer_count), states(problem.nodes * (problem.blocks + 1)) {}

  void arrive(std::size_t node) {
    if (node == 0) {
      states[0][0].best = 0;
      return;
    }
    for (std::size_t cut = 0; cut <= problem.blocks; ++cut)
      for (std::size_t layer = 0; layer < layers; ++layer) {
        State& state = states[problem.at(node, cut)][layer];
        state.best = states[problem.at(node - 1, cut)][layer].best + problem.hop[problem.at(node, cut)];
        state.layer = static_cast<std::uint8_t>(layer);
      }
  }

  // `arrived` is a copy: segments of one node do not follow each other. Starts are tried from the last to the first and replace
  // only when better, so that a tie leaves as many blocks as possible on lower nodes.
  void compute(std::size_t node, const std::vector<std::array<double, kCounted>>& arrived) {
    const std::vector<BlockProfile>& blocks = request.cost.profiles[node]->blocks;
    const auto& limit = request.cost.cluster->nodes[node].memory_bytes;
    for (std::size_t cut = 1; cut <= problem.blocks; ++cut) {
      Bytes parameters = 0;
      Bytes activation = 0;
      for (std::size_t first = cut; first-- > 0;) {
        parameters += blocks[first].parameter_bytes;
        activation = std::max(activation, blocks[first].activation_bytes);
        if (limit && parameters + activation > *limit) {
          stats.pruned_memory += first + 1;
          break;
        }
        ++stats.considered;
        const double time = problem.segment_ms(node, first, cut);
        for (std::size_t layer = 0; layer < layers; ++layer) {
          State& state = states[problem.at(node, cut)][std::min(layer + 1, layers - 1)];
          if (arrived[first][layer] + time >= state.best) continue;
          state = {arrived[first][layer] + time, static_cast<std::int32_t>(first), static_cast<std::uint8_t>(layer)};
        }
      }
    }
  }

  Status fill() {
    std::vector<std::array<double, kCounted>> arrived(problem.blocks + 1);
    for (std::size_t node = 0; node < problem.nodes; ++node) {
      if (request.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      arrive(node);
      for (std::size_t cut = 0; cut <= problem.blocks; ++cut)
        for (std::size_t layer = 0; layer < layers; ++layer) arrived[cut][layer] = states[problem.at(node, cut)][layer].best;
      compute(node, arrived);
    }
    return {};
  }

  // The placement of the best final state of the last layer; empty when there is none.
  std::vector<std::uint32_t> placement() const {
    std::size_t node = problem.nodes;
    std::size_t layer = layers - 1;
    double best = kNever;
    for (std::size_t j = 0; j < problem.nodes; ++j) {
      const double value = states[problem.at(j, problem.blocks)][layer].best;
      if (value >= best) continue;
      best = value;
      node = j;
    }
    if (node == problem.nodes) return {};
    std::vector<std::uint32_t> nodes(problem.blocks);
    for (std::size_t cut = problem.blocks; cut > 0;) {
      const State& state = states[problem.at(node, cut)][layer];
      layer = state.layer;
      if (state.first >= 0) {
        const auto first = static_cast<std::size_t>(state.first);
        std::fill(nodes.begin() + static_cast<std::ptrdiff_t>(first), nodes.begin() + static_cast<std::ptrdiff_t>(cut),
                  static_cast<std::uint32_t>(node));
        cut = first;
      }
      if (cut > 0) --node;
    }
    return nodes;
  }
};

Result<PlanResult> solve(const PlanRequest& request, std::string_view name, std::size_t layers) {
  Programme programme(request, layers);
  TIDELINE_CHECK_OK(programme.fill());
  const std::vector<std::uint32_t> nodes = programme.placement();
  if (nodes.empty()) return infeasible_error(request);
  return finish_plan(request, name, nodes, std::move(programme.stats));
}

}  // namespace

Result<PlanResult> plan_chain_exact(const PlanRequest& request) { return solve(request, "chain-exact", kUncounted); }

Result<PlanResult> plan_best_split(const PlanRequest& request) { return solve(request, "chain-exact", kCounted); }

}  // namespace tideline
