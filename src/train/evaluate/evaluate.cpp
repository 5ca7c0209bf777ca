#include "train/evaluate/evaluate.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "base/text.h"
#include "train/data/loss.h"

namespace tideline::train {
namespace {

constexpr std::size_t kOpenBatch = 64;

Error evaluate_error(std::string message) { return Error{ErrorCode::kInvalidArgument, "[evaluate] " + std::move(message)}; }

// The model with its logits as its only output: the logarithm of a Softmax's rounded answer would be that of zero.
Result<std::string> logits_model(const Model& model) {
  TIDELINE_TRY(const std::string bytes, model.onnx_bytes());
  onnx::ModelProto proto;
  if (!proto.ParseFromString(bytes))
    return Error{ErrorCode::kInternal, "[evaluate] the checked form of the model does not parse"};
  onnx::GraphProto& graph = *proto.mutable_graph();
  if (graph.output_size() == 0) return evaluate_error("the model has no output");
  std::string logits = graph.output(0).name();
  for (const onnx::NodeProto& node : graph.node())
    if (node.op_type() == "Softmax" && node.domain().empty() && node.output(0) == logits) {
      logits = node.input(0);
      break;
    }
  onnx::ValueInfoProto output;
  output.set_name(logits);
  output.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  graph.clear_output();
  *graph.add_output() = std::move(output);
  return proto.SerializeAsString();
}

struct Shape {
  std::size_t batch = 0;
  std::vector<std::int64_t> sample;
};

Result<Shape> shape_of(const Session& session) {
  if (session.inputs().size() != 1)
    return evaluate_error(fmt::format("the model has {} inputs; one is evaluated", session.inputs().size()));
  const TensorSpec& input = session.inputs().front();
  const bool is_known = input.dtype == DType::kFloat32 && has_rank(input.shape) && input.shape.size() >= 2 &&
                        std::all_of(input.shape.begin() + 1, input.shape.end(), [](std::int64_t dim) { return dim > 0; }) &&
                        input.shape.front() != 0;
  if (!is_known)
    return evaluate_error(
        fmt::format("the model's input '{}' is {}; float32 is expected, with every dimension known but the first",
                    printable(input.name), describe(input)));
  return Shape{.batch = input.shape.front() > 0 ? static_cast<std::size_t>(input.shape.front()) : kOpenBatch,
               .sample = {input.shape.begin() + 1, input.shape.end()}};
}

// Of `count` samples from `first` on in the order that they are run: their rows of logits.
using UseRows = std::function<Status(std::size_t first, std::size_t count, const TensorView& logits)>;

Status run_rows(Engine& engine, const Model& model, const DataSet& data, std::span<const std::uint32_t> rows,
                const EvaluateOptions& options, const EvaluateControl& control, const UseRows& use) {
  TIDELINE_TRY(const std::string onnx, logits_model(model));
  TIDELINE_TRY(const auto session, engine.load_onnx(onnx, {}));
  TIDELINE_TRY(const Shape shape, shape_of(*session));
  const SampleForm form{.shape = shape.sample, .mean = options.mean, .std = options.std};
  for (std::size_t first = 0; first < rows.size(); first += shape.batch) {
    if (control.cancel.cancelled()) return Error{ErrorCode::kCancelled, "interrupted"};
    const std::size_t count = std::min(shape.batch, rows.size() - first);
    // A batch that the file fixes is filled up with its last sample, which is not counted again.
    std::vector<std::uint32_t> of_batch(shape.batch);
    for (std::size_t k = 0; k < of_batch.size(); ++k) of_batch[k] = rows[first + std::min(k, count - 1)];
    TIDELINE_TRY(const Tensor batch, make_batch(data, of_batch, form));
    RunOutput output;
    const TensorView input = view(batch);
    TIDELINE_CHECK_OK(session->run({&input, 1}, {&output, 1}, {.cancel = &control.cancel}));
    TensorSpec spec = output.spec;
    if (spec.shape.size() < 2 || spec.shape[0] < static_cast<std::int64_t>(count) || spec.dtype != DType::kFloat32 ||
        spec.shape[0] == 0)
      return evaluate_error(fmt::format("the model answers {}; one row of classes for each sample is expected", describe(spec)));
    const std::size_t row_bytes = output.bytes.size() / static_cast<std::size_t>(spec.shape[0]);
    spec.shape[0] = static_cast<std::int64_t>(count);
    TIDELINE_CHECK_OK(use(first, count, {&spec, output.bytes.first(count * row_bytes)}));
    if (control.progress) control.progress(first + count, rows.size());
  }
  return {};
}

}  // namespace

Result<Evaluation> evaluate(Engine& engine, const Model& model, const DataSet& data, const EvaluateOptions& options,
                            const EvaluateControl& control) {
  std::vector<std::uint32_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0U);
  Evaluation result{.samples = data.size()};
  const auto add = [&](std::size_t first, std::size_t count, const TensorView& logits) -> Status {
    const std::span<const std::int32_t> labels(data.labels.data() + first, count);
    TIDELINE_TRY(const Loss loss, cross_entropy(logits, labels));
    result.loss += loss.mean * static_cast<double>(count);
    result.correct += loss.correct;
    const auto classes = static_cast<std::size_t>(logits.spec->shape[1]);
    if (result.confusion.empty()) result.confusion.assign(classes, std::vector<std::uint64_t>(classes, 0));
    const auto* z = reinterpret_cast<const float*>(logits.bytes.data());
    for (std::size_t k = 0; k < count; ++k, z += classes)
      ++result.confusion[static_cast<std::size_t>(labels[k])][static_cast<std::size_t>(std::max_element(z, z + classes) - z)];
    return {};
  };
  TIDELINE_CHECK_OK(run_rows(engine, model, data, rows, options, control, add));
  result.loss /= static_cast<double>(data.size());
  return result;
}

Result<std::vector<float>> answers(Engine& engine, const Model& model, const DataSet& data, std::span<const std::uint32_t> rows,
                                   const EvaluateOptions& options, const EvaluateControl& control) {
  std::vector<float> all;
  const auto add = [&](std::size_t, std::size_t, const TensorView& logits) -> Status {
    const auto* const z = reinterpret_cast<const float*>(logits.bytes.data());
    all.insert(all.end(), z, z + logits.bytes.size() / sizeof(float));
    return {};
  };
  TIDELINE_CHECK_OK(run_rows(engine, model, data, rows, options, control, add));
  return all;
}

}  // namespace tideline::train
