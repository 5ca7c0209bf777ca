// Shape and Size ops whose answer no run can change, made constants. Exports with dynamic axes compute the targets of their
// Reshapes from Shape(x); once the inputs have their sizes, all that is constant, and must not cross every cut. Internal to
// model/.
#pragma once

#include <vector>

#include "model/graph_build.h"

namespace tideline {

// Puts Constant nodes in the place of the main graph's Shape and Size ops of tensors whose sizes follow from the (fixed) sizes of
// the inputs alone: those that the engine inferred, and those of ops that are known not to look at values.
// docs/algorithms/cuts.md. When some were folded, the graph must be built anew. REQUIRES: built was made from model and has
// measured shapes.
struct FoldedShapes {
  std::size_t folded = 0;
  // By tensor: its sizes, or at least their number, are the same in every run.
  std::vector<char> settled;
  std::vector<char> ranked;
};
FoldedShapes fold_shapes(onnx::ModelProto& model, const BuiltGraph& built);

}  // namespace tideline
