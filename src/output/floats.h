// The values of a tensor of floats, as float32. Internal to output/.
#pragma once

#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/half.h"
#include "tensor/tensor.h"

namespace tideline {

inline float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

// A view where the bytes are float32 already, a copy otherwise. The tensor must outlive it.
class Floats {
 public:
  // kInvalidArgument unless type and bytes fit.
  static Result<Floats> of(const TensorView& tensor);
  std::span<const float> values() const { return copy_.empty() ? view_ : std::span<const float>(copy_); }

 private:
  std::span<const float> view_;
  std::vector<float> copy_;
};

}  // namespace tideline
