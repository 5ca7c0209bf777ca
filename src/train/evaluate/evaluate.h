// How well a classifier answers on a data set: loss, accuracy and what is taken for what, computed by the engine that serves it.
//
// Needs no libtorch.
//
//   TIDELINE_TRY(const auto engine, make_engine({.threads = 1}));
//   TIDELINE_TRY(const Evaluation result, evaluate(*engine, model, data, {.mean = 0.286f, .std = 0.353f}, {}));
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "engine/engine.h"
#include "model/model.h"
#include "train/data/data_set.h"

namespace tideline::train {

struct Evaluation {
  double loss = 0;  // mean cross-entropy, of the logits when a Softmax ends the model
  std::size_t samples = 0;
  std::size_t correct = 0;
  std::vector<std::vector<std::uint64_t>> confusion;  // [label][answer], as many of both as the model has classes
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(samples); }
};

struct EvaluateOptions {
  // Of bytes: (byte / 255 - mean) / std, as the model was trained.
  float mean = 0;
  float std = 1;
};

struct EvaluateControl {
  CancelToken cancel;
  std::function<void(std::size_t done, std::size_t all)> progress;  // may be empty
};

// The model has one float32 input whose dimensions behind the batch are known, and its first output is one row of classes for
// each sample. Runs as many samples at once as the file's batch says; where that is open, some. kInvalidArgument for what does
// not fit, naming it.
Result<Evaluation> evaluate(Engine& engine, const Model& model, const DataSet& data, const EvaluateOptions& options,
                            const EvaluateControl& control);

// The logits of such a model for the samples `rows` of the data, a row of classes for each.
Result<std::vector<float>> answers(Engine& engine, const Model& model, const DataSet& data, std::span<const std::uint32_t> rows,
                                   const EvaluateOptions& options, const EvaluateControl& control);

}  // namespace tideline::train
