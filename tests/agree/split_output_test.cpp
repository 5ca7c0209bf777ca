// The law for models with an output section: cut before, between and behind their output steps, in two and in three, they answer
// what they answer whole, bit for bit; and whole, what the steps make of the plain model's outputs.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "engine/test_models.h"
#include "model/segment.h"
#include "output/output_steps.h"
#include "split_support.h"

namespace tideline::agree {
namespace {

void add_floats(onnx::GraphProto* graph, const std::string& name, const std::vector<std::int64_t>& shape, std::uint32_t seed,
                float scale) {
  auto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) {
    tensor->add_dims(dim);
    count *= dim;
  }
  std::uint32_t state = seed;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    tensor->add_float_data((static_cast<float>(state >> 8) / 8388608.0f - 1) * scale);
  }
}

// y = x convolved with kernels of 1 x 1.
void add_conv(onnx::GraphProto* graph, const std::string& x, const std::string& y, std::int64_t from, std::int64_t to,
              std::uint32_t seed, float scale) {
  add_floats(graph, y + ".w", {to, from, 1, 1}, seed, scale);
  test::add_node(graph, "Conv", {x, y + ".w"}, {y});
}

// x -> two hidden layers; the head `near` is made early and crosses what comes behind it, the head `far` late. `aux` is an output
// that nobody wants. With `through`, `far` is made of `near` too.
std::string detector(bool through) {
  onnx::ModelProto model = test::empty_model();
  auto* graph = model.mutable_graph();
  test::add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {1, 3, 8, 8});
  for (const char* name : {"aux", "far", "near"})
    test::add_value(graph->add_output(), name, onnx::TensorProto::FLOAT, {1, -1, 8, 8});
  add_conv(graph, "x", "a", 3, 8, 1, 3);
  test::add_node(graph, "Tanh", {"a"}, {"a.tanh"});
  add_conv(graph, "a.tanh", "near", 8, 16, 2, 4);
  add_conv(graph, through ? "near" : "a.tanh", "b", through ? 16 : 8, 8, 3, 3);
  test::add_node(graph, "Tanh", {"b"}, {"b.tanh"});
  test::add_node(graph, "Sin", {"b.tanh"}, {"c"});
  add_conv(graph, "c", "far", 8, 16, 4, 4);
  add_conv(graph, "c", "aux", 8, 40, 5, 1);
  return model.SerializeAsString();
}

std::string classifier() {
  onnx::ModelProto model = test::empty_model();
  auto* graph = model.mutable_graph();
  test::add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {1, 3, 8, 8});
  test::add_value(graph->add_output(), "y", onnx::TensorProto::FLOAT, {1, -1, 1, 1});
  add_conv(graph, "x", "a", 3, 8, 1, 1);
  test::add_node(graph, "Relu", {"a"}, {"b"});
  add_conv(graph, "b", "c", 8, 30, 2, 1);
  test::add_node(graph, "GlobalAveragePool", {"c"}, {"y"});
  return model.SerializeAsString();
}

struct Case {
  const char* name;
  std::string onnx;
  std::vector<std::string> outputs;
  const char* steps;
  std::uint32_t cut_width;
};
void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

class Output : public testing::TestWithParam<Case> {};

void expect_same(const Tensors& expected, const Tensors& found, const std::string& where) {
  ASSERT_EQ(expected.size(), found.size()) << where;
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << where << ": " << name;
    EXPECT_EQ(describe(tensor.spec), describe(found.at(name).spec)) << where;
    EXPECT_TRUE(compare(tensor, found.at(name)).is_identical) << where << ": " << name;
  }
}

