#include "train/learn/net_learner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/text.h"
#include "model/model.h"
#include "train/data/loss.h"
#include "train/strategy/draw.h"

namespace tideline::train {
namespace {

// Samples of one forward run: a convolution's activations for as many fit into memory anywhere.
constexpr std::size_t kRowsAtATime = 500;

std::vector<std::int32_t> labels_at(const DataSet& data, std::span<const std::uint32_t> rows) {
  std::vector<std::int32_t> labels;
  for (const std::uint32_t row : rows) labels.push_back(data.labels[row]);
  return labels;
}

// Of one sample at the model's input.
Result<std::vector<std::int64_t>> sample_shape(const std::string& file, const std::string& name) {
  TIDELINE_TRY(const Model model, Model::parse(file, name, ""));
  const Graph& graph = model.graph();
  if (graph.inputs.size() != 1)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[train] {} has {} inputs; a model with one is trained", printable(name), graph.inputs.size())};
  const std::vector<std::int64_t>& shape = graph.tensor(graph.inputs.front()).spec.shape;
  if (shape.size() < 2 || std::any_of(shape.begin() + 1, shape.end(), [](std::int64_t dim) { return dim <= 0; }))
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[train] the input of {} is {}; every dimension but the first must be known", printable(name),
                             describe(graph.tensor(graph.inputs.front()).spec))};
  return std::vector<std::int64_t>(shape.begin() + 1, shape.end());
}

class NetLearner final : public Learner {
 public:
  NetLearner(std::unique_ptr<NetModel> model, std::shared_ptr<const DataSet> data, std::vector<std::uint32_t> rows,
             std::optional<Teaching> teaching)
      : model_(std::move(model)), data_(std::move(data)), rows_(std::move(rows)), teaching_(std::move(teaching)) {}

  std::size_t samples() const override { return rows_.size(); }
  std::span<float> parameters() override { return model_->net().parameters(); }
  std::span<const float> gradients() override { return model_->net().gradients(); }
  std::vector<compress::Layer> layers() const override { return model_->layers(); }
  std::span<float> buffers() override { return model_->net().buffers(); }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed) override {
    if (!teaching_) return model_->gradient(*data_, of_data(rows), seed);
    const std::size_t classes = teaching_->probabilities.size() / rows_.size();
    std::vector<float> probabilities;
    probabilities.reserve(rows.size() * classes);
    for (const std::uint32_t row : rows) {
      const auto taught = std::span(teaching_->probabilities).subspan(row * classes, classes);
      probabilities.insert(probabilities.end(), taught.begin(), taught.end());
    }
    return gradient(rows, seed,
                    Lesson{.probabilities = probabilities,
                           .hard = 1 - teaching_->weight,
                           .soft = teaching_->weight,
                           .temperature = teaching_->temperature});
  }
  Result<std::vector<float>> answers(std::span<const float> model, std::span<const std::uint32_t> rows) override {
    return model_->answers(model, *data_, of_data(rows));
  }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed, const Lesson& lesson) override {
    return model_->gradient(*data_, of_data(rows), seed, &lesson);
  }

 private:
  std::vector<std::uint32_t> of_data(std::span<const std::uint32_t> rows) const {
    std::vector<std::uint32_t> all;
    all.reserve(rows.size());
    for (const std::uint32_t row : rows) all.push_back(rows_[row]);
    return all;
  }

  std::unique_ptr<NetModel> model_;
  std::shared_ptr<const DataSet> data_;
  std::vector<std::uint32_t> rows_;
  std::optional<Teaching> teaching_;
};

}  // namespace

Result<std::unique_ptr<NetModel>> NetModel::load(const std::string& file, const std::string& name, Normalisation bytes) {
  TIDELINE_TRY(auto net, Net::load(file, name));
  TIDELINE_TRY(std::vector<std::int64_t> shape, sample_shape(file, name));
  return std::unique_ptr<NetModel>(
      new NetModel(std::move(net), {.shape = std::move(shape), .mean = bytes.mean, .std = bytes.std}));
}

std::vector<compress::Layer> NetModel::layers() const {
  std::vector<compress::Layer> layers;
  for (const FlatTensor& tensor : net_->parameter_list()) {
    if (tensor.count == 0) continue;
    const std::size_t rows = tensor.shape.size() < 2 ? 1 : static_cast<std::size_t>(tensor.shape.front());
    layers.push_back({.rows = rows, .columns = tensor.count / rows});
  }
  return layers;
}

std::vector<float> NetModel::numbers() {
  std::vector<float> all(net_->parameters().begin(), net_->parameters().end());
  all.insert(all.end(), net_->buffers().begin(), net_->buffers().end());
  return all;
}

void NetModel::put(std::span<const float> numbers) {
  const std::size_t parameters = net_->parameters().size();
  std::copy_n(numbers.begin(), parameters, net_->parameters().begin());
  std::copy(numbers.begin() + static_cast<std::ptrdiff_t>(parameters), numbers.end(), net_->buffers().begin());
}

