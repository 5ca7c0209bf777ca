// Ops that cost nothing wherever they run, put with a neighbour before a search: what they do there can only make less cross.
// Internal to src/planner.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/graph_parts.h"

namespace tideline {

struct ReducedGraph {
  OpGraph graph;
  std::vector<std::uint32_t> group;  // [op of the whole graph]: its op here, or kOutside: it may run first, wherever that is
};

// `is_free[op]`: no work and no size on any device. Some placement with the least period, or with the least of any sum that grows
// with what crosses, has every op with its group:
// - a free op whose inputs all come from one op joins it when nothing of its own would cross, or when it alone reads them and its
//   outputs are no larger;
// - a free op whose one output one op reads joins that when its inputs are no larger;
// - without inputs and with outputs of no bytes it may run before everything.
ReducedGraph without_free_ops(const OpGraph& graph, const std::vector<bool>& is_free);

}  // namespace tideline
