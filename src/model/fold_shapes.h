// Shape and Size ops whose answer no run can change, made constants. Exports with dynamic axes compute the targets of their
// Reshapes from Shape(x); once the inputs have their sizes, all that is constant, and must not cross every cut. Internal to
// model/.
#pragma once

#include "model/graph_build.h"

namespace tideline {

// Puts Constant nodes in the place of the main graph's Shape and Size ops of tensors whose sizes follow from the (fixed) sizes of
// the inputs alone: those that the engine inferred, and those of ops that are known not to look at values.
// docs/algorithms/cuts.md. Returns how many; the graph must then be built anew. REQUIRES: built was made from model and has
// measured shapes.
std::size_t fold_shapes(onnx::ModelProto& model, const BuiltGraph& built);

}  // namespace tideline
