// Each operator's gradient against central differences in double precision, for parameters and inputs.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "model/test_models.h"
#include "train/engine/operators.h"

namespace tideline::train {
namespace {

using test::add_input;
using test::add_node;
using test::add_output;
using test::add_weight;
using test::Dims;
using test::set_ints;

constexpr double kStep = 1e-5;
constexpr double kBound = 1e-7;  // of the largest gradient of the tensor

struct Case {
  std::string name;
  Dims input;
  std::function<void(onnx::ModelProto&)> build;  // from "b" (the input plus a parameter) to "y"
  bool training = false;
  std::int64_t opset = 13;
};

void set_int(onnx::NodeProto* node, const std::string& name, std::int64_t value) {
  test::add_attribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}
void set_float(onnx::NodeProto* node, const std::string& name, float value) {
  test::add_attribute(node, name, onnx::AttributeProto::FLOAT)->set_f(value);
}
void add_shape(onnx::ModelProto& model, const std::string& name, const Dims& values) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor->add_int64_data(value);
}

Case simple(const std::string& type, const Dims& input, const std::function<void(onnx::NodeProto*)>& attributes = {}) {
  return {type, input, [=](onnx::ModelProto& model) {
            auto* node = add_node(model, type, {"b"}, {"y"});
            if (attributes) attributes(node);
          }};
}

std::vector<Case> cases() {
  const Dims picture = {2, 4, 7, 6};
  std::vector<Case> all;
  all.push_back({"ConvGroupedAsymmetric", picture, [](onnx::ModelProto& model) {
                   add_weight(model, "w", {6, 2, 3, 2});
                   add_weight(model, "bias", {6});
                   auto* node = add_node(model, "Conv", {"b", "w", "bias"}, {"y"});
                   set_int(node, "group", 2);
                   set_ints(node, "pads", {0, 1, 2, 1});
                   set_ints(node, "strides", {2, 1});
                 }});
  all.push_back({"ConvDepthwiseDilatedSame", picture, [](onnx::ModelProto& model) {
                   add_weight(model, "w", {4, 1, 3, 3});
                   auto* node = add_node(model, "Conv", {"b", "w"}, {"y"});
                   set_int(node, "group", 4);
                   set_ints(node, "dilations", {2, 1});
                   test::add_attribute(node, "auto_pad", onnx::AttributeProto::STRING)->set_s("SAME_UPPER");
                 }});
  all.push_back({"Gemm", {3, 5}, [](onnx::ModelProto& model) {
                   add_weight(model, "w", {4, 5});
                   add_weight(model, "bias", {4});
                   auto* node = add_node(model, "Gemm", {"b", "w", "bias"}, {"y"});
                   set_int(node, "transB", 1);
                   set_float(node, "alpha", 0.5F);
                   set_float(node, "beta", 2);
                 }});
  all.push_back({"MatMul", {3, 2, 5}, [](onnx::ModelProto& model) {
                   add_weight(model, "w", {5, 4});
                   add_node(model, "MatMul", {"b", "w"}, {"y"});
                 }});
  for (const bool training : {false, true})
    all.push_back({training ? "BatchNormalizationOfTheBatch" : "BatchNormalizationFrozen", picture,
                   [](onnx::ModelProto& model) {
                     for (const char* name : {"scale", "bias", "mean", "variance"}) add_weight(model, name, {4});
                     add_node(model, "BatchNormalization", {"b", "scale", "bias", "mean", "variance"}, {"y"});
                   },
                   training});
  all.push_back(simple("Relu", picture));
  all.push_back(simple("Tanh", picture));
  all.push_back(simple("Sigmoid", picture));
  all.push_back(simple("LeakyRelu", picture, [](onnx::NodeProto* node) { set_float(node, "alpha", 0.1F); }));
  all.push_back({"Clip", picture, [](onnx::ModelProto& model) {
                   add_weight(model, "low", {}, -0.5F);
                   add_weight(model, "high", {}, 0.7F);
                   add_node(model, "Clip", {"b", "low", "high"}, {"y"});
                 }});
  all.push_back(simple("Softmax", {3, 5}));
  all.push_back(simple("MaxPool", picture, [](onnx::NodeProto* node) {
    set_ints(node, "kernel_shape", {3, 2});
    set_ints(node, "strides", {2, 2});
    set_ints(node, "pads", {1, 0, 0, 1});
    set_int(node, "ceil_mode", 1);
  }));
  for (const std::int64_t counted : {0, 1})
    all.push_back(simple("AveragePool", picture, [=](onnx::NodeProto* node) {
      set_ints(node, "kernel_shape", {3, 3});
      set_ints(node, "strides", {2, 2});
      set_ints(node, "pads", {1, 1, 0, 1});
      set_int(node, "ceil_mode", 1);
      set_int(node, "count_include_pad", counted);
    }));
  all.push_back(simple("GlobalAveragePool", picture));
  for (const std::int64_t size : {3, 4})
    all.push_back(simple("LRN", picture, [=](onnx::NodeProto* node) {
      set_int(node, "size", size);
      set_float(node, "alpha", 0.3F);
    }));
  all.push_back(simple("Flatten", picture, [](onnx::NodeProto* node) { set_int(node, "axis", 2); }));
  all.push_back({"Reshape", picture, [](onnx::ModelProto& model) {
                   add_shape(model, "shape", {0, 2, -1});
                   add_node(model, "Reshape", {"b", "shape"}, {"y"});
                 }});
  all.push_back(simple("Transpose", picture, [](onnx::NodeProto* node) { set_ints(node, "perm", {0, 2, 3, 1}); }));
  all.push_back({"ConcatOfShared", picture, [](onnx::ModelProto& model) {
                   add_node(model, "Relu", {"b"}, {"left"});
                   auto* node = add_node(model, "Concat", {"left", "b", "left"}, {"y"});
                   set_int(node, "axis", 1);
                 }});
  all.push_back({"AddAndMulBroadcast", picture, [](onnx::ModelProto& model) {
                   add_weight(model, "bias", {4, 1, 1});
                   add_node(model, "Add", {"b", "bias"}, {"sum"});
                   add_node(model, "Mul", {"sum", "b"}, {"y"});
                 }});
  all.push_back({"DropoutDrops", picture, [](onnx::ModelProto& model) { add_node(model, "Dropout", {"b"}, {"y"}); }, true});
  all.push_back(simple("Identity", picture));
  all.push_back(simple("SpaceToDepth", {2, 3, 4, 6}, [](onnx::NodeProto* node) { set_int(node, "blocksize", 2); }));
  return all;
}

class Gradients : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Gradients, AreThoseOfCentralDifferences) {
  const Case tested = cases()[GetParam()];
  onnx::ModelProto model = test::empty_model(tested.opset);
  add_input(model, "x", tested.input);
  add_weight(model, "first", Dims(tested.input.begin() + 1, tested.input.end()));
  add_node(model, "Add", {"x", "first"}, {"b"});
  tested.build(model);
  add_output(model, "y", Dims(1, -1));
  model.mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  const auto graph = read_net_graph(model.SerializeAsString(), tested.name);
  ASSERT_TRUE(graph) << graph.error().message;

