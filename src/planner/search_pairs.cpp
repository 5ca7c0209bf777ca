// The best cut for each two nodes: the first runs the blocks before it, the second those after it. O(places^2 x blocks).
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/limits.h"
#include "planner/problem.h"

namespace tideline {
namespace {

double way_ms(const Problem& problem, std::uint32_t from, std::uint32_t to, std::size_t cut) {
  double ms = 0;
  while (from != to) {
    if (problem.places[from].depth >= problem.places[to].depth) {
      ms += problem.back(from, cut);
      from = problem.places[from].parent;
    } else {
      ms += problem.up(to, cut);
      to = problem.places[to].parent;
    }
  }
  return ms;
}

bool is_up(const Problem& problem, std::uint32_t from, std::uint32_t to) {
  while (problem.places[to].depth > problem.places[from].depth) to = problem.places[to].parent;
  return to == from;
}

class PairSearch {
 public:
  explicit PairSearch(const Problem& problem) : problem_(problem), before_(problem.nodes * (problem.blocks + 1), 0) {
    const std::size_t m = problem.nodes;
    for (std::size_t cut = 1; cut <= problem.blocks; ++cut)
      for (std::size_t node = 0; node < m; ++node)
        before_[cut * m + node] = before_[(cut - 1) * m + node] + problem.time[(cut - 1) * m + node];
  }

  // Into `known`, when better.
  void try_places(std::uint32_t first, std::uint32_t second, PairCut& known) const {
    const std::size_t n = problem_.blocks;
    const double there = way_ms(problem_, 0, first, 0);
    const double home = way_ms(problem_, second, 0, n);
    for (std::uint32_t cut = 1; cut < n; ++cut) {
      PairCut found{first, second, cut};
      found.ms = there + segment_ms(problem_.node(first), 0, cut) + way_ms(problem_, first, second, cut) +
                 segment_ms(problem_.node(second), cut, n) + home;
      if (found.ms < known.ms && fits_memory(problem_, placement_of(problem_, found))) known = found;
    }
  }

 private:
  double segment_ms(std::size_t node, std::size_t first, std::size_t cut) const {
    const std::size_t m = problem_.nodes;
    return std::max(
        0.0, before_[cut * m + node] - before_[first * m + node] + problem_.start_ms(first, node) + problem_.end_ms(cut, node));
  }

  const Problem& problem_;
  std::vector<double> before_;  // [cut * m + node]: time of the blocks before the cut
};

}  // namespace

std::vector<std::uint32_t> placement_of(const Problem& problem, const PairCut& pair) {
  std::vector<std::uint32_t> places(problem.blocks, pair.second);
  std::fill(places.begin(), places.begin() + pair.cut, pair.first);
  return places;
}

Result<std::vector<PairCut>> search_pairs(const Problem& problem, const CancelToken& cancel) {
  if (problem.edges)
    return Error{ErrorCode::kUnsupported, "[plan] the best cut of each two nodes is known for blocks in a row only"};
  const auto places = static_cast<std::uint32_t>(problem.places.size());
  if (static_cast<double>(places) * places * static_cast<double>(problem.blocks) > limits::kPairStepsMax)
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[plan] the best cut of each two nodes takes too long for {} blocks at {} places", problem.blocks, places)};
  const PairSearch search(problem);
  std::vector<PairCut> best(problem.nodes * problem.nodes);
  for (std::uint32_t first = 0; first < places; ++first) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    for (std::uint32_t second = 0; second < places; ++second) {
      // Who may not come back goes up from the first to the second.
      if (problem.node(first) == problem.node(second) || (!problem.may_come_back && !is_up(problem, first, second))) continue;
      search.try_places(first, second, best[problem.node(first) * problem.nodes + problem.node(second)]);
    }
  }
  std::erase_if(best, [](const PairCut& pair) { return pair.cut == 0; });
  return best;
}

}  // namespace tideline
