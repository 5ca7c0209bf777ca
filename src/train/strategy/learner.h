// Learner: what a worker trains, as strategies see it: flat parameters, their gradient on some of the worker's samples, nothing
// else. NetLearner (train/learn) is an ONNX model with data; tests have one of a few numbers.
//
// A resource; not thread-safe. The spans are valid as long as it is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/compress/compressor.h"
#include "train/data/distil.h"

namespace tideline::train {

class Learner {
 public:
  struct Batch {
    double loss = 0;  // mean
    std::uint64_t correct = 0;
  };

  virtual ~Learner() = default;
  virtual std::size_t samples() const = 0;  // at least 1
  virtual std::span<float> parameters() = 0;
  virtual std::span<const float> gradients() = 0;
  // What the parameters are made of, for compressors that go by layers; none: they are one.
  virtual std::vector<compress::Layer> layers() const { return {}; }
  // Part of the model that has no gradient (running means); moves with gradient().
  virtual std::span<float> buffers() = 0;
  // Sets gradients() to the mean gradient over the samples `rows`, numbers below samples(). `seed`: of dropout.
  virtual Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed) = 0;

  // For those that learn from others too; kUnsupported of a learner whose answers are no classes.
  // What another model (parameters, then buffers) answers to the samples, as logits: a row for each. Changes nothing of this one.
  virtual Result<std::vector<float>> answers([[maybe_unused]] std::span<const float> model,
                                             [[maybe_unused]] std::span<const std::uint32_t> rows) {
    return Error{ErrorCode::kUnsupported, "[train] this learner does not answer with classes"};
  }
  // As above, of the loss with a lesson of as many rows.
  virtual Result<Batch> gradient([[maybe_unused]] std::span<const std::uint32_t> rows, [[maybe_unused]] std::uint64_t seed,
                                 [[maybe_unused]] const Lesson& lesson) {
    return Error{ErrorCode::kUnsupported, "[train] this learner does not answer with classes"};
  }
};

}  // namespace tideline::train
