#include "train/data/distil.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline::train {

std::vector<float> softmax_rows(std::span<const float> logits, std::size_t classes, double temperature) {
  std::vector<float> probabilities(logits.size());
  for (std::size_t at = 0; at < logits.size(); at += classes) {
    const auto row = logits.subspan(at, classes);
    const double largest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float z : row) sum += std::exp((static_cast<double>(z) - largest) / temperature);
    for (std::size_t k = 0; k < classes; ++k)
      probabilities[at + k] = static_cast<float>(std::exp((static_cast<double>(row[k]) - largest) / temperature) / sum);
  }
  return probabilities;
}

Result<Loss> distillation_loss(const TensorView& logits, std::span<const std::int32_t> labels, const Lesson& lesson) {
  TIDELINE_TRY(Loss loss, cross_entropy(logits, labels));
  const std::size_t numbers = logits.bytes.size() / sizeof(float);
  if (lesson.probabilities.size() != numbers)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] {} numbers are taught to a model that answers with {}: both must "
                             "have the same classes",
                             lesson.probabilities.size(), numbers)};
  const std::size_t classes = numbers / labels.size();
  const double rows = static_cast<double>(labels.size()), T = lesson.temperature;
  const auto* const z = reinterpret_cast<const float*>(logits.bytes.data());
  auto* const gradient = reinterpret_cast<float*>(loss.gradient.data.data());
  double divergence = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::size_t at = row * classes;
    const double largest = *std::max_element(z + at, z + at + classes);
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += std::exp((static_cast<double>(z[at + k]) - largest) / T);
    for (std::size_t k = at; k < at + classes; ++k) {
      const double log_p = (static_cast<double>(z[k]) - largest) / T - std::log(sum);
      const double q = static_cast<double>(lesson.probabilities[k]);
      if (q > 0) divergence += q * (std::log(q) - log_p);
      gradient[k] =
          static_cast<float>(lesson.hard * static_cast<double>(gradient[k]) + lesson.soft * T * (std::exp(log_p) - q) / rows);
    }
  }
  loss.mean = lesson.hard * loss.mean + lesson.soft * T * T * divergence / rows;
  return loss;
}

}  // namespace tideline::train
