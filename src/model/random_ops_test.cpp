// Goal: every op whose answer changes from run to run is found and named, and no other.
#include "model/random_ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> found_in(const onnx::ModelProto& proto) {
  const auto model = parse(proto);
  EXPECT_TRUE(model) << model.error().message;
  return model ? random_ops(*model) : std::vector<std::string>{};
}

onnx::ModelProto with(const std::string& type, const Names& inputs, const std::string& domain = "") {
  onnx::ModelProto proto = empty_model(15);
  add_input(proto, "x");
  add_node(proto, type, inputs, {"middle"})->set_domain(domain);
  add_node(proto, "Add", {"x", "middle"}, {"y"});
  add_output(proto, "y");
  if (!domain.empty()) {
    auto* opset = proto.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(1);
  }
  return proto;
}

TEST(RandomOps, AreNamedWhereverTheyAre) {
  for (const char* type : {"RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"})
    EXPECT_THAT(found_in(with(type, {"x"})), ElementsAre(std::string(type) + " 'middle'"));
  for (const char* type : {"RandomNormal", "RandomUniform"})
    EXPECT_THAT(found_in(with(type, {})), ElementsAre(std::string(type) + " 'middle'"));
  EXPECT_THAT(found_in(diamond_model()), IsEmpty());
  EXPECT_THAT(found_in(with("RandomNormalLike", {"x"}, "somebody.else")), IsEmpty());
  onnx::ModelProto dead = with("RandomNormalLike", {"x"});
  dead.mutable_graph()->mutable_node(1)->set_input(1, "x");
  EXPECT_THAT(found_in(dead), IsEmpty());

  onnx::ModelProto body = empty_model(15);
  add_input(body, "x");
  auto* node = add_node(body, "If", {"x"}, {"y"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    auto* graph = add_body(node, branch);
    add_node(*graph, "RandomUniformLike", {"x"}, {std::string(branch) + "\x1b[31m"});
    add_value(graph->add_output(), std::string(branch) + "\x1b[31m", {});
  }
  add_output(body, "y");
  EXPECT_THAT(found_in(body), ElementsAre("RandomUniformLike 'then_branch?[31m'", "RandomUniformLike 'else_branch?[31m'"));
}

TEST(RandomOps, TrainingModeIsNamedAndInferenceIsNot) {
  onnx::ModelProto dropout = with("Dropout", {"x", "ratio", "mode"});
  add_weight(dropout, "ratio", {});
  auto* mode = dropout.mutable_graph()->add_initializer();
  mode->set_name("mode");
  mode->set_data_type(onnx::TensorProto::BOOL);
  mode->set_raw_data(std::string("\1", 1));
  EXPECT_THAT(found_in(dropout), ElementsAre("Dropout 'middle' (training mode)"));
  mode = dropout.mutable_graph()->mutable_initializer(1);
  mode->set_raw_data(std::string("\0", 1));
  EXPECT_THAT(found_in(dropout), IsEmpty());
  mode->clear_raw_data();
  mode->add_int32_data(1);
  EXPECT_THAT(found_in(dropout), ElementsAre("Dropout 'middle' (training mode)"));
  EXPECT_THAT(found_in(with("Dropout", {"x"})), IsEmpty());

  onnx::ModelProto normal = with("BatchNormalization", {"x", "x", "x", "x", "x"});
  EXPECT_THAT(found_in(normal), IsEmpty());
  add_attribute(normal.mutable_graph()->mutable_node(0), "training_mode", onnx::AttributeProto::INT)->set_i(1);
  EXPECT_THAT(found_in(normal), IsEmpty()) << "it takes the mean of its batch, which is the same at each run";
}

}  // namespace
}  // namespace tideline
