// Cross-entropy on logits: the mean over the batch of log(sum exp z) - z[label], its gradient (softmax(z) - one-hot) / batch, and
// how many rows have their largest logit at the label. Without a library, so that whatever ends a pipeline can compute it.
//
// Pure; thread-safe. Sums in double precision.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline::train {

struct Loss {
  double mean = 0;
  std::size_t correct = 0;
  Tensor gradient;  // of the mean, shaped as the logits
};

// `logits`: float32, one row for each label (dimensions of size 1 behind the classes are content). kInvalidArgument when the
// shape does not fit or a label names no class. Equal largest logits: the first one counts.
Result<Loss> cross_entropy(const TensorView& logits, std::span<const std::int32_t> labels);

}  // namespace tideline::train
