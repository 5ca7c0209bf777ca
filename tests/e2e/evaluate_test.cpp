// Goal: what `evaluate` promises scripts. Method: the real binary on a net whose answers are known by construction, and on
// the slips that people make.
#include <cmath>

#include <gmock/gmock.h>
#include <onnx/onnx_pb.h>

#include "command_line.h"
#include "tensor/npy.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

// softmax(2 x): the class of the largest number wins.
std::string chooser(std::int64_t batch) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  auto& graph = *model.mutable_graph();
  graph.set_name("chooser");
  const auto add_value = [&](onnx::ValueInfoProto* value, const char* name) {
    value->set_name(name);
    auto* tensor = value->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnx::TensorProto::FLOAT);
    auto* first = tensor->mutable_shape()->add_dim();
    if (batch > 0) first->set_dim_value(batch);
    tensor->mutable_shape()->add_dim()->set_dim_value(3);
  };
  add_value(graph.add_input(), "x");
  add_value(graph.add_output(), "y");
  auto* two = graph.add_initializer();
  two->set_name("two");
  two->set_data_type(onnx::TensorProto::FLOAT);
  two->add_float_data(2);
  const auto add_node = [&](const char* type, const std::vector<const char*>& inputs, const char* output) {
    auto* node = graph.add_node();
    node->set_op_type(type);
    for (const char* input : inputs) node->add_input(input);
    node->add_output(output);
  };
  add_node("Mul", {"x", "two"}, "z");
  add_node("Softmax", {"z"}, "y");
  return model.SerializeAsString();
}

class Evaluate : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    // Largest at 0, 1, 2, 0, 1; the last label is another, and the fourth row's loss is past what a rounded softmax could say.
    const std::vector<float> x = {1, 0, 0, 0, 1, 0, 0, 0, 1, 200, 0, 0, 0, 1, 0};
    const std::vector<std::int64_t> y = {0, 1, 2, 1, 2};
    const TensorSpec samples{"", DType::kFloat32, {5, 3}}, labels{"", DType::kInt64, {5}};
    write("x.npy", *write_npy({&samples, std::as_bytes(std::span(x))}));
    write("y.npy", *write_npy({&labels, std::as_bytes(std::span(y))}));
  }
};

TEST_F(Evaluate, CountsLossAccuracyAndConfusion) {
  const double other = std::log(std::exp(2.0) + 2);
  const double loss = (3 * (other - 2) + 400 + other) / 5;
  for (const std::int64_t batch : {1, 2, 5, 8, -1}) {  // -1: the file leaves it open
    SCOPED_TRACE(batch);
    write("m.onnx", chooser(batch));
    const Outcome outcome = run("evaluate " + path("m.onnx") + " --data npy:" + path(".") + " -o json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto json = outcome.json();
    EXPECT_EQ(json.size(), 4U);
    EXPECT_DOUBLE_EQ(json["accuracy"].get<double>(), 0.6);
    EXPECT_NEAR(json["loss"].get<double>(), loss, 1e-5);
    EXPECT_EQ(json["samples"], 5);
    EXPECT_EQ(json["confusion"], nlohmann::json::parse("[[1,0,0],[1,1,0],[0,1,1]]"));
  }
  const Outcome text = run("evaluate " + path("m.onnx") + " --data npy:" + path("."));
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("accuracy 60.00 % (3 of 5)"));
}

TEST_F(Evaluate, RefusesWhatDoesNotFit) {
  write("m.onnx", chooser(1));
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run("evaluate " + arguments);
    EXPECT_EQ(outcome.exit_code, 3) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  };
  refused(path("m.onnx") + " --data csv:x", "idx:PREFIX, npy:FOLDER or images:FOLDER");
  refused(path("m.onnx") + " --data npy:" + path("none"), "x.npy");
  const std::vector<std::int64_t> four_classes = {0, 1, 2, 3, 0};
  const std::vector<float> zeros(20);
  const TensorSpec wide{"", DType::kFloat32, {5, 4}}, labels{"", DType::kInt64, {5}};
  write("y.npy", *write_npy({&labels, std::as_bytes(std::span(four_classes))}));
  refused(path("m.onnx") + " --data npy:" + path("."), "label 3 is none of the model's 3 classes");
  write("x.npy", *write_npy({&wide, std::as_bytes(std::span(zeros))}));
  refused(path("m.onnx") + " --data npy:" + path("."), "do not fit a model that takes float32[3]");
  EXPECT_EQ(run("evaluate " + path("m.onnx")).exit_code, 2);
}

TEST_F(Evaluate, BytesAreNormalisedByHandOrAsTheInputSectionSays) {
  write("m.onnx", chooser(1));
  const TensorSpec samples{"", DType::kUint8, {5, 3}};
  std::vector<std::uint8_t> bytes(15, 0);
  bytes[1] = 255;  // (1 - 0.5) / 0.25 = 2 against -2: the first sample is taken for 1
  write("x.npy", *write_npy({&samples, std::as_bytes(std::span(bytes))}));
  write("grey.yaml", "input: {size: [3, 1], channels: grey, mean: [0.5], std: [0.25]}\n");
  write("rgb.yaml", "input: {size: [3, 1]}\n");
  const std::string base = "evaluate " + path("m.onnx") + " --data npy:" + path(".") + " -o json ";
  const Outcome by_hand = run(base + "--mean 0.5 --std 0.25"), plain = run(base);
  const Outcome section = run(base + "--config " + path("grey.yaml"));
  ASSERT_EQ(by_hand.exit_code, 0) << by_hand.err;
  ASSERT_EQ(section.exit_code, 0) << section.err;
  EXPECT_EQ(by_hand.out, section.out);
  EXPECT_NE(by_hand.out, plain.out);
  EXPECT_EQ(by_hand.json()["confusion"][0][1], 1);
  const double first = std::log(std::exp(8.0) + 2), even = std::log(3.0);
  EXPECT_NEAR(by_hand.json()["loss"].get<double>(), (first + 4 * even) / 5, 1e-5);
  EXPECT_EQ(run(base + "--config " + path("rgb.yaml")).exit_code, 3);
  EXPECT_EQ(run(base + "--std 0").exit_code, 3);
}

}  // namespace
}  // namespace tideline::e2e
