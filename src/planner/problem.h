// Problem: what every planner searches, made from profiled models on a cluster or from a table of measured times. A value.
// Internal to src/planner; the arithmetic is cost/cost.h's, laid out for planners that look at every state.
//
// Blocks 0..n-1 run one after the other, each at one place (cluster/routes.h). The first block may begin where the request is, at
// place 0; between two blocks at different places the request goes down to the last place that both have in common and up again;
// in the end it returns to place 0. Neighbouring blocks at one place are one segment.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "cluster/routes.h"
#include "cost/cost.h"
#include "planner/planner.h"
#include "planner/table.h"

namespace tideline {

// The time of what cannot be.
inline constexpr double kNever = std::numeric_limits<double>::infinity();

struct Problem {
  // What it costs to move to the place from its parent and back: fixed + bytes * per byte. Zero at place 0.
  struct Moves {
    double up_ms = 0;
    double up_ms_per_byte = 0;
    double back_ms = 0;
    double back_ms_per_byte = 0;
  };

  std::size_t blocks = 0;         // n
  std::size_t nodes = 0;          // m: those that a request can reach, in the order of their first place
  std::vector<Place> places;      // a parent before its children; place 0 is the source; `node` is below m
  std::vector<Moves> moves;       // [place]
  std::vector<double> time;       // [block * m + node], milliseconds, with the node's slowdown
  std::vector<double> start;      // [cut * m + node]: to begin a segment at the cut, with its fixed overhead; empty: nothing
  std::vector<double> end;        // [cut * m + node]: to end one there; empty exactly when `start` is
  std::vector<double> cut_bytes;  // [cut], n + 1 of them
  double result_bytes = 0;        // what returns from the last block to place 0
  std::vector<std::uint32_t> node_ids;       // [node]: its index in the cluster or table
  std::vector<std::optional<Bytes>> memory;  // [node]; empty: no limits
  std::vector<const Profile*> profiles;      // [node], for memory; empty when `memory` is
  // Whether blocks may run on the way back. A table's definition has none.
  bool may_come_back = true;
  // A graph of ops instead of a row: sorted edges between blocks, each forwards. Then cut_bytes[i + 1] are the output bytes of
  // block i, places are a chain, and only min-cut, exhaustive and native can solve it.
  std::optional<std::vector<std::pair<std::uint32_t, std::uint32_t>>> edges;

  std::size_t node(std::size_t place) const { return static_cast<std::size_t>(places[place].node); }
  double start_ms(std::size_t cut, std::size_t node) const { return start.empty() ? 0 : start[cut * nodes + node]; }
  double end_ms(std::size_t cut, std::size_t node) const { return end.empty() ? 0 : end[cut * nodes + node]; }
  double bytes_up(std::size_t cut) const { return cut_bytes[cut]; }
  double bytes_back(std::size_t cut) const { return cut == blocks ? result_bytes : cut_bytes[cut]; }
  double up(std::size_t place, std::size_t cut) const { return moves[place].up_ms + bytes_up(cut) * moves[place].up_ms_per_byte; }
  double back(std::size_t place, std::size_t cut) const {
    return moves[place].back_ms + bytes_back(cut) * moves[place].back_ms_per_byte;
  }
  // Places are 0, 1, 2, ... each the parent of the next; place j is then node j.
  bool is_chain() const;
};

// REQUIRES: a request whose cluster and profiles belong together (run_planner() checks).
Result<Problem> make_problem(const PlanRequest& request);
// Blocks are the ops in the table's order.
Problem make_problem(const Table& table);

// Times add up block by block: no segment's time is cut off at zero. O(nodes x blocks).
bool is_additive(const Problem& problem);
// Whether every node has the memory for all of its segments together, as the cost model counts it.
bool fits_memory(const Problem& problem, std::span<const std::uint32_t> places);
// The positions of the walk from place 0 through the blocks' places and back, and for each block the index of its position.
struct Walk {
  std::vector<std::uint32_t> positions;  // places
  std::vector<std::uint32_t> position_of_block;
};
Walk walk_of(const std::vector<Place>& places, std::span<const std::uint32_t> place_of_block);

// What an algorithm answers.
struct Solution {
  std::vector<std::uint32_t> places;  // of each block
  std::string_view by = {};           // the planner that took over from the one that was asked; empty: none did
  PlannerStats stats;
  // In which what each block reads comes to it; empty: all raw.
  std::vector<std::string> codecs = {};
};
// What makes one placement better than another: less of the objective (accuracy counts negative), then sooner.
struct Rank {
  double value = 0;
  double latency_ms = 0;
  auto operator<=>(const Rank&) const = default;
};
struct SolveContext {
  CancelToken cancel;
  // The rank of a placement by the judge, or nothing when it is not possible. For exhaustive and native, which have no
  // arithmetic.
  std::function<std::optional<Rank>(std::span<const std::uint32_t>)> judge;
};

// The algorithms, one file each. kInfeasible without a sentence when no placement keeps the memory limits: whoever asked knows
// the nodes' names.
Result<Solution> solve_aaiot(const Problem& problem, const SolveContext& context);
Result<Solution> solve_route(const Problem& problem, const SolveContext& context);
Result<Solution> solve_chain_exact(const Problem& problem, const SolveContext& context);
Result<Solution> solve_exhaustive(const Problem& problem, const SolveContext& context);
Result<Solution> solve_min_cut(const Problem& problem, const SolveContext& context);
Result<Solution> solve_edgent(const Problem& problem, const SolveContext& context);
Result<Solution> solve_native(const Problem& problem, const SolveContext& context);
// The best placement with two segments or more. kInfeasible when there is none.
Result<Solution> solve_best_split(const Problem& problem, const SolveContext& context);

// Runs the algorithm of that name; models and tables share it. `used` becomes the name of the one that answered, which differs
// for "auto". kNotFound for an unknown name.
Result<Solution> run_solver(const Problem& problem, const SolveContext& context, std::string_view planner,
                            std::string_view& used);

// The blocks before `cut` at place `first`, the others at `second`.
struct PairCut {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  std::uint32_t cut = 0;
  double ms = std::numeric_limits<double>::infinity();  // this search's, to be judged
};
std::vector<std::uint32_t> placement_of(const Problem& problem, const PairCut& pair);
// For each two nodes the best one that keeps the memory limits; none for two that have none.
Result<std::vector<PairCut>> search_pairs(const Problem& problem, const CancelToken& cancel);

// The segment-wise search under memory limits that chain-exact and route share. `segments_min` is 1 or 2.
struct SegmentSearchOptions {
  bool may_come_back = false;
  std::size_t segments_min = 1;
};
Result<Solution> search_segments(const Problem& problem, const SegmentSearchOptions& options, const CancelToken& cancel);

}  // namespace tideline
