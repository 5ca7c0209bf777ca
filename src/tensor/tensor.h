// Tensors: element type, shape, and bytes in row-major order, little-endian.
//
// Values. `byte_size` is the one place where a size is computed from a shape: every reader, decoder and allocation uses it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/units.h"

namespace tideline {

// The numbers are ONNX's TensorProto.DataType, and travel on the wire.
enum class DType : std::uint8_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,  // has no fixed size: cannot cross a cut
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
};

// "float32", "uint8", ...; "undefined" for numbers that are not above.
std::string_view to_string(DType dtype);
// The inverse; kUndefined for any other name.
DType dtype_from(std::string_view name);
// Bytes of one element; 0 for types without a fixed size.
std::size_t element_bytes(DType dtype);

// A dimension that is not known before the run.
inline constexpr std::int64_t kUnknownDim = -1;
// Alone in a shape: not even the number of dimensions is known before the run.
inline constexpr std::int64_t kUnknownRank = -2;

struct TensorSpec {
  std::string name;
  DType dtype = DType::kUndefined;
  std::vector<std::int64_t> shape;  // each 0 or more, or kUnknownDim; or {kUnknownRank}
  bool operator==(const TensorSpec&) const = default;
};

inline bool has_rank(std::span<const std::int64_t> shape) { return shape.size() != 1 || shape.front() != kUnknownRank; }

// "float32[1,3,224,224]"; unknown dimensions are "?", and "..." when not even their number is known.
std::string describe(const TensorSpec& spec);

// Overflow-checked product of shape and element size. kUnsupported for types without a fixed size; kInvalidArgument for an
// unknown or negative dimension, a rank over limits::kTensorRankMax, or more than limits::kTensorBytesMax.
Result<Bytes> byte_size(DType dtype, std::span<const std::int64_t> shape);

struct Tensor {
  TensorSpec spec;
  Buffer data;  // byte_size(spec) bytes
};

// What somebody else owns.
struct TensorView {
  const TensorSpec* spec = nullptr;
  std::span<const std::byte> bytes;
};
inline TensorView view(const Tensor& tensor) { return {&tensor.spec, tensor.data.span()}; }

}  // namespace tideline
