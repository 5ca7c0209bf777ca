// Gives the dynamic dimensions of a model's inputs their size. Internal to model/.
#pragma once

#include <onnx/onnx_pb.h>

#include "base/result.h"
#include "model/model.h"

namespace tideline {

// Writes the sizes of `options` into the inputs of the main graph: first those given by name, then those that follow from the
// input section, then those of dimensions that share a symbol with one of these. kInvalidArgument for a name that is no input, a
// size that contradicts the file, or one below 0.
Status fix_inputs(onnx::GraphProto& graph, const ModelOptions& options);

}  // namespace tideline
