// The least period of a graph of ops: contiguous parts, one for each device, such that the busiest one is as little busy as can
// be. Never an answer without its bound. docs/algorithms/graph-period.md. Pure functions; internal to src/planner and to bench/.
//
// Two kinds of problems, one search. On a line the devices stand in the order of a route, each with its own times, and what
// crosses from one to the next loads the link between them. In a pool (Tarnawski et al., "Efficient Algorithms for Device
// Placement of DNN Graph Operators", NeurIPS 2020, section 3) devices of a kind are alike, stand in any order and meet in a main
// memory: a device is also busy with what it reads from there and writes to it.
//
// Exact: a search over down-sets with a cap on the period. No answer under a cap is a proof that the period is above it; an
// answer under it is the best of all. Caps rise until one of them happens, or until `parts_max` parts were looked at: then the
// best over prefixes of a few orders is the answer, and the last cap without one is the bound.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "planner/graph_parts.h"

namespace tideline {

struct GraphPool {
  struct Kind {
    std::uint32_t count = 0;
    std::vector<double> work;        // [op]; infinite: not on this kind
    double transfer = 0;             // work for each byte read from main memory, and for each written
    std::optional<double> size_max;  // of a device's ops together
  };
  OpGraph graph;
  std::vector<double> size;  // [op]; empty: nothing
  std::vector<Kind> kinds;   // at most 8, with at most 64 devices together
};

struct GraphLine {
  struct Link {
    double per_byte = 0;  // on the way there
    double back = 0;      // the whole of what comes back when a device beyond it computes
  };
  OpGraph graph;
  std::vector<std::vector<double>> work;  // [position][op]; infinite: not there
  std::vector<Link> links;                // links[j] joins positions j and j + 1
};

struct GraphPeriodOptions {
  // Some 10 seconds.
  std::uint64_t parts_max = 50'000'000;
  // Down-sets kept at once: some hundred megabytes.
  std::size_t states_max = 4'000'000;
  // Whoever knows of something as good looks for what is better only.
  double below = std::numeric_limits<double>::infinity();
  CancelToken cancel;
};

struct GraphPeriod {
  double period = 0;
  double bound = 0;  // no answer is better; equal to `period`: it is the best
  // [op], in the order of the parts; of a line: its position. Empty, and `period` what was asked to be below, when nothing was
  // found and it is not proven that there is nothing.
  std::vector<std::uint32_t> part;
  std::vector<std::uint32_t> kind;  // [part], of a pool
  std::uint64_t parts_seen = 0;
};

// kInfeasible when nothing is below `options.below`, or no device may run some op, or sizes do not fit;
// kUnsupported beyond 4096 ops that are not free (graph_reduce.h).
Result<GraphPeriod> pool_period(const GraphPool& pool, const GraphPeriodOptions& options);
Result<GraphPeriod> line_period(const GraphLine& line, const GraphPeriodOptions& options);

}  // namespace tideline
