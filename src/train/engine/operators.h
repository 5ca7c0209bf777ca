// The operators of NetGraph on libtorch's tensors; gradients are libtorch's. Include only from train/engine/: torch's headers
// are slow to compile.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "base/result.h"
#include "train/engine/net.h"
#include "train/engine/net_graph.h"

namespace tideline::train {

struct Mode {
  bool training = false;                     // batch statistics are used and running ones updated; dropout drops
  c10::optional<at::Generator> random = {};  // of dropout
};

// Values of a graph's tensors by their index; undefined where not known yet.
using Values = std::vector<at::Tensor>;

// Parameters (leaves that want gradients), buffers and constants, as numbers of `type`.
Values starting_values(const NetGraph& graph, at::ScalarType type);

// Runs nodes [first, last). `values` has what they read; tensors are dropped after their last use in the range, unless `keep`.
// kInvalidArgument naming the node where shapes do not fit.
Status run_nodes(const NetGraph& graph, NodeRange range, const Mode& mode, const std::vector<char>& keep, Values& values);

}  // namespace tideline::train
