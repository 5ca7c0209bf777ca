// Goal: with the inputs' sizes given, what follows from sizes alone is constant and crosses no cut; what a run decides stays.
// Method: the Reshape targets of exports with dynamic axes, built by hand, and look-alikes whose sizes depend on values.
#include <gtest/gtest.h>

#include "model/chain.h"
#include "model/segment.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

void add_int64(onnx::ModelProto& model, const std::string& name, const Dims& values) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor->add_int64_data(value);
}

// x -> Relu -> Reshape to [Shape(x)[0], -1] -> Tanh -> y; `before`: what makes the tensor that Shape looks at.
onnx::ModelProto reshaping(const std::string& before) {
  onnx::ModelProto model = empty_model(17);
  add_input(model, "x", {2, 6});
  add_int64(model, "zero", {0});
  add_int64(model, "one", {1});
  add_int64(model, "minus", {-1});
  add_node(model, before, {"x"}, {"seen"});
  add_node(model, "Shape", {"seen"}, {"shape"});
  add_node(model, "Slice", {"shape", "zero", "one"}, {"batch"});
  add_attribute(add_node(model, "Concat", {"batch", "minus"}, {"target"}), "axis", onnx::AttributeProto::INT)->set_i(0);
  add_node(model, "Relu", {"x"}, {"a"});
  add_node(model, "Reshape", {"a", "target"}, {"b"});
  // Shape of a Reshape: settled only because its target is.
  add_node(model, "Shape", {"b"}, {"shape2"});
  add_node(model, "Tanh", {"b"}, {"c"});
  add_node(model, "Sigmoid", {"c"}, {"d"});
  add_node(model, "Reshape", {"d", "shape2"}, {"y"});
  add_output(model, "y", {2, 6});
  return model;
}

// As the engine declares them without looking at values: what a Reshape makes has unknown sizes.
std::vector<Model::KnownShape> probed(const Model& model, const Dims& seen) {
  std::vector<Model::KnownShape> shapes;
  for (const GraphTensor& tensor : model.graph().tensors) {
    if (tensor.is_initializer) continue;
    const std::string& name = tensor.spec.name;
    const bool is_int = name.starts_with("shape") || name == "batch" || name == "target";
    const Dims measured = name == "batch" ? Dims{1} : is_int ? Dims{2} : Dims{2, 6};
    const bool known = name == "x" || name == "a" || name == "shape" || name == "shape2";
    shapes.push_back({name, is_int ? DType::kInt64 : DType::kFloat32,
                      name == "seen" ? seen
                      : known        ? measured
                                     : Dims(measured.size(), kUnknownDim),
                      measured});
  }
  return shapes;
}

std::size_t blocks_of(const Model& model) { return make_chain(model.graph(), model.sha256(), {})->blocks.size(); }

TEST(FoldShapes, WhatFollowsFromGivenSizesIsConstant) {
  auto model = parse(reshaping("Relu"));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(model->set_shapes(probed(*model, {2, 6})));
  // Relu, Reshape, Tanh, Sigmoid, Reshape are left, each a block of its own.
  EXPECT_EQ(blocks_of(*model), 5u);
  const Chain chain = *make_chain(model->graph(), model->sha256(), {});
  const auto part = extract_onnx(*model, chain, 4, 4);
  ASSERT_TRUE(part) << part.error().message;
  const onnx::ModelProto written = reread(*part);
  ASSERT_EQ(written.graph().input_size(), 1);
  EXPECT_EQ(written.graph().node(0).op_type(), "Constant");
  EXPECT_EQ(written.graph().node(0).attribute(0).t().int64_data(0), 2);
  EXPECT_EQ(written.graph().node(0).attribute(0).t().int64_data(1), 6);
}

TEST(FoldShapes, WhatOnlyTheRunTellsStays) {
  // As many ones as the run finds: its size is no property of the model, whatever was measured.
  auto model = parse(reshaping("NonZero"));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(model->set_shapes(probed(*model, {2, kUnknownDim})));
  EXPECT_LT(blocks_of(*model), 5u);
  const auto& ops = model->graph().ops;
  EXPECT_TRUE(std::any_of(ops.begin(), ops.end(), [](const Op& op) { return op.type == "Shape" && !op.is_constant; }));
}

TEST(FoldShapes, UnfixedInputsAndForeignOpsSettleNothing) {
  for (const bool foreign : {false, true}) {
    onnx::ModelProto proto = reshaping("Relu");
    if (foreign) {
      auto* opset = proto.add_opset_import();
      opset->set_domain("somebody");
      opset->set_version(1);
      proto.mutable_graph()->mutable_node(0)->set_domain("somebody");
    }
    auto model = parse(proto);
    ASSERT_TRUE(model) << model.error().message;
    std::vector<Model::KnownShape> shapes = probed(*model, {kUnknownDim, kUnknownDim});
    for (Model::KnownShape& shape : shapes)
      if (!foreign && shape.tensor == "x") shape.declared = {kUnknownDim, 6};
    ASSERT_TRUE(model->set_shapes(shapes));
    const auto shape =
        std::find_if(model->graph().ops.begin(), model->graph().ops.end(), [](const Op& op) { return op.name == "shape"; });
    EXPECT_EQ(shape->type, "Shape") << foreign;
  }
}

TEST(FoldShapes, StartAndEndOfShapeAndTheSize) {
  const auto value_of = [](const std::string& type, std::optional<std::int64_t> start, std::optional<std::int64_t> end) {
    onnx::ModelProto proto = empty_model(17);
    add_input(proto, "x", {2, 3, 4});
    auto* node = add_node(proto, type, {"x"}, {"s"});
    if (start) add_attribute(node, "start", onnx::AttributeProto::INT)->set_i(*start);
    if (end) add_attribute(node, "end", onnx::AttributeProto::INT)->set_i(*end);
    add_node(proto, "Relu", {"x"}, {"y"});
    add_output(proto, "y", {2, 3, 4});
    add_output(proto, "s", {-1}, onnx::TensorProto::INT64);
    Model model = *parse(proto);
    EXPECT_TRUE(model.set_shapes({{"x", DType::kFloat32, {2, 3, 4}, {2, 3, 4}}}));
    const onnx::ModelProto written = reread(*model.onnx_bytes());
    const onnx::TensorProto& tensor = written.graph().node(0).attribute(0).t();
    EXPECT_EQ(tensor.dims_size(), type == "Shape" ? 1 : 0);
    return Dims(tensor.int64_data().begin(), tensor.int64_data().end());
  };
  EXPECT_EQ(value_of("Shape", std::nullopt, std::nullopt), (Dims{2, 3, 4}));
  EXPECT_EQ(value_of("Shape", 1, std::nullopt), (Dims{3, 4}));
  EXPECT_EQ(value_of("Shape", -2, -1), Dims{3});
  EXPECT_EQ(value_of("Shape", -9, 9), (Dims{2, 3, 4}));
  EXPECT_EQ(value_of("Shape", 2, 1), Dims{});
  EXPECT_EQ(value_of("Size", std::nullopt, std::nullopt), Dims{24});
}

}  // namespace
}  // namespace tideline
