// Goal: an anchor stands where a residual network is cut and nowhere else, and what other tools get has none.
// Method: one residual block and its variations, cut before and inside; the node that reads the segment's input tells.
#include "model/layout_anchor.h"

#include <gtest/gtest.h>

#include "model/segment.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

// x -> Relu "t" -> (Conv "c" -> Add "s" with t) -> y, with `channels` channels.
onnx::ModelProto residual(std::int64_t channels, const std::string& other = "Conv") {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {1, channels, 4, 4});
  add_node(model, "Relu", {"x"}, {"t"});
  if (other == "Conv") {
    add_weight(model, "w", {channels, channels, 1, 1}, 0.1f);
    add_node(model, "Conv", {"t", "w"}, {"c"});
  } else {
    add_node(model, other, {"t"}, {"c"});
  }
  add_node(model, "Add", {"c", "t"}, {"s"});
  add_node(model, "Relu", {"s"}, {"y"});
  add_output(model, "y", {1, channels, 4, 4});
  return model;
}

// What reads the input of the part behind the first block, and whether the part is still a model for everybody.
struct Behind {
  std::string packaged;
  std::string extracted;
};
Behind behind_first_block(const onnx::ModelProto& proto) {
  auto model = parse(proto);
  EXPECT_TRUE(model) << model.error().message;
  const std::int64_t channels = proto.graph().input(0).type().tensor_type().shape().dim(1).dim_value();
  set_all_shapes(*model, [&](const std::string&) { return Dims{1, channels, 4, 4}; });
  const auto chain = make_chain(model->graph(), model->sha256(), {});
  EXPECT_TRUE(chain);
  const auto reader = [](std::string_view bytes) {
    onnx::ModelProto part;
    EXPECT_TRUE(part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const std::string& input = part.graph().input(0).name();
    for (const auto& node : part.graph().node())
      for (const auto& name : node.input())
        if (name == input) return node.op_type();
    return std::string("nothing");
  };
  const std::uint32_t last = chain->block_count() - 1;
  const auto segment = extract_segment(*model, *chain, 1, last);
  const auto parts = parse_segment(segment->bytes);
  return {reader(parts->onnx), reader(*extract_onnx(*model, *chain, 1, last))};
}

TEST(LayoutAnchor, StandsWhereWhatIsCarriedMeetsAConvolution) {
  const Behind behind = behind_first_block(residual(32));
  EXPECT_EQ(behind.packaged, "MaxPool");
  EXPECT_EQ(behind.extracted, "Conv");
}

TEST(LayoutAnchor, NotForChannelsThatFillNoBlock) { EXPECT_EQ(behind_first_block(residual(24)).packaged, "Conv"); }

// A mask that is added to scores may hold -infinity, which a pool would not give back.
TEST(LayoutAnchor, NotWithoutAConvolution) { EXPECT_EQ(behind_first_block(residual(32, "Tanh")).packaged, "Tanh"); }

TEST(LayoutAnchor, ForAnAverageOverTheImage) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {1, 16, 4, 4});
  add_node(model, "Relu", {"x"}, {"t"});
  add_node(model, "GlobalAveragePool", {"t"}, {"y"});
  add_output(model, "y", {1, 16, 1, 1});
  EXPECT_EQ(behind_first_block(model).packaged, "MaxPool");
}

TEST(LayoutAnchor, TakesANameThatNobodyHas) {
  onnx::ModelProto model = residual(16);
  model.mutable_graph()->mutable_node(2)->set_output(0, "t/anchor");
  model.mutable_graph()->mutable_node(3)->set_input(0, "t/anchor");
  EXPECT_EQ(behind_first_block(model).packaged, "MaxPool");
}

}  // namespace
}  // namespace tideline
