// The topological order in which a graph is cut. Internal to model/.
#pragma once

#include <cstdint>
#include <vector>

#include "model/graph.h"

namespace tideline {

// What crosses after each prefix of an order.
//
// frontier_widths(order)[k] is the number of tensors that are there after the first k ops and needed by a later one or by the
// caller; constants do not count. Linear time.
std::vector<std::uint32_t> frontier_widths(const Graph& graph, const std::vector<OpId>& order);

// The live ops that are not constant, in the topological order, of those tried, with the most prefixes of at most `width`
// crossing tensors. Every order gives the same single-tensor cuts; wider ones depend on it, and the best order is hard to find
// (it is the cutwidth of a graph), so three cheap ones compete: the file's, depth first from the outputs, and one that always
// takes a ready op that makes the frontier smallest. O(ops + edges) up to a logarithm. docs/algorithms/cuts.md.
std::vector<OpId> cutting_order(const Graph& graph, std::uint32_t width);

}  // namespace tideline