  at::Generator random = at::detail::createCPUGenerator(2018);
  Values start = starting_values(*graph, at::kDouble);
  std::vector<std::size_t> checked;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const NetTensor& tensor = graph->tensors[i];
    if (tensor.role == TensorRole::kBuffer) start[i] = at::rand(tensor.shape, random, at::kDouble) + 0.5;
    if (tensor.role != TensorRole::kParameter && tensor.role != TensorRole::kInput) continue;
    start[i] = at::randn(tensor.role == TensorRole::kInput ? tested.input : tensor.shape, random, at::kDouble);
    start[i].requires_grad_(true);
    checked.push_back(i);
  }
  ASSERT_GE(checked.size(), 2U);

  const auto output = static_cast<std::size_t>(graph->outputs.front());
  at::Tensor weights;
  const auto loss = [&]() {
    Values values = start;
    std::vector<char> keep(values.size(), 0);
    keep[output] = 1;
    const Mode mode{.training = tested.training, .random = at::detail::createCPUGenerator(7)};
    const Status status = run_nodes(*graph, {0, graph->nodes.size()}, mode, keep, values);
    EXPECT_TRUE(status) << status.error().message;
    if (!status) return at::zeros({}, at::kDouble);
    if (!weights.defined()) weights = at::randn(values[output].sizes(), random, at::kDouble);
    return (values[output] * weights).sum();
  };
  const at::Tensor analytic = loss();
  ASSERT_TRUE(analytic.requires_grad());
  analytic.backward();

  const at::NoGradGuard no_gradients;
  for (const std::size_t i : checked) {
    const at::Tensor gradient = start[i].grad().contiguous();
    const double largest = gradient.abs().max().item().toDouble();
    ASSERT_GT(largest, 0) << graph->tensors[i].name;
    auto* numbers = start[i].data_ptr<double>();
    for (std::int64_t k = 0; k < start[i].numel(); ++k) {
      const double kept = numbers[k];
      numbers[k] = kept + kStep;
      const double above = loss().item().toDouble();
      numbers[k] = kept - kStep;
      const double below = loss().item().toDouble();
      numbers[k] = kept;
      EXPECT_NEAR(gradient.data_ptr<double>()[k], (above - below) / (2 * kStep), kBound * std::max(largest, 1.0))
          << graph->tensors[i].name << "[" << k << "]";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, Gradients, ::testing::Range<std::size_t>(0, cases().size()),
                         [](const auto& tried) { return cases()[tried.param].name + std::to_string(tried.param); });

}  // namespace
}  // namespace tideline::train