void NetModel::draw_weights(std::uint64_t seed) {
  SeededDraw draw(seed_of(seed, DrawFor::kWeights, {}));
  for (const FlatTensor& tensor : net_->parameter_list()) {
    if (tensor.shape.size() < 2 || tensor.count == 0) continue;
    const double deviation = std::sqrt(static_cast<double>(tensor.shape.front()) / static_cast<double>(tensor.count));
    for (float& number : net_->parameters().subspan(tensor.offset, tensor.count)) {
      const double radius = std::sqrt(-2 * std::log(1 - draw.unit()));
      number = static_cast<float>(deviation * radius * std::cos(2 * 3.14159265358979323846 * draw.unit()));
    }
  }
}

Result<std::string> NetModel::file_with(std::span<const float> numbers) {
  put(numbers);
  return net_->onnx_file();
}

Result<Evaluated> NetModel::evaluate(std::span<const float> numbers, const DataSet& data, const CancelToken& cancel) {
  put(numbers);
  Evaluated result;
  std::size_t correct = 0;
  for (std::size_t first = 0; first < data.size(); first += kRowsAtATime) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "interrupted"};
    std::vector<std::uint32_t> rows(std::min(kRowsAtATime, data.size() - first));
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
    TIDELINE_TRY(const Tensor batch, make_batch(data, rows, form_));
    TIDELINE_TRY(const auto pass, net_->forward(net_->to_logits(), {view(batch)}, {.gradients = false}));
    TIDELINE_TRY(const Loss loss, cross_entropy(view(pass->outputs().front()), labels_at(data, rows)));
    correct += loss.correct;
    result.loss += loss.mean * static_cast<double>(rows.size());
  }
  result.loss /= static_cast<double>(data.size());
  result.accuracy = static_cast<double>(correct) / static_cast<double>(data.size());
  return result;
}

Result<std::vector<float>> NetModel::answers(std::span<const float> numbers, const DataSet& data,
                                             std::span<const std::uint32_t> rows) {
  const std::vector<float> own = this->numbers();
  put(numbers);
  const auto compute = [&]() -> Result<std::vector<float>> {
    std::vector<float> all;
    for (std::size_t first = 0; first < rows.size(); first += kRowsAtATime) {
      TIDELINE_TRY(const Tensor batch, make_batch(data, rows.subspan(first, std::min(kRowsAtATime, rows.size() - first)), form_));
      TIDELINE_TRY(const auto pass, net_->forward(net_->to_logits(), {view(batch)}, {.gradients = false}));
      const TensorView logits = view(pass->outputs().front());
      const auto* const z = reinterpret_cast<const float*>(logits.bytes.data());
      all.insert(all.end(), z, z + logits.bytes.size() / sizeof(float));
    }
    return all;
  };
  auto result = compute();
  put(own);
  return result;
}

Result<Learner::Batch> NetModel::gradient(const DataSet& data, std::span<const std::uint32_t> rows, std::uint64_t seed,
                                          const Lesson* lesson) {
  net_->clear_gradients();
  Learner::Batch result;
  for (std::size_t first = 0; first < rows.size(); first += kRowsAtATime) {
    const auto part = rows.subspan(first, std::min(kRowsAtATime, rows.size() - first));
    TIDELINE_TRY(const Tensor batch, make_batch(data, part, form_));
    TIDELINE_TRY(const auto pass, net_->forward(net_->to_logits(), {view(batch)}, {.training = true, .seed = seed + first}));
    const std::vector<std::int32_t> labels = labels_at(data, part);
    const TensorView logits = view(pass->outputs().front());
    const auto learn = [&]() -> Result<Loss> {
      if (lesson == nullptr) return cross_entropy(logits, labels);
      Lesson of_part = *lesson;
      const std::size_t classes = lesson->probabilities.size() / rows.size();
      of_part.probabilities = lesson->probabilities.subspan(first * classes, part.size() * classes);
      return distillation_loss(logits, labels, of_part);
    };
    TIDELINE_TRY(Loss loss, learn());
    const double share = static_cast<double>(part.size()) / static_cast<double>(rows.size());
    // The loss is the mean of this part; its gradient has to be that of the mean of all.
    if (part.size() < rows.size()) {
      auto* const numbers = reinterpret_cast<float*>(loss.gradient.data.data());
      for (std::size_t i = 0; i < loss.gradient.data.size() / sizeof(float); ++i) numbers[i] *= static_cast<float>(share);
    }
    TIDELINE_TRY([[maybe_unused]] const auto none, pass->backward({view(loss.gradient)}));
    result.loss += loss.mean * share;
    result.correct += loss.correct;
  }
  return result;
}

Result<std::unique_ptr<Learner>> make_net_learner(std::unique_ptr<NetModel> model, std::shared_ptr<const DataSet> data,
                                                  std::vector<std::uint32_t> rows, std::optional<Teaching> teaching) {
  if (rows.empty()) return Error{ErrorCode::kInvalidArgument, "[train] a worker has no samples"};
  if (teaching && (teaching->probabilities.empty() || teaching->probabilities.size() % rows.size() != 0))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[train] a teacher's {} answers are not those to {} samples",
                                                          teaching->probabilities.size(), rows.size())};
  return std::unique_ptr<Learner>(
      std::make_unique<NetLearner>(std::move(model), std::move(data), std::move(rows), std::move(teaching)));
}

}  // namespace tideline::train
