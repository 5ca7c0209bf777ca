// Goal: the probe learns every shape that a run can tell, and hostile models end it with a typed error.
#include "engine/probe.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "engine/test_models.h"
#include "model/segment.h"

namespace tideline {
namespace {

Model parse(const std::string& bytes, std::map<std::string, std::vector<std::int64_t>> shapes = {}) {
  auto model = Model::parse(bytes, "test.onnx", "", {.shapes = std::move(shapes)});
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return std::move(*model);
}

const GraphTensor& tensor(const Model& model, const std::string& name) {
  const auto& tensors = model.graph().tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const GraphTensor& t) { return t.spec.name == name; });
  EXPECT_NE(found, tensors.end()) << name;
  return *found;
}

TEST(Probe, MeasuresTensorsAndLeavesSequencesOut) {
  auto engine = make_engine({});
  Model model = parse(test::through_a_sequence(-1), {{"x", {3, 2}}});
  const Status status = probe_shapes(**engine, model);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(tensor(model, "x").measured_shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(tensor(model, "a").measured_shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(tensor(model, "a").bytes, 24U);
  EXPECT_FALSE(tensor(model, "rows").is_measured);
  EXPECT_EQ(tensor(model, "first").measured_shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(tensor(model, "y").measured_shape, (std::vector<std::int64_t>{1, 2}));
}

TEST(Probe, DynamicInputsNeedAShape) {
  auto engine = make_engine({});
  Model model = parse(test::through_a_sequence(-1));
  const Status status = probe_shapes(**engine, model);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find("x is float32[?,2]"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("--shape"), std::string::npos);
}

TEST(Probe, InputsThatNobodyCanGiveAreNamed) {
  auto engine = make_engine({});
  onnx::ModelProto proto = test::empty_model();
  auto* graph = proto.mutable_graph();
  test::add_value(graph->add_input(), "words\x1b[31m", onnx::TensorProto::STRING, {2});
  test::add_value(graph->add_output(), "y", onnx::TensorProto::STRING, {2});
  test::add_node(graph, "Identity", {"words\x1b[31m"}, {"y"});
  Model strings = parse(proto.SerializeAsString());
  EXPECT_EQ(probe_shapes(**engine, strings).error().message,
            "[engine] the model's input 'words?[31m' holds elements of type string, which have no fixed size");
  auto* type = graph->mutable_input(0)->mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  Model sequence = parse(proto.SerializeAsString());
  EXPECT_NE(probe_shapes(**engine, sequence).error().message.find("is a sequence"), std::string::npos);
}

// The branches of an If give tensors of other ranks: what one run measured must not bind the next one.
TEST(Probe, WhatMayHaveAnyRankKeepsIt) {
  auto engine = make_engine({});
  onnx::ModelProto proto = test::empty_model();
  auto* graph = proto.mutable_graph();
  test::add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {2, 2});
  test::add_value(graph->add_input(), "flat", onnx::TensorProto::BOOL, {1});
  graph->add_output()->set_name("y");
  graph->mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  test::add_int64(graph, "four", {4});
  auto* branch = test::add_node(graph, "If", {"flat"}, {"f"});
  for (const bool flat : {true, false}) {
    auto* attribute = branch->add_attribute();
    attribute->set_name(flat ? "then_branch" : "else_branch");
    attribute->set_type(onnx::AttributeProto::GRAPH);
    auto* body = attribute->mutable_g();
    body->set_name(attribute->name());
    if (flat)
      test::add_node(body, "Reshape", {"x", "four"}, {"t"});
    else
      test::add_node(body, "Identity", {"x"}, {"e"});
    auto* output = body->add_output();
    output->set_name(flat ? "t" : "e");
    output->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  }
  test::add_node(graph, "Abs", {"f"}, {"y"});
  Model model = parse(proto.SerializeAsString());
  ASSERT_TRUE(probe_shapes(**engine, model));
  EXPECT_EQ(tensor(model, "f").spec.shape, (std::vector<std::int64_t>{kUnknownRank}));
  const Chain chain = make_chain(model.graph(), model.sha256(), {.cut_width = 2}).value();
  ASSERT_EQ(chain.block_count(), 2u);
  auto tail = (*engine)->load(extract_segment(model, chain, 1, 1)->bytes, {});
  ASSERT_TRUE(tail) << tail.error().message;
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{{4}, {2, 2}, {1, 2, 2}}) {
    Tensor f{{"f", DType::kFloat32, shape}, Buffer(16)};
    std::memset(f.data.data(), 0, 16);
    std::vector<RunOutput> outputs(1);
    const TensorView in = view(f);
    const Status status = (*tail)->run({&in, 1}, outputs, {});
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(outputs[0].spec.shape, shape);
  }
  Tensor other{{"f", DType::kInt32, {4}}, Buffer(16)};
  std::vector<RunOutput> outputs(1);
  const TensorView in = view(other);
  EXPECT_EQ((*tail)->run({&in, 1}, outputs, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Probe, SeededInputsAreTheSameEachTimeAndFinite) {
  Model model = parse(test::through_a_sequence(50));
  const auto first = seeded_inputs(model, 7);
  const auto again = seeded_inputs(model, 7);
  const auto other = seeded_inputs(model, 8);
  ASSERT_TRUE(first && again && other);
  ASSERT_EQ((*first)[0].data.size(), 400U);
  EXPECT_EQ(std::memcmp((*first)[0].data.data(), (*again)[0].data.data(), 400), 0);
  EXPECT_NE(std::memcmp((*first)[0].data.data(), (*other)[0].data.data(), 400), 0);
  for (int i = 0; i < 100; ++i) {
    float value = -1;
    std::memcpy(&value, (*first)[0].data.data() + 4 * i, 4);
    EXPECT_GE(value, 0.0F);
    EXPECT_LE(value, 1.0F);
  }
}

TEST(Probe, HostileModelsEndWithATypedError) {
  auto engine = make_engine({.memory_bytes = Bytes{256} << 20});
  Model endless = parse(test::endless_loop());
  const Status stopped =
      probe_shapes(**engine, endless, {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50)});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kDeadlineExceeded) << stopped.error().message;
  Model huge = parse(test::expand(std::int64_t{17} << 28, false));
  const Status refused = probe_shapes(**engine, huge);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
}

}  // namespace
}  // namespace tideline
