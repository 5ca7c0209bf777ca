// Every placement, judged by the cost model alone: the referee of the other planners. On a row of blocks every assignment of
// blocks to places, back and forth as the problem allows; on a graph of ops every one in which no edge goes back. Exponential;
// gives up beyond limits::kExhaustivePlacementsMax placements or limits::kExhaustiveVisitsMax block visits with kUnsupported.
#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "planner/problem.h"

namespace tideline {
namespace {

class Odometer {
 public:
  Odometer(const Problem& problem, bool may_come_back)
      : problem_(problem), place_count_(static_cast<std::uint32_t>(problem.places.size())), predecessors_(problem.blocks) {
    if (problem.edges) {
      for (const auto& [from, to] : *problem.edges) predecessors_[to].push_back(from);
    } else if (!may_come_back) {
      for (std::uint32_t i = 1; i < problem.blocks; ++i) predecessors_[i].push_back(i - 1);
    }
    places_.assign(problem.blocks, 0);
    for (std::size_t i = 0; i < places_.size(); ++i) place_first(i, 0);
  }

  const std::vector<std::uint32_t>& places() const { return places_; }

  // No recursion, so that no file can overflow the stack. False after the last one.
  bool advance() {
    std::size_t i = places_.size();
    while (i > 0 && !place_first(i - 1, places_[i - 1] + 1)) --i;
    if (i == 0) return false;
    for (; i < places_.size(); ++i) place_first(i, 0);
    return true;
  }

 private:
  // The first place from `from` on that every block before this one can be followed to. Its predecessor's own place always is.
  bool place_first(std::size_t block, std::uint32_t from) {
    for (std::uint32_t place = from; place < place_count_; ++place) {
      const bool fits = std::all_of(predecessors_[block].begin(), predecessors_[block].end(),
                                    [&](std::uint32_t before) { return is_up(places_[before], place); });
      if (!fits) continue;
      places_[block] = place;
      return true;
    }
    return false;
  }

  bool is_up(std::uint32_t from, std::uint32_t to) const {
    while (problem_.places[to].depth > problem_.places[from].depth) to = problem_.places[to].parent;
    return to == from;
  }

  const Problem& problem_;
  const std::uint32_t place_count_;
  std::vector<std::vector<std::uint32_t>> predecessors_;
  std::vector<std::uint32_t> places_;
};

// Lower from the last block backwards: the tie rule of every planner.
bool is_lower(const std::vector<std::uint32_t>& left, const std::vector<std::uint32_t>& right) {
  for (std::size_t i = left.size(); i-- > 0;)
    if (left[i] != right[i]) return left[i] < right[i];
  return false;
}

// How many placements a row of blocks has.
double count_placements(const Problem& problem, bool may_come_back) {
  std::vector<double> ways(problem.places.size(), 1);
  double total = static_cast<double>(ways.size());
  for (std::size_t block = 1; block < problem.blocks && total <= 2.0 * limits::kExhaustivePlacementsMax; ++block) {
    // Of a block at a place: those of the block before at the places on the way there, or anywhere.
    const double anywhere = total;
    total = 0;
    for (std::size_t place = 0; place < ways.size(); ++place) {
      if (may_come_back)
        ways[place] = anywhere;
      else if (place > 0)
        ways[place] += ways[problem.places[place].parent];
      total += ways[place];
    }
  }
  return total;
}

}  // namespace

Result<Solution> solve_exhaustive(const Problem& problem, const SolveContext& context) {
  const std::uint64_t work = problem.blocks + (problem.edges ? problem.edges->size() : problem.blocks - 1);
  const std::uint64_t placements_max = std::min(limits::kExhaustivePlacementsMax, limits::kExhaustiveVisitsMax / work + 1);
  const Error too_many{
      ErrorCode::kUnsupported,
      fmt::format("[plan] exhaustive tries at most {} placements of {} blocks at {} places, and there are more: use --planner {}",
                  placements_max, problem.blocks, problem.places.size(),
                  problem.edges ? "min-cut" : (problem.may_come_back ? "route" : "aaiot"))};
  const auto is_too_many = [&](bool may_come_back) {
    return !problem.edges && count_placements(problem, may_come_back) > static_cast<double>(placements_max);
  };
  PlannerStats stats;
  bool may_come_back = problem.may_come_back;
  if (may_come_back && is_too_many(true)) {
    may_come_back = false;
    stats.note = "too many placements: only the routes that come home when all is done were tried";
  }
  if (is_too_many(may_come_back)) return too_many;
  Solution best;
  std::optional<Rank> best_rank;
  Odometer odometer(problem, may_come_back);
  do {
    if (++stats.considered > placements_max) return too_many;
    if (stats.considered % 1024 == 0 && context.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    const std::optional<Rank> rank = context.judge(odometer.places());
    if (!rank) {
      ++stats.pruned_memory;
      continue;
    }
    if (best_rank && (*rank > *best_rank || (*rank == *best_rank && !is_lower(odometer.places(), best.places)))) continue;
    best.places = odometer.places();
    best_rank = rank;
  } while (odometer.advance());
  if (!best_rank) return Error{ErrorCode::kInfeasible, ""};
  best.stats = std::move(stats);
  return best;
}

}  // namespace tideline
