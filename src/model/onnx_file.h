// Reading ONNX bytes into protobuf classes, with every check that does not need the graph. Internal to model/.
//
// Include only from .cpp files of model/: the generated classes are slow to compile.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <onnx/onnx_pb.h>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "tensor/tensor.h"

namespace tideline {

// What the file's bytes will take once parsed, beside weights; kCorrupt when they are not a protobuf message. Recursion and
// memory are constant, so it may be asked of anything.
Result<Bytes> estimate_structure_bytes(std::string_view bytes);

// Where external data may lie.
struct DataFolders {
  std::string folder;  // the model's; empty: external data is refused
  // Set when the model's path is a symbolic link: the folder of the file behind it. A file of data that is such a link itself,
  // right into this folder, is read there, as if the model had been opened there: the layout of caches that keep every file once.
  std::optional<std::string> behind_link;
};

// Parsed, with external data read in (so that no tensor refers to a file) and every tensor checked against its shape.
// `sha256` is set as Model::sha256 says.
Result<onnx::ModelProto> read_onnx(std::string_view bytes, const DataFolders& folders, Sha256& sha256);

// Every tensor in the model: initialisers and attributes, of all graphs, subgraphs and functions.
using TensorVisitor = std::function<Status(onnx::TensorProto&)>;
Status for_each_tensor(onnx::ModelProto& model, const TensorVisitor& visit);

// Bits of one element of ONNX's type numbers, those newer than DType included; 0 for strings, -1 for what does not exist.
int onnx_element_bits(int onnx_type);
// Elements and bytes of a tensor by its shape, checked for overflow and against the limits.
struct TensorSize {
  Bytes elements = 0;
  Bytes bytes = 0;  // of strings: of the text
};
Result<TensorSize> onnx_tensor_size(const onnx::TensorProto& tensor);

// Names are UTF-8 without NUL, at most limits::kNameBytesMax long; `what` is for the error.
Status check_name(std::string_view name, std::string_view what);

// The parts of reading say only what is wrong; Model puts "[model] 'net.onnx': " in front.
inline Error model_error(std::string message, ErrorCode code = ErrorCode::kInvalidArgument) {
  return Error{code, std::move(message)};
}

}  // namespace tideline
