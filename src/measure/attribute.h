// Which blocks the engine's kernels belong to. The optimiser fuses ops, changes memory layouts and makes up tensors; what is left
// of the original graph are the names of tensors.
#pragma once

#include <vector>

#include "base/units.h"
#include "engine/engine.h"
#include "model/chain.h"

namespace tideline {

// The time of each block of the chain in the profiled run; 0 for input steps, which have no kernels. The time of a kernel that
// covers ops of several blocks is divided by their FLOPs. Kernels that can be traced to no op go to the block of the kernel
// before them. Pure.
std::vector<Millis> attribute_kernels(const Graph& graph, const Chain& chain, const std::vector<KernelTime>& kernels);

}  // namespace tideline
