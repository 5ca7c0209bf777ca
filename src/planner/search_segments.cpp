// The best walk, segment by segment: exact for each segment's memory. O(places x blocks^2) time. chain-exact is this search over
// the walks that come home when all is done, where no node is visited twice, so that it is exact under memory limits always;
// route uses it over all walks and checks two segments on one node afterwards.
//
//   ended[k][p]   the first k blocks are done, and a segment at p ends there
//   begin[k][p]   the cut after k blocks is at p, where a segment begins (begin[0][0] = 0)
//   ended[k][p] = min over i < k with segment i..k-1 fitting p's node of begin[i][p] + time_p(i, k)
// and `begin` out of `ended` by moves down and up as in search_route.cpp. A segment is one step here, so its memory can be
// checked, and its time be cut off at zero. For the best real split the states also count how many segments there are: none, one,
// or more.
//
// Ties: as in search_route.cpp.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "planner/problem.h"

namespace tideline {
namespace {

// Nodes visited so far: one, two, or more.
constexpr std::size_t kLayers = 3;

struct SegmentReached {
  double ms = kNever;
  std::uint32_t place = 0;  // where the segment before ended
  bool beats(const SegmentReached& other) const { return ms < other.ms || (ms == other.ms && place < other.place); }
};

struct Ended {
  double ms = kNever;
  std::uint32_t first = 0;   // block of the segment
  std::uint32_t before = 0;  // place of the segment before; of no meaning for first == 0
  std::uint32_t layer_before = 0;
};

struct Down {
  SegmentReached best;
  SegmentReached second;  // by another child
  std::uint32_t child = 0;
};

class SegmentSearch {
 public:
  SegmentSearch(const Problem& problem, const SegmentSearchOptions& options)
      : problem_(problem),
        options_(options),
        layers_(options.segments_min > 1 ? kLayers : 1),
        places_(problem.places.size()),
        ended_(places_ * (problem.blocks + 1) * layers_),
        begin_(places_ * (problem.blocks + 1) * layers_),
        before_(problem.nodes, std::vector<double>(problem.blocks + 1, 0)) {
    for (std::size_t node = 0; node < problem.nodes; ++node)
      for (std::size_t cut = 1; cut <= problem.blocks; ++cut)
        before_[node][cut] = before_[node][cut - 1] + problem.time[(cut - 1) * problem.nodes + node];
  }

  Result<Solution> solve(const CancelToken& cancel) {
    for (std::size_t cut = 0; cut <= problem_.blocks; ++cut) {
      if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      if (cut > 0)
        for (std::size_t place = 0; place < places_; ++place) end_at(place, cut);
      move(cut);
    }
    Solution solution{.places = placement(), .stats = std::move(stats_)};
    if (solution.places.empty()) return Error{ErrorCode::kInfeasible, ""};
    return solution;
  }

 private:
  // One place's cuts lie together: end_at() reads them all.
  std::size_t at(std::size_t place, std::size_t cut, std::size_t layer) const {
    return (place * (problem_.blocks + 1) + cut) * layers_ + layer;
  }

  void end_at(std::size_t place, std::size_t cut) {
    const std::size_t node = problem_.node(place);
    const bool is_limited = !problem_.memory.empty() && problem_.memory[node].has_value();
    const std::vector<double>& before = before_[node];
    const double until = before[cut] + problem_.end_ms(cut, node);
    Bytes parameters = 0;
    Bytes activation = 0;
    for (std::size_t first = cut; first-- > 0;) {
      if (is_limited) {
        const BlockProfile& block = problem_.profiles[node]->blocks[first];
        parameters += block.parameter_bytes;
        activation = std::max(activation, block.activation_bytes);
        if (parameters + activation > *problem_.memory[node]) {
          stats_.pruned_memory += first + 1;
          return;
        }
      }
      ++stats_.considered;
      const double time = std::max(0.0, until - before[first] + problem_.start_ms(first, node));
      for (std::size_t layer = 0; layer < layers_; ++layer) {
        const SegmentReached& begin = begin_[at(place, first, layer)];
        if (begin.ms == kNever) continue;
        Ended& end = ended_[at(place, cut, std::min(layer + 1, layers_ - 1))];
        const double ms = begin.ms + time;
        // Starts come from the last to the first. On a tie the longer segment wins only when what runs before the shorter one is
        // higher than this place.
        if (ms > end.ms || (ms == end.ms && end.before <= place)) continue;
        end = {ms, static_cast<std::uint32_t>(first), begin.place, static_cast<std::uint32_t>(layer)};
      }
    }
  }

