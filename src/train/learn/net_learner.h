// NetLearner: an ONNX model with samples as strategies train it; and NetModel, the same without samples, as a coordinator needs
// it.
//
// Resources; not thread-safe, but several may be used by threads of their own.
//
//   TIDELINE_TRY(const auto model, NetModel::load(file, "lenet5.onnx", {.mean = 0.286F, .std = 0.353F}));
//   TIDELINE_TRY(const Evaluated result, model->evaluate(numbers, test));
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "train/data/data_set.h"
#include "train/engine/net.h"
#include "train/run/coordinator.h"
#include "train/strategy/learner.h"

namespace tideline::train {

struct Normalisation {
  float mean = 0;
  float std = 1;
};

class NetModel {
 public:
  // kUnsupported for what does not train, and for more than one input.
  static Result<std::unique_ptr<NetModel>> load(const std::string& file, const std::string& name, Normalisation bytes);

  Net& net() { return *net_; }
  ModelSize size() { return {net_->parameters().size(), net_->buffers().size(), layers()}; }
  // One for each parameter: a row for each of its first dimension, or one row where it has no other.
  std::vector<compress::Layer> layers() const;
  // Parameters, then buffers.
  std::vector<float> numbers();
  // Weights of two and more dimensions from N(0, 1 / n), n numbers for each of the first dimension; the others stay.
  void draw_weights(std::uint64_t seed);
  // The file with these numbers and nothing else changed.
  Result<std::string> file_with(std::span<const float> numbers);
  Result<Evaluated> evaluate(std::span<const float> numbers, const DataSet& data, const CancelToken& cancel = {});
  // Sets the gradients to the mean over `rows`; few enough at a time to fit into memory. With a lesson of as many rows, of the
  // loss with it.
  Result<Learner::Batch> gradient(const DataSet& data, std::span<const std::uint32_t> rows, std::uint64_t seed,
                                  const Lesson* lesson = nullptr);
  // The logits of a model with these numbers, a row for each of `rows`; the net's own numbers stay.
  Result<std::vector<float>> answers(std::span<const float> numbers, const DataSet& data, std::span<const std::uint32_t> rows);

 private:
  NetModel(std::unique_ptr<Net> net, SampleForm form) : net_(std::move(net)), form_(std::move(form)) {}
  void put(std::span<const float> numbers);

  std::unique_ptr<Net> net_;
  SampleForm form_;
};

// What a teacher answers to a learner's samples, once for all.
struct Teaching {
  std::vector<float> probabilities;  // at that temperature: a row of classes for each of the learner's samples
  double temperature = 1;
  double weight = 0;  // the labels have the rest
};

// `rows` of `data` are the learner's samples. kInvalidArgument when there is none, or when the teaching is of another number of
// them.
Result<std::unique_ptr<Learner>> make_net_learner(std::unique_ptr<NetModel> model, std::shared_ptr<const DataSet> data,
                                                  std::vector<std::uint32_t> rows, std::optional<Teaching> teaching = {});

}  // namespace tideline::train
