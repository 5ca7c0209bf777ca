#include "tensor/tensor.h"

#include <array>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

struct Type {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<Type, 17> kTypes{{{"undefined", 0},
                                       {"float32", 4},
                                       {"uint8", 1},
                                       {"int8", 1},
                                       {"uint16", 2},
                                       {"int16", 2},
                                       {"int32", 4},
                                       {"int64", 8},
                                       {"string", 0},
                                       {"bool", 1},
                                       {"float16", 2},
                                       {"float64", 8},
                                       {"uint32", 4},
                                       {"uint64", 8},
                                       {"complex64", 8},
                                       {"complex128", 16},
                                       {"bfloat16", 2}}};

const Type& type_of(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return kTypes[index < kTypes.size() ? index : 0];
}

}  // namespace

std::string_view to_string(DType dtype) { return type_of(dtype).name; }

DType dtype_from(std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i)
    if (kTypes[i].name == name) return static_cast<DType>(i);
  return DType::kUndefined;
}

std::size_t element_bytes(DType dtype) { return type_of(dtype).bytes; }

std::string describe(const TensorSpec& spec) {
  if (!has_rank(spec.shape)) return fmt::format("{}[...]", to_string(spec.dtype));
  std::string text = fmt::format("{}[", to_string(spec.dtype));
  for (std::size_t i = 0; i < spec.shape.size(); ++i) {
    if (i > 0) text += ',';
    text += spec.shape[i] == kUnknownDim ? "?" : fmt::to_string(spec.shape[i]);
  }
  return text + ']';
}

Result<Bytes> byte_size(DType dtype, std::span<const std::int64_t> shape) {
  const std::size_t element = element_bytes(dtype);
  if (element == 0)
    return Error{ErrorCode::kUnsupported, fmt::format("[tensor] elements of type {} have no fixed size", to_string(dtype))};
  if (shape.size() > limits::kTensorRankMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[tensor] a tensor has {} dimensions, above the limit of {}", shape.size(), limits::kTensorRankMax)};
  if (!has_rank(shape))
    return Error{ErrorCode::kInvalidArgument, "[tensor] the number of dimensions is unknown, so the size is too"};
  // A zero anywhere makes the tensor empty, however large the others are; they are still checked for sense.
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim == kUnknownDim) return Error{ErrorCode::kInvalidArgument, "[tensor] a dimension is unknown, so the size is too"};
    if (dim < 0) return Error{ErrorCode::kInvalidArgument, fmt::format("[tensor] dimension {} is negative", dim)};
    empty = empty || dim == 0;
  }
  Bytes bytes = empty ? 0 : element;
  for (const std::int64_t dim : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<Bytes>(dim), &bytes) || bytes > limits::kTensorBytesMax)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[tensor] {} is larger than the limit of {}", describe({"", dtype, {shape.begin(), shape.end()}}),
                               format_bytes(limits::kTensorBytesMax))};
  }
  return bytes;
}

}  // namespace tideline
