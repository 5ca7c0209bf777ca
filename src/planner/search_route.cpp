// The shortest walk over the places of a cluster: route, and the default where aaiot does not go. O(blocks x places) time and
// space; exact over every walk when no memory limit binds.
//
// With k blocks done and their cut at place p, a request is in one of three states:
//   running[k][p]   block k-1 ran at p, and the segment may go on
//   down[k][p]      it has come back down to p since the last block; nothing has run at p since
//   up[k][p]        it has come up to p
// A segment's end opens moves down, moves down open moves up, and moves up open only a segment:
//   down[k][p]      = min over children c of p:  back_c(k) + min(running[k][c] + end_c(k), down[k][c])
//   up[k][p]        = up_p(k) + min(running[k][q] + end_q(k), up[k][q], down[k][q] not out of p)    q the parent of p
//   running[k+1][p] = time_p(k) + min(running[k][p], start_p(k) + min(down[k][p], up[k][p]))
// with up[0][0] = 0, and the answer is min(running[n][0] + end_0(n), down[n][0]). So a request never comes back to where it is
// without a block having run: the best and the second best child of each place are kept, so that the way up to a child can leave
// out what came down from it. See docs/algorithms/route.md. AAIoT is the case of a chain without `down`.
//
// Ties go to the lower place: of the walks with the least latency, the one whose last block runs at the lowest place, then the
// block before it, and so on. With each value goes the place of the block before, and equal values compare by it.
//
// Where a memory limit binds or a segment's time is cut off at zero, times do not add up block by block, and the segment-wise
// search takes over; it checks each segment against its node. Only where two segments on one node are too much together, or a
// walk would be longer than a plan may be, does the answer become the best of the walks that go up and come home when all is
// done; the note says so.
#include <array>
#include <limits>

#include <fmt/format.h>

#include "base/limits.h"
#include "planner/problem.h"

namespace tideline {
namespace {

// Choices of a state in 16 bits: the place of the block before (12), the layer it was in (2), whether the segment goes on (1).
constexpr std::uint32_t kPlaceBits = 12;
static_assert(limits::kRoutePlacesMax <= std::size_t{1} << kPlaceBits);
constexpr std::uint16_t kGoesOn = 1u << 15;

// A value with where the block before ran, and in which layer.
struct Reached {
  double ms = kNever;
  std::uint16_t place = 0;
  std::uint16_t layer = 0;

  bool beats(const Reached& other) const { return ms < other.ms || (ms == other.ms && place < other.place); }
  Reached plus(double more) const { return {ms + more, place, layer}; }
};

// Layers count the segments begun so far: one layer for no counting; three for none, one, and two or more.
template <std::size_t kLayers>
class Search {
 public:
  explicit Search(const Problem& problem)
      : problem_(problem),
        places_(problem.places.size()),
        running_(places_ * kLayers, kNever),
        waiting_(places_ * kLayers),
        down_(places_ * kLayers),
        choices_((problem.blocks + 1) * places_ * kLayers) {}

