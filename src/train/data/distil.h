// What a learner is taught beside its labels: the answers of others as probabilities (Hinton, Vinyals, Dean 2015).
//
//   loss     = hard * CE(y, softmax(z)) + soft * T^2 * KL(q || softmax(z / T))
//   gradient = (hard * (softmax(z) - y) + soft * T * (softmax(z / T) - q)) / batch
//
// T^2 keeps the second part's gradient as long as the first one's whatever T is. Pure; thread-safe; sums in double precision.
//
//   const std::vector<float> q = softmax_rows(teacher_logits, classes, 4);
//   TIDELINE_TRY(const Loss loss, distillation_loss(logits, labels, {.probabilities = q, .hard = 0.3, .soft = 0.7, .temperature =
//   4}));
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "train/data/loss.h"

namespace tideline::train {

struct Lesson {
  std::span<const float> probabilities;  // at that temperature: a row of classes for each label
  double hard = 1;
  double soft = 1;
  double temperature = 1;
};

// softmax(z / T) of each row of `classes` logits. REQUIRES: whole rows, T > 0.
std::vector<float> softmax_rows(std::span<const float> logits, std::size_t classes, double temperature);

// As cross_entropy(); kInvalidArgument also when the lesson has another size than the logits.
Result<Loss> distillation_loss(const TensorView& logits, std::span<const std::int32_t> labels, const Lesson& lesson);

}  // namespace tideline::train
