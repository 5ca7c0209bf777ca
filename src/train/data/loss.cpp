#include "train/data/loss.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline::train {

Result<Loss> cross_entropy(const TensorView& logits, std::span<const std::int32_t> labels) {
  const TensorSpec& spec = *logits.spec;
  TIDELINE_TRY(const Bytes bytes, byte_size(spec.dtype, spec.shape));
  const bool is_rows = spec.dtype == DType::kFloat32 && spec.shape.size() >= 2 && spec.shape[1] > 0 && !labels.empty() &&
                       static_cast<std::size_t>(spec.shape[0]) == labels.size() && bytes == logits.bytes.size() &&
                       bytes == labels.size() * static_cast<std::size_t>(spec.shape[1]) * sizeof(float);
  if (!is_rows)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] cross-entropy takes float32[{}, classes] for {} labels, not {}: the model must end in one "
                             "row of classes for each sample",
                             labels.size(), labels.size(), describe(spec))};
  const auto classes = static_cast<std::size_t>(spec.shape[1]);
  const auto* z = reinterpret_cast<const float*>(logits.bytes.data());
  Loss loss{.gradient = {.spec = spec, .data = Buffer(bytes)}};
  auto* gradient = reinterpret_cast<float*>(loss.gradient.data.data());
  const double rows = static_cast<double>(labels.size());
  for (std::size_t row = 0; row < labels.size(); ++row, z += classes, gradient += classes) {
    const auto label = static_cast<std::size_t>(labels[row]);
    if (labels[row] < 0 || label >= classes)
      return Error{ErrorCode::kInvalidArgument, fmt::format("[train] label {} is none of the model's {} classes (0 to {})",
                                                            labels[row], classes, classes - 1)};
    const auto* const largest = std::max_element(z, z + classes);
    if (static_cast<std::size_t>(largest - z) == label) ++loss.correct;
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(z[k]) - *largest);
    loss.mean += (std::log(sum) + *largest - z[label]) / rows;
    for (std::size_t k = 0; k < classes; ++k) {
      const double probability = std::exp(static_cast<double>(z[k]) - *largest) / sum;
      gradient[k] = static_cast<float>((probability - (k == label ? 1 : 0)) / rows);
    }
  }
  return loss;
}

}  // namespace tideline::train