  SegmentReached ended(std::size_t place, std::size_t cut, std::size_t layer) const {
    return {ended_[at(place, cut, layer)].ms, static_cast<std::uint32_t>(place)};
  }

  void move(std::size_t cut) {
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      std::vector<Down> down(places_);
      if (options_.may_come_back && cut > 0) {
        for (std::size_t place = places_; place-- > 1;) {
          SegmentReached from = ended(place, cut, layer);
          if (down[place].best.beats(from)) from = down[place].best;
          from.ms += problem_.back(place, cut);
          Down& to = down[problem_.places[place].parent];
          if (from.beats(to.best)) {
            to = {from, to.best, static_cast<std::uint32_t>(place)};
          } else if (from.beats(to.second)) {
            to.second = from;
          }
        }
      }
      std::vector<SegmentReached> up(places_);
      if (cut == 0 && layer == 0) up[0].ms = 0;
      for (std::size_t place = 1; place < places_; ++place) {
        const std::size_t parent = problem_.places[place].parent;
        SegmentReached best = up[parent];
        const SegmentReached own = ended(parent, cut, layer);
        if (own.beats(best)) best = own;
        const SegmentReached& other = down[parent].child == place ? down[parent].second : down[parent].best;
        if (other.beats(best)) best = other;
        best.ms += problem_.up(place, cut) + (options_.may_come_back ? 0 : problem_.back(place, problem_.blocks));
        up[place] = best;
      }
      for (std::size_t place = 0; place < places_; ++place)
        begin_[at(place, cut, layer)] = down[place].best.beats(up[place]) ? down[place].best : up[place];
      if (cut == problem_.blocks && layer + 1 == layers_) home_ = options_.may_come_back ? down[0].best : SegmentReached{};
    }
  }

  // Empty when there is none.
  std::vector<std::uint32_t> placement() const {
    std::size_t layer = layers_ - 1;
    SegmentReached best = home_;
    for (std::size_t place = 0; place < (options_.may_come_back ? 1 : places_); ++place)
      if (ended(place, problem_.blocks, layer).beats(best)) best = ended(place, problem_.blocks, layer);
    if (best.ms == kNever) return {};
    std::vector<std::uint32_t> places(problem_.blocks);
    std::size_t place = best.place;
    for (std::size_t cut = problem_.blocks; cut > 0;) {
      const Ended& end = ended_[at(place, cut, layer)];
      std::fill(places.begin() + static_cast<std::ptrdiff_t>(end.first), places.begin() + static_cast<std::ptrdiff_t>(cut),
                static_cast<std::uint32_t>(place));
      cut = end.first;
      place = end.before;
      layer = end.layer_before;
    }
    return places;
  }

  const Problem& problem_;
  const SegmentSearchOptions options_;
  const std::size_t layers_;
  const std::size_t places_;
  std::vector<Ended> ended_;                 // [place][cut][layer]
  std::vector<SegmentReached> begin_;        // [place][cut][layer]
  std::vector<std::vector<double>> before_;  // [node][cut]: time of the blocks before the cut
  SegmentReached home_;                      // down at place 0 after the last block
  PlannerStats stats_;
};

}  // namespace

Result<Solution> search_segments(const Problem& problem, const SegmentSearchOptions& options, const CancelToken& cancel) {
  const std::size_t states = problem.places.size() * (problem.blocks + 1) * (options.segments_min > 1 ? kLayers : 1);
  if (states > limits::kSegmentStatesMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] searching segment by segment takes at most {} states, and {} blocks at {} places have {}",
                             limits::kSegmentStatesMax, problem.blocks, problem.places.size(), states)};
  return SegmentSearch(problem, options).solve(cancel);
}

Result<Solution> solve_chain_exact(const Problem& problem, const SolveContext& context) {
  if (problem.edges)
    return Error{ErrorCode::kUnsupported,
                 "[plan] chain-exact takes blocks in a row, and the edges of this table are a graph: use --planner min-cut"};
  return search_segments(problem, {}, context.cancel);
}

}  // namespace tideline
