// AAIoT (Zhou, Wang, Ota and Dong 2019). O(nodes x blocks) time and space; on a chain, for walks that go up and come home when
// all is done, exact when no memory limit binds.
//
// The paper's table has one value for each (layer, device). A profile also knows what it costs to begin and to end a segment at a
// cut (profile/profile.h), so there are two, with k blocks done and their cut on node j:
//   waiting[k][j]    nothing has been computed on j yet
//   running[k][j]    block k-1 was computed on j, and the segment may go on
//   waiting[k][j]  = hop_j(k) + min(waiting[k][j-1], running[k][j-1] + end_{j-1}(k))
//   running[k+1][j] = time_j(k) + min(running[k][j], waiting[k][j] + start_j(k))
// and the answer is the least running[n][j] + end_j(n). A table has no corrections, and there the two are the paper's one: see
// docs/algorithms/aaiot.md. Corrections to the letter: choices are stored instead of found again by comparing floating-point
// sums, a hop has a round trip, and the bytes on a hop are the input of the next block.
//
// When the plan found breaks a memory limit, or when corrections are so large that a segment's time is cut off at zero, times do
// not add up block by block any more, and chain-exact takes over.
#include <limits>

#include "planner/problem.h"

namespace tideline {
namespace {

// What the best way to a state was. Where there is a tie, the one that lets a block run on a lower node.
constexpr std::uint8_t kWaitingFromRunning = 1;  // else relayed
constexpr std::uint8_t kRunningFromRunning = 2;  // else a segment starts with this block

template <bool kCorrected>
class Programme {
 public:
  explicit Programme(const Problem& problem)
      : problem_(problem),
        m_(problem.nodes),
        running_(m_, kNever),
        waiting_(m_, kNever),
        hop_ms_(m_),
        hop_ms_per_byte_(m_),
        choices_((problem.blocks + 1) * m_) {
    for (std::size_t j = 1; j < m_; ++j) {
      const Problem::Moves& moves = problem.moves[j];
      hop_ms_[j] = moves.up_ms + moves.back_ms + problem.result_bytes * moves.back_ms_per_byte;
      hop_ms_per_byte_[j] = moves.up_ms_per_byte;
    }
  }

  std::vector<std::uint32_t> solve() {
    waiting_[0] = 0;
    arrive(0);
    for (std::size_t cut = 1; cut <= problem_.blocks; ++cut) {
      compute(cut);
      waiting_[0] = kNever;
      arrive(cut);
    }
    return placement();
  }

 private:
  void compute(std::size_t cut) {
    const double* const time = &problem_.time[(cut - 1) * m_];
    const double* const start = kCorrected ? &problem_.start[(cut - 1) * m_] : nullptr;
    std::uint8_t* const row = &choices_[cut * m_];
    for (std::size_t j = 0; j < m_; ++j) {
      const double begun = kCorrected ? waiting_[j] + start[j] : waiting_[j];
      const bool goes_on = running_[j] < begun;
      row[j] = goes_on ? kRunningFromRunning : 0;
      running_[j] = (goes_on ? running_[j] : begun) + time[j];
    }
  }

  void arrive(std::size_t cut) {
    const double bytes = problem_.cut_bytes[cut];
    const double* const end = kCorrected ? &problem_.end[cut * m_] : nullptr;
    std::uint8_t* const row = &choices_[cut * m_];
    for (std::size_t j = 1; j < m_; ++j) {
      const double ended = kCorrected ? running_[j - 1] + end[j - 1] : running_[j - 1];
      const bool from_running = ended < waiting_[j - 1];
      row[j] |= from_running ? kWaitingFromRunning : 0;
      waiting_[j] = (from_running ? ended : waiting_[j - 1]) + (hop_ms_[j] + bytes * hop_ms_per_byte_[j]);
    }
  }

  std::vector<std::uint32_t> placement() const {
    std::size_t node = 0;
    double best = kNever;
    for (std::size_t j = 0; j < m_; ++j) {
      const double total = running_[j] + problem_.end_ms(problem_.blocks, j);
      if (total >= best) continue;
      best = total;
      node = j;
    }
    std::vector<std::uint32_t> nodes(problem_.blocks);
    std::size_t cut = problem_.blocks;
    while (cut > 0) {
      // Block cut - 1 ran on `node`.
      const bool goes_on = (choices_[cut * m_ + node] & kRunningFromRunning) != 0;
      nodes[--cut] = static_cast<std::uint32_t>(node);
      if (goes_on) continue;
      // It began a segment: back along the relays to whoever computed before it.
      bool computed = false;
      while (node > 0 && !computed) computed = (choices_[cut * m_ + node--] & kWaitingFromRunning) != 0;
    }
    return nodes;
  }

  const Problem& problem_;
  const std::size_t m_;
  std::vector<double> running_;  // [node], of the current cut
  std::vector<double> waiting_;
  std::vector<double> hop_ms_;  // [node]
  std::vector<double> hop_ms_per_byte_;
  std::vector<std::uint8_t> choices_;  // [cut * nodes + node]; of waiting at this cut, and of running at this cut
};

}  // namespace

Result<Solution> solve_aaiot(const Problem& problem, const SolveContext& context) {
  if (problem.edges)
    return Error{ErrorCode::kUnsupported,
                 "[plan] aaiot solves chains only, and the edges of this table are a graph: use --planner min-cut"};
  if (!problem.is_chain())
    return Error{ErrorCode::kUnsupported,
                 "[plan] aaiot goes along a chain of nodes, and this cluster is a graph: use --planner route"};
  std::string note = "segments whose corrected time would be negative: aaiot handed over to chain-exact";
  if (is_additive(problem)) {
    Solution solution{.stats = {.considered = 2 * (problem.blocks + 1) * problem.places.size()}};
    solution.places = problem.start.empty() ? Programme<false>(problem).solve() : Programme<true>(problem).solve();
    if (fits_memory(problem, solution.places)) return solution;
    note = "memory limits bind: aaiot handed over to chain-exact";
  }
  TIDELINE_TRY(Solution solution, solve_chain_exact(problem, context));
  solution.by = "chain-exact";
  solution.stats.note = std::move(note);
  return solution;
}

}  // namespace tideline
