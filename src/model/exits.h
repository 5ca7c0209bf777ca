// Where an early output leaves a chain: graph work for make_chain() and make_exit_chain(). Internal to model/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/chain.h"
#include "model/graph.h"

namespace tideline {

// The same graph for these outputs alone: ops that none of them depends on are dead. Ids stay what they are. O(ops + edges).
Graph for_outputs(Graph graph, std::vector<TensorId> outputs);
// The outputs that are not among `exits`; the output of that name. REQUIRES: outputs of the graph.
std::vector<TensorId> outputs_without(const Graph& graph, const std::vector<std::string>& exits);
Result<TensorId> output_named(const Graph& graph, const std::string& name);

// The first `after` blocks of the trunk, and the ops beyond them that the exit alone needs, in topological order.
struct Attachment {
  std::uint32_t after = 0;
  std::vector<OpId> head;
};
// The cut with the smallest head: that from whose tensors all that is missing of the exit can be computed, with the fewest ops.
// Of cuts with the same head the first one. `graph`: for_outputs() of the exit. O(cuts x ops of the exit) at worst.
Attachment attach(const Graph& graph, const Chain& trunk);

}  // namespace tideline
