#include "output/floats.h"

#include <cstdint>

#include <fmt/format.h>

namespace tideline {

Result<Floats> Floats::of(const TensorView& tensor) {
  const TensorSpec& spec = *tensor.spec;
  if (spec.dtype != DType::kFloat32 && spec.dtype != DType::kFloat16)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[output] a step reads float32 or float16, found {}", describe(spec))};
  TIDELINE_TRY(const Bytes bytes, byte_size(spec.dtype, spec.shape));
  if (bytes != tensor.bytes.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[output] a step got {} bytes for {}", tensor.bytes.size(), describe(spec))};
  Floats floats;
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.bytes.data());
  if (spec.dtype == DType::kFloat32 && address % alignof(float) == 0) {
    floats.view_ = {reinterpret_cast<const float*>(tensor.bytes.data()), bytes / sizeof(float)};
    return floats;
  }
  floats.copy_.resize(bytes / element_bytes(spec.dtype));
  if (spec.dtype == DType::kFloat32) {
    if (bytes > 0) std::memcpy(floats.copy_.data(), tensor.bytes.data(), bytes);
    return floats;
  }
  for (std::size_t i = 0; i < floats.copy_.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, tensor.bytes.data() + i * sizeof half, sizeof half);
    floats.copy_[i] = float_from_float16(half);
  }
  return floats;
}

}  // namespace tideline