TEST_P(Output, CutAnywhereItAnswersTheSame) {
  const auto steps = parse_output_steps(GetParam().steps);
  ASSERT_TRUE(steps) << steps.error().message;
  const auto made =
      SplitModel::make(engine(), GetParam().onnx, GetParam().name, {.shapes = {}, .input = {}, .outputs = GetParam().outputs});
  ASSERT_TRUE(made) << made.error().message;
  SplitModel& model = **made;
  const Status cut = model.recut(GetParam().cut_width, *steps);
  ASSERT_TRUE(cut) << cut.error().message;
  const Chain& chain = model.chain();
  const std::uint32_t blocks = chain.block_count();
  ASSERT_EQ(chain.output_cut() + steps->size(), blocks);

  // The plain model, then step by step by hand.
  const auto plain = model.whole();
  ASSERT_TRUE(plain) << plain.error().message;
  std::vector<Tensor> current;
  for (const TensorSpec& spec : chain.cuts[chain.output_cut()].tensors)
    current.push_back({spec, Buffer::copy_of((*plain)->at(spec.name).data.span())});
  for (const OutputStep& step : *steps) {
    std::vector<TensorView> views;
    for (const Tensor& tensor : current) views.push_back(view(tensor));
    auto next = run_output_step(step, views);
    ASSERT_TRUE(next) << next.error().message;
    current = std::move(*next);
  }
  Tensors by_hand;
  for (std::size_t i = 0; i < current.size(); ++i) {
    current[i].spec.name = chain.cuts.back().tensors[i].name;
    by_hand.emplace(current[i].spec.name, std::move(current[i]));
  }
  const auto whole = model.run_segment(model.inputs(), 0, blocks - 1);
  ASSERT_TRUE(whole) << whole.error().message;
  expect_same(by_hand, *whole, "whole");
  // There is something to compare.
  EXPECT_GT(whole->begin()->second.data.size(), 0u);

  for (std::uint32_t first = 1; first < blocks; ++first) {
    const auto in_two = model.run_split({first});
    ASSERT_TRUE(in_two) << in_two.error().message;
    expect_same(*whole, *in_two, fmt::format("cut {}", first));
    for (std::uint32_t second = first + 1; second < blocks; ++second) {
      const auto in_three = model.run_split({first, second});
      ASSERT_TRUE(in_three) << in_three.error().message;
      expect_same(*whole, *in_three, fmt::format("cuts {} and {}", first, second));
    }
  }
}

// What a segment says in advance of its shapes is what a run makes.
TEST_P(Output, SegmentsSayWhatTheyMake) {
  const auto steps = parse_output_steps(GetParam().steps);
  ASSERT_TRUE(steps);
  const auto made =
      SplitModel::make(engine(), GetParam().onnx, GetParam().name, {.shapes = {}, .input = {}, .outputs = GetParam().outputs});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE((*made)->recut(GetParam().cut_width, *steps));
  const Chain& chain = (*made)->chain();
  for (std::uint32_t first = 0; first < chain.block_count(); ++first) {
    const auto segment = extract_segment((*made)->model(), chain, first, chain.block_count() - 1);
    ASSERT_TRUE(segment) << segment.error().message;
    ASSERT_EQ(segment->outputs.size(), chain.cuts.back().tensors.size());
    const auto whole = (*made)->run_split(first == 0 ? std::vector<std::uint32_t>{} : std::vector<std::uint32_t>{first});
    ASSERT_TRUE(whole);
    for (std::size_t i = 0; i < segment->outputs.size(); ++i) {
      const TensorSpec& told = segment->outputs[i];
      const TensorSpec& most = chain.cuts.back().tensors[i];
      const TensorSpec& found = whole->at(told.name).spec;
      EXPECT_EQ(told.name, most.name);
      ASSERT_EQ(told.shape.size(), found.shape.size());
      for (std::size_t d = 0; d < told.shape.size(); ++d) {
        EXPECT_TRUE(told.shape[d] == kUnknownDim || told.shape[d] == found.shape[d]);
        EXPECT_LE(found.shape[d], most.shape[d]);
      }
    }
    // Packages are taken apart as they were put together.
    const auto parts = parse_segment(segment->bytes);
    ASSERT_TRUE(parts) << parts.error().message;
    EXPECT_EQ(parts->outputs, segment->outputs);
    EXPECT_EQ(parts->output_steps.size(), std::min<std::size_t>(steps->size(), chain.block_count() - first));
  }
  // What is not ONNX is not written as ONNX.
  EXPECT_FALSE(extract_onnx((*made)->model(), chain, chain.output_cut(), chain.block_count() - 1));
  const auto tail = extract_onnx((*made)->model(), chain, chain.output_cut() - 1, chain.block_count() - 1);
  ASSERT_TRUE(tail) << tail.error().message;
  EXPECT_EQ(checker_complaint(*tail), "");
}