  // The places of the blocks; empty when no walk has enough segments.
  Result<std::vector<std::uint32_t>> solve(const CancelToken& cancel) {
    for (std::size_t cut = 0; cut <= problem_.blocks; ++cut) {
      if (cut % 64 == 0 && cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      if (cut > 0) compute(cut);
      if (cut > 0) come_down(cut);
      go_up(cut);
    }
    return placement();
  }

 private:
  struct Down {
    Reached best;
    Reached second;  // by another child
    std::uint32_t child = 0;
  };

  std::size_t at(std::size_t place, std::size_t layer) const { return place * kLayers + layer; }

  // The first block of a walk begins layer 1 of 0, 1 and 2, where layers are counted.
  static constexpr std::size_t next_layer(std::size_t layer) { return layer + 1 < kLayers ? layer + 1 : kLayers - 1; }

  void compute(std::size_t cut) {
    for (std::size_t place = 0; place < places_; ++place) {
      const std::size_t node = problem_.node(place);
      const double time = problem_.time[(cut - 1) * problem_.nodes + node];
      const double start = problem_.start_ms(cut - 1, node);
      std::array<Reached, kLayers> begun;
      for (std::size_t layer = 0; layer < kLayers; ++layer) {
        Reached from = waiting_[at(place, layer)].plus(start);
        from.layer = static_cast<std::uint16_t>(layer);
        Reached& to = begun[next_layer(layer)];
        if (from.beats(to)) to = from;
      }
      for (std::size_t layer = 0; layer < kLayers; ++layer) {
        double& running = running_[at(place, layer)];
        const Reached on{running, static_cast<std::uint16_t>(place), static_cast<std::uint16_t>(layer)};
        const bool goes_on = on.beats(begun[layer]);
        const Reached& chosen = goes_on ? on : begun[layer];
        running = chosen.ms + time;
        choices_[cut * places_ * kLayers + at(place, layer)] =
            static_cast<std::uint16_t>((goes_on ? kGoesOn : 0) | (chosen.layer << kPlaceBits) | chosen.place);
      }
    }
  }

  Reached ended(std::size_t cut, std::size_t place, std::size_t layer) const {
    return {running_[at(place, layer)] + problem_.end_ms(cut, problem_.node(place)), static_cast<std::uint16_t>(place),
            static_cast<std::uint16_t>(layer)};
  }

  void come_down(std::size_t cut) {
    for (Down& down : down_) down = {};
    if (!problem_.may_come_back) return;
    for (std::size_t place = places_; place-- > 1;) {
      const std::size_t parent = problem_.places[place].parent;
      const double back = problem_.back(place, cut);
      for (std::size_t layer = 0; layer < kLayers; ++layer) {
        Reached from = ended(cut, place, layer);
        const Reached& relayed = down_[at(place, layer)].best;
        if (relayed.beats(from)) from = relayed;
        from = from.plus(back);
        Down& to = down_[at(parent, layer)];
        if (from.beats(to.best)) {
          to.second = to.best;
          to.best = from;
          to.child = static_cast<std::uint32_t>(place);
        } else if (from.beats(to.second)) {
          to.second = from;
        }
      }
    }
  }

  // Sets waiting_ to the better of up and down, and up_ where relays need it.
  void go_up(std::size_t cut) {
    up_.assign(places_ * kLayers, {});
    if (cut == 0) up_[at(0, 0)].ms = 0;
    for (std::size_t place = 1; place < places_; ++place) {
      const std::size_t parent = problem_.places[place].parent;
      // Who may not come back pays the way home of the result with each move up.
      const double up = problem_.up(place, cut) + (problem_.may_come_back ? 0 : problem_.back(place, problem_.blocks));
      for (std::size_t layer = 0; layer < kLayers; ++layer) {
        Reached best = up_[at(parent, layer)];
        if (cut > 0) {
          const Reached own = ended(cut, parent, layer);
          if (own.beats(best)) best = own;
          const Down& down = down_[at(parent, layer)];
          const Reached& other = down.child == place ? down.second : down.best;
          if (other.beats(best)) best = other;
        }
        up_[at(place, layer)] = best.plus(up);
      }
    }
    for (std::size_t i = 0; i < waiting_.size(); ++i) waiting_[i] = down_[i].best.beats(up_[i]) ? down_[i].best : up_[i];
  }

  std::vector<std::uint32_t> placement() const {
    const std::size_t n = problem_.blocks;
    std::size_t layer = kLayers - 1;
    Reached best;
    for (std::size_t place = 0; place < (problem_.may_come_back ? 1 : places_); ++place) {
      const Reached end = ended(n, place, layer);
      if (end.beats(best)) best = end;
      if (down_[at(place, layer)].best.beats(best)) best = down_[at(place, layer)].best;
    }
    if (best.ms == kNever) return {};
    std::vector<std::uint32_t> places(n);
    std::size_t place = best.place;
    for (std::size_t cut = n; cut > 0; --cut) {
      places[cut - 1] = static_cast<std::uint32_t>(place);
      const std::uint16_t choice = choices_[cut * places_ * kLayers + at(place, layer)];
      place = choice & ((1u << kPlaceBits) - 1);
      layer = (choice >> kPlaceBits) & 3u;
    }
    return places;
  }

  const Problem& problem_;
  const std::size_t places_;
  std::vector<double> running_;   // [place * layers + layer], of the current cut
  std::vector<Reached> waiting_;  // to begin a segment at the current cut
  std::vector<Reached> up_;
  std::vector<Down> down_;
  std::vector<std::uint16_t> choices_;  // [cut][place][layer], of running
};

bool is_short_enough(const Problem& problem, std::span<const std::uint32_t> places) {
  return walk_of(problem.places, places).positions.size() <= limits::kPlanStagesMax;
}

// The three searches one after the other, each only where the one before has no answer that is possible.
Result<Solution> solve(const Problem& problem, std::size_t segments_min, std::string_view name, const CancelToken& cancel) {
  if (problem.edges)
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[plan] {} takes blocks in a row, and the edges of this table are a graph: use --planner min-cut", name)};
  const std::size_t layers = segments_min > 1 ? 3 : 1;
  const std::size_t states = (problem.blocks + 1) * problem.places.size() * layers;
  if (states > limits::kRouteStatesMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] {} takes at most {} states, and {} blocks at {} places have {}", name,
                             limits::kRouteStatesMax, problem.blocks, problem.places.size(), states)};
  const auto is_possible = [&](const Solution& solution) {
    return fits_memory(problem, solution.places) && is_short_enough(problem, solution.places);
  };
  Solution solution{.stats = {.considered = 3 * states}};
  const bool additive = is_additive(problem);
  if (additive) {
    TIDELINE_TRY(solution.places, segments_min > 1 ? Search<3>(problem).solve(cancel) : Search<1>(problem).solve(cancel));
    if (solution.places.empty()) return Error{ErrorCode::kInfeasible, ""};
    if (is_possible(solution)) return solution;
  }
  TIDELINE_TRY(Solution segments, search_segments(problem, {problem.may_come_back, segments_min}, cancel));
  segments.stats.note = additive ? "memory limits bind: searched segment by segment"
                                 : "segments whose corrected time would be negative: searched segment by segment";
  if (is_possible(segments)) return segments;
  auto up = search_segments(problem, {false, segments_min}, cancel);
  if (!up && up.error().code == ErrorCode::kInfeasible)
    return Error{
        ErrorCode::kUnsupported,
        "[plan] no route that comes home when all is done keeps the memory limits, and those that come back with blocks left "
        "need two segments on one node: use --planner exhaustive, or raise `memory` in the cluster file"};
  if (!up) return up.error();
  up->by = "chain-exact";
  up->stats.note = "one node would have too many segments at once: the best of the routes that come home when all is done";
  return up;
}

}  // namespace

Result<Solution> solve_route(const Problem& problem, const SolveContext& context) {
  return solve(problem, 1, "route", context.cancel);
}

Result<Solution> solve_best_split(const Problem& problem, const SolveContext& context) {
  return solve(problem, 2, "the best split", context.cancel);
}

}  // namespace tideline
