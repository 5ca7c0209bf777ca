// AAIoT (Zhou, Wang, Ota and Dong 2019) on a profiled model. O(nodes x blocks) time and space, exact when no memory limit binds.
//
// The paper's table has one value for each (layer, device). A profile also knows what it costs to begin and to end a segment at a
// cut (profile/profile.h), so there are two, with k blocks done and their cut on node j:
//   waiting[k][j]    nothing has been computed on j yet
//   running[k][j]    block k-1 was computed on j, and the segment may go on
//   waiting[k][j]  = hop_j(k) + min(waiting[k][j-1], running[k][j-1] + end_{j-1}(k))
//   running[k+1][j] = time_j(k) + min(running[k][j], waiting[k][j] + start_j(k))
// and the answer is the least running[n][j] + end_j(n). See docs/algorithms/aaiot.md.
//
// When the plan found breaks a memory limit, or when corrections are so large that a segment's time is cut off at zero, times do
// not add up block by block any more, and chain-exact takes over.
#include "planner/problem.h"

namespace tideline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// What the best way to a state was. Where there is a tie, the one that lets a block run on a lower node.
struct Choice {
  bool waiting_from_running = false;  // else relayed
  bool running_from_running = false;  // else a segment starts with this block
};

struct Programme {
  const Problem& problem;
  std::vector<double> running;  // [node], of the current cut
  std::vector<double> waiting;
  std::vector<Choice> choices;  // [cut * nodes + node]; of waiting at this cut, and of running at this cut

  explicit Programme(const Problem& p)
      : problem(p), running(p.nodes, kNever), waiting(p.nodes, kNever), choices((p.blocks + 1) * p.nodes) {}

  void fill() {
    for (std::size_t cut = 0; cut <= problem.blocks; ++cut) {
      Choice* const row = &choices[cut * problem.nodes];
      for (std::size_t node = 0; node < problem.nodes; ++node) {
        const std::size_t at = problem.at(node, cut);
        if (cut > 0) {
          const double begun = waiting[node] + problem.start[at - 1];
          row[node].running_from_running = running[node] < begun;
          running[node] = (running[node] < begun ? running[node] : begun) + (problem.before[at] - problem.before[at - 1]);
        }
        if (node == 0) {
          waiting[0] = cut == 0 ? 0 : kNever;
          continue;
        }
        const double ended = running[node - 1] + problem.end[problem.at(node - 1, cut)];
        row[node].waiting_from_running = ended < waiting[node - 1];
        waiting[node] = (ended < waiting[node - 1] ? ended : waiting[node - 1]) + problem.hop[at];
      }
    }
  }

  std::vector<std::uint32_t> placement() const {
    const std::size_t n = problem.blocks;
    std::size_t node = 0;
    double best = kNever;
    for (std::size_t j = 0; j < problem.nodes; ++j) {
      const double total = running[j] + problem.end[problem.at(j, n)];
      if (total >= best) continue;
      best = total;
      node = j;
    }
    std::vector<std::uint32_t> nodes(n);
    std::size_t cut = n;
    while (cut > 0) {
      // In `running` at (cut, node).
      const bool goes_on = choices[cut * problem.nodes + node].running_from_running;
      nodes[--cut] = static_cast<std::uint32_t>(node);
      if (goes_on) continue;
      // In `waiting` at (cut, node): back along the relays to whoever computed last.
      bool computed = false;
      while (node > 0 && !computed) computed = choices[cut * problem.nodes + node--].waiting_from_running;
    }
    return nodes;
  }
};

}  // namespace

Result<PlanResult> plan_aaiot(const PlanRequest& request) {
  const Problem problem = make_problem(request.cost);
  std::string note = "segments whose corrected time would be negative: aaiot handed over to chain-exact";
  if (problem.is_additive) {
    Programme programme(problem);
    programme.fill();
    TIDELINE_TRY(PlanResult result,
                 finish_plan(request, "aaiot", programme.placement(), {.considered = 2 * (problem.blocks + 1) * problem.nodes}));
    if (result.estimate.infeasible.empty()) return result;
    note = "memory limits bind: aaiot handed over to chain-exact";
  }
  TIDELINE_TRY(PlanResult result, plan_chain_exact(request));
  result.stats.note = std::move(note);
  return result;
}

}  // namespace tideline