constexpr const char* kHeads =
    R"([{"boxes": {"format": "yolov5", "score": 0.3, "anchors": [[[8, 8], [20, 12]], [[5, 5], [9, 30]]], "strides": [8, 8]}},)"
    R"( {"nms": {"iou": 0.3, "boxes": 30}}])";

INSTANTIATE_TEST_SUITE_P(
    Models, Output,
    testing::Values(Case{"classes", classifier(), {}, R"([{"softmax": {"axis": 1}}, {"threshold": {"value": 0.03}}])", 1},
                    Case{"sigmoids", classifier(), {}, R"(["sigmoid", "sigmoid", {"argmax": {"axis": 1}}])", 1},
                    Case{"heads", detector(false), {"near", "far"}, kHeads, 2},
                    Case{"far_first", detector(true), {"far", "near"}, kHeads, 2},
                    Case{"one_head", detector(true), {"near"}, R"([{"topk": {"k": 3}}])", 3},
                    Case{"text", detector(false), {"aux"}, R"([{"softmax": {"axis": 2}}, {"topk": {"k": 2}}])", 1}),
    [](const testing::TestParamInfo<Case>& parameter) { return std::string(parameter.param.name); });

// Outputs that nobody reads are none of the model's: they neither travel nor are they computed.
TEST(OutputSection, UnreadOutputsAreLeftOut) {
  const auto all = SplitModel::make(engine(), detector(false), "all", {});
  const auto some = SplitModel::make(engine(), detector(false), "some", {.shapes = {}, .input = {}, .outputs = {"far"}});
  ASSERT_TRUE(all && some);
  EXPECT_EQ((*all)->chain().cuts.back().tensors.size(), 3u);
  ASSERT_EQ((*some)->chain().cuts.back().tensors.size(), 1u);
  EXPECT_EQ((*some)->chain().cuts.back().tensors[0].name, "far");
  std::size_t ops = 0;
  for (const Block& block : (*some)->chain().blocks) ops += block.ops.size();
  EXPECT_EQ(ops, 6u);
  EXPECT_NE((*all)->chain().sha256, (*some)->chain().sha256);
  const auto wrong = SplitModel::make(engine(), detector(false), "wrong", {.shapes = {}, .input = {}, .outputs = {"fear"}});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("the outputs are: aux, far, near"), std::string::npos) << wrong.error().message;
}

TEST(OutputSection, StepsThatDoNotFitAreRefusedWithTheModelsOutput) {
  const auto made = SplitModel::make(engine(), classifier(), "classes", {});
  ASSERT_TRUE(made);
  const auto message = [&](const char* steps) {
    const Status cut = (*made)->recut(1, *parse_output_steps(steps));
    return cut ? std::string("accepted") : cut.error().message;
  };
  EXPECT_NE(message(R"([{"topk": {"k": 2}}])").find("float32[1,30,1,1] is smaller"), std::string::npos);
  EXPECT_NE(message(R"([{"boxes": {"format": "yolov8", "score": 0.5}}])").find("found float32[1,30,1,1]"), std::string::npos);
}

// Another step is another chain, and so is the same one with other numbers.
TEST(OutputSection, TheChainsIdentityKnowsTheSteps) {
  const auto made = SplitModel::make(engine(), classifier(), "classes", {});
  ASSERT_TRUE(made);
  std::vector<Sha256> known{(*made)->chain().sha256, (*made)->chain().structure_sha256};
  for (const char* steps : {R"(["softmax"])", R"([{"softmax": {"axis": 1}}])", R"(["sigmoid"])"}) {
    ASSERT_TRUE((*made)->recut(1, *parse_output_steps(steps)));
    for (const Sha256& hash : {(*made)->chain().sha256, (*made)->chain().structure_sha256}) {
      for (const Sha256& other : known) EXPECT_NE(hash, other);
      known.push_back(hash);
    }
  }
}

}  // namespace
}  // namespace tideline::agree
