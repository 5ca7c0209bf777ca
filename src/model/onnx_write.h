// Writes an ONNX file from parts that stay where they are: weights are copied once, into the result. Internal to model/.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include "base/result.h"

namespace tideline {

struct OnnxParts {
  onnx::ModelProto shell;  // everything but what follows
  std::vector<const onnx::NodeProto*> nodes;
  std::deque<onnx::NodeProto> own_nodes;  // those of `nodes` that no model has
  std::vector<const onnx::TensorProto*> initializers;
  std::vector<const onnx::SparseTensorProto*> sparse_initializers;
};

// What the file says of itself: metadata (class names, licences, strides), domain, version and texts, but not who wrote it.
void copy_origin(const onnx::ModelProto& from, onnx::ModelProto& to);
// Bytes that append_onnx would add.
std::uint64_t onnx_size(const OnnxParts& parts);
// REQUIRES: the shell has a graph without nodes and initialisers. kUnsupported above 2 GB, the limit of the format.
Status append_onnx(const OnnxParts& parts, std::string& bytes);

}  // namespace tideline
