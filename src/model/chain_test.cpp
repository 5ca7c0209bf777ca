// Goal: every cut is found, none is wrong, and constants never cross. Method: small graphs whose cuts can be counted by hand, and
// random graphs against a search over all sets of ops.
#include "model/chain.h"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "model/order.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

// The names at each cut, "x | top | sum | y".
std::string cuts_of(const Chain& chain) {
  std::string text;
  for (const Cut& one : chain.cuts) {
    if (!text.empty()) text += " | ";
    for (std::size_t i = 0; i < one.tensors.size(); ++i) text += (i > 0 ? " " : "") + one.tensors[i].name;
  }
  return text;
}
std::string blocks_of(const Cutting& cutting) {
  std::string text;
  for (const Block& block : cutting.chain.blocks) {
    if (!text.empty()) text += " | ";
    for (std::size_t i = 0; i < block.ops.size(); ++i) text += (i > 0 ? " " : "") + cutting.model.graph().op(block.ops[i]).name;
  }
  return text;
}

TEST(Chain, DiamondIsOneBlockWhenNarrowAndThreeWhenWide) {
  const Cutting narrow = cut(diamond_model());
  EXPECT_EQ(cuts_of(narrow.chain), "x | top | sum | y");
  EXPECT_EQ(blocks_of(narrow), "top | left right sum | y");
  EXPECT_EQ(cuts_of(cut(diamond_model(), 2).chain), "x | top | top left | left right | sum | y");
}

TEST(Chain, ResidualCrossesWhereItIsOneTensor) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_node(proto, "Relu", {"x"}, {"a"});
  add_node(proto, "Sigmoid", {"a"}, {"b"});
  add_node(proto, "Add", {"a", "b"}, {"c"});
  add_node(proto, "Relu", {"c"}, {"y"});
  add_output(proto, "y");
  EXPECT_EQ(cuts_of(cut(proto).chain), "x | a | c | y");
}

TEST(Chain, ConstantsNeverCrossWhateverMakesThem) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_constant(proto, "k");
  add_weight(proto, "w");
  add_node(proto, "Add", {"k", "w"}, {"kw"});  // constant too
  add_node(proto, "Add", {"x", "kw"}, {"a"});
  add_node(proto, "Mul", {"a", "k"}, {"b"});
  add_node(proto, "Mul", {"b", "kw"}, {"y"});
  add_output(proto, "y");
  const Cutting cutting = cut(proto);
  EXPECT_EQ(cuts_of(cutting.chain), "x | a | b | y");
  EXPECT_EQ(blocks_of(cutting), "a | b | y");
  // kw comes from two tensors of 16 bytes; b reads one of them; y reads both again.
  EXPECT_EQ(cutting.chain.blocks[0].parameter_bytes, 32u);
  EXPECT_EQ(cutting.chain.blocks[1].parameter_bytes, 16u);
  EXPECT_EQ(cutting.chain.blocks[2].parameter_bytes, 32u);
  EXPECT_EQ(cutting.model.graph().parameter_bytes, 32u);
}

TEST(Chain, RandomOpsAreNoConstantsAndSinkToTheirReader) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  set_ints(add_node(proto, "RandomNormal", {}, {"noise"}), "shape", {1, 4});
  add_node(proto, "Relu", {"noise"}, {"positive"});
  add_node(proto, "Relu", {"x"}, {"a"});
  add_node(proto, "Sigmoid", {"a"}, {"b"});
  add_node(proto, "Add", {"b", "positive"}, {"y"});
  add_output(proto, "y");
  const Cutting cutting = cut(proto);
  EXPECT_EQ(cuts_of(cutting.chain), "x | a | b | y");
  EXPECT_EQ(blocks_of(cutting), "a | b | noise positive y");
}

// Every order that is tried would take the source first.
TEST(Chain, ASourceThatEveryOrderTakesFirstHidesNoCut) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  set_ints(add_node(proto, "RandomNormal", {}, {"noise"}), "shape", {1, 4});
  add_node(proto, "Relu", {"x"}, {"left"});
  add_node(proto, "Sigmoid", {"x"}, {"right"});
  add_node(proto, "Add", {"left", "right"}, {"sum"});
  add_node(proto, "Add", {"noise", "sum"}, {"y"});
  add_output(proto, "y");
  EXPECT_EQ(cuts_of(cut(proto).chain), "x | sum | y");
}

TEST(Chain, DeadOpsAreInNoBlock) {
  onnx::ModelProto proto = diamond_model();
  add_node(proto, "Relu", {"top"}, {"dead"});
  add_node(proto, "Relu", {"dead"}, {"deader"});
  EXPECT_EQ(blocks_of(cut(proto)), "top | left right sum | y");
}

TEST(Chain, ModelOutputsMadeEarlyCross) {
  onnx::ModelProto proto = chain_model(4);
  add_output(proto, "t0");
  EXPECT_EQ(cuts_of(cut(proto).chain), "x | t0 | y t0");
  EXPECT_EQ(cuts_of(cut(proto, 2).chain), "x | t0 | t0 t1 | t0 t2 | y t0");
}

TEST(Chain, SeveralInputs) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "a");
  add_input(proto, "b");
  add_input(proto, "unused");
  add_node(proto, "Relu", {"a"}, {"ra"});
  add_node(proto, "Relu", {"b"}, {"rb"});
  add_node(proto, "Add", {"ra", "rb"}, {"c"});
  add_node(proto, "Relu", {"c"}, {"y"});
  add_output(proto, "y");
  EXPECT_EQ(cuts_of(cut(proto).chain), "a b unused | c | y");
  EXPECT_EQ(cuts_of(cut(proto, 2).chain), "a b unused | b ra | ra rb | c | y");
}

TEST(Chain, CapturesOfBodiesAreInputs) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_value(proto.mutable_graph()->add_input(), "flag", {}, onnx::TensorProto::BOOL);
  add_weight(proto, "w");
  add_node(proto, "Relu", {"x"}, {"early"});
  add_node(proto, "Relu", {"early"}, {"late"});
  auto* branch = add_node(proto, "If", {"flag"}, {"y"});
  auto* then_body = add_body(branch, "then_branch");
  add_node(*then_body, "Add", {"early", "w"}, {"t"});  // both from outside
  add_value(then_body->add_output(), "t", {1, 4});
  auto* else_body = add_body(branch, "else_branch");
  add_node(*else_body, "Relu", {"late"}, {"e"});
  add_value(else_body->add_output(), "e", {1, 4});
  add_output(proto, "y");
  const Cutting cutting = cut(proto, 3);
  EXPECT_EQ(cuts_of(cutting.chain), "x flag | flag early | flag early late | y");
  EXPECT_EQ(cutting.chain.blocks.back().parameter_bytes, 16u);
}

TEST(Chain, WhatHasNoFixedSizeIsNoCut) {
  onnx::ModelProto proto = chain_model(4);
  Model model = parse(proto).value();
  const auto shapes = [](DType middle) {
    std::vector<Model::KnownShape> list;
    for (const char* name : {"x", "t0", "t1", "t2", "y"})
      list.push_back({name, std::string_view(name) == "t1" ? middle : DType::kFloat32, {1, 4}, {1, 4}});
    return list;
  };
  ASSERT_TRUE(model.set_shapes(shapes(DType::kString)));
  EXPECT_EQ(cuts_of(make_chain(model.graph(), model.sha256(), {}).value()), "x | t0 | t2 | y");
  ASSERT_TRUE(model.set_shapes(shapes(DType::kFloat32)));
  EXPECT_EQ(cuts_of(make_chain(model.graph(), model.sha256(), {}).value()), "x | t0 | t1 | t2 | y");
}

TEST(Chain, RefusesWhatHasNothingToPlaceOrNoShapes) {
  Model model = parse(diamond_model()).value();
  EXPECT_FALSE(make_chain(model.graph(), model.sha256(), {}));  // shapes are not set
  set_all_shapes(model);
  EXPECT_FALSE(make_chain(model.graph(), model.sha256(), {.cut_width = 0}));
  EXPECT_FALSE(make_chain(model.graph(), model.sha256(), {.cut_width = 65}));

  onnx::ModelProto passing = empty_model();
  add_input(passing, "x");
  add_output(passing, "x");
  Model nothing = parse(passing).value();
  set_all_shapes(nothing);
  EXPECT_EQ(make_chain(nothing.graph(), nothing.sha256(), {}).error().code, ErrorCode::kUnsupported);
}

TEST(Chain, IdentityFollowsWhatDecidesTheCuts) {
  Model model = parse(diamond_model()).value();
  set_all_shapes(model);
  const auto identity = [&](ChainOptions options) { return make_chain(model.graph(), model.sha256(), options)->sha256; };
  const Sha256 narrow = identity({});
  EXPECT_EQ(identity({}), narrow);
  EXPECT_NE(identity({.cut_width = 2}), narrow);
  EXPECT_NE(make_chain(model.graph(), sha256("another model"), {})->sha256, narrow);
  set_all_shapes(model, [](const std::string&) { return Dims{1, 5}; });
  EXPECT_NE(identity({}), narrow);
}

// x(16) -> top; while left, right and sum run: top + left, top + left + right, left + right + sum.
// Trained again and exported again: other weights, other names, the same times.
TEST(Chain, StructureIsWhatTheTimeDependsOn) {
  const auto structure = [](const std::string& prefix, float weight, const std::string& op, const Dims& dims) {
    onnx::ModelProto proto = empty_model();
    add_input(proto, prefix + "x");
    add_weight(proto, prefix + "w", dims, weight);
    add_node(proto, "Add", {prefix + "x", prefix + "w"}, {prefix + "a"});
    add_node(proto, op, {prefix + "a"}, {prefix + "y"});
    add_output(proto, prefix + "y");
    return cut(proto).chain;
  };
  const Chain first = structure("", 1, "Relu", {1, 4});
  const Chain again = structure("net/", 2, "Relu", {1, 4});
  EXPECT_NE(first.sha256, again.sha256);
  EXPECT_EQ(first.structure_sha256, again.structure_sha256);
  EXPECT_NE(structure("", 1, "Tanh", {1, 4}).structure_sha256, first.structure_sha256);
  EXPECT_NE(structure("", 1, "Relu", {4}).structure_sha256, first.structure_sha256);
  EXPECT_NE(cut(diamond_model(), 2).chain.structure_sha256, cut(diamond_model()).chain.structure_sha256);
}

TEST(Chain, SaysWhenWiderCutsGiveManyMoreBlocks) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  // Two long branches: nothing between them is a cut of one tensor, everything is one of two.
  add_node(proto, "Relu", {"x"}, {"top"});
  std::string left = "top";
  std::string right = "top";
  for (int i = 0; i < 6; ++i) {
    add_node(proto, "Sigmoid", {left}, {"l" + std::to_string(i)});
    add_node(proto, "Tanh", {right}, {"r" + std::to_string(i)});
    left = "l" + std::to_string(i);
    right = "r" + std::to_string(i);
  }
  add_node(proto, "Add", {left, right}, {"y"});
  add_output(proto, "y");
  const Cutting narrow = cut(proto);
  ASSERT_EQ(narrow.chain.blocks.size(), 2u);
  const auto hint = wider_cuts(narrow.model.graph(), narrow.chain, {.cut_width = 1});
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->width, 2u);
  EXPECT_EQ(hint->blocks, cut(proto, 2).chain.blocks.size());
  EXPECT_EQ(hint->blocks, 14u);
  const Cutting wide = cut(proto, 2);
  EXPECT_FALSE(wider_cuts(wide.model.graph(), wide.chain, {.cut_width = 2}));
  // A few more are no news.
  const Cutting diamond = cut(diamond_model());
  EXPECT_FALSE(wider_cuts(diamond.model.graph(), diamond.chain, {.cut_width = 1}));
}

TEST(Chain, SaysThatStringsCannotTravel) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_node(proto, "Relu", {"x"}, {"label"});
  add_output(proto, "label", {1, 1}, onnx::TensorProto::STRING);
  Model model = parse(proto).value();
  // The engine's strings are not measured, as the probe does it.
  ASSERT_TRUE(model.set_shapes({{"x", DType::kFloat32, {1, 4}, {1, 4}}}));
  const auto chain = make_chain(model.graph(), model.sha256(), {});
  ASSERT_FALSE(chain);
  EXPECT_NE(chain.error().message.find("output 'label' holds elements of type string"), std::string::npos)
      << chain.error().message;
}

TEST(Chain, ActivationsAreWhatIsAliveAtOnce) {
  const Cutting cutting = cut(diamond_model());
  EXPECT_EQ(cutting.chain.blocks[0].activation_bytes, 32u);
  EXPECT_EQ(cutting.chain.blocks[1].activation_bytes, 64u);  // the caller still holds top
  EXPECT_EQ(cutting.chain.blocks[2].activation_bytes, 32u);
  const Cutting row = cut(chain_model(5), 1);
  for (const Block& block : row.chain.blocks) EXPECT_EQ(block.activation_bytes, 32u);
}

TEST(Chain, InputStepsAreBlocksAtTheHead) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "image", {1, 3, 8, 6});
  add_node(proto, "Relu", {"image"}, {"y"});
  add_output(proto, "y", {1, 3, 8, 6});
  Model model = parse(proto).value();
  set_all_shapes(model, [](const std::string&) { return Dims{1, 3, 8, 6}; });
  InputSection section;
  section.width = 6;
  section.height = 8;
  ChainOptions options{.input = section, .sample_file_bytes = 1000, .sample_width = 60, .sample_height = 40};
  const auto chain = make_chain(model.graph(), model.sha256(), options);
  ASSERT_TRUE(chain) << chain.error().message;
  ASSERT_EQ(chain->blocks.size(), 4u);
  EXPECT_EQ(chain->blocks[0].step, InputStep::kDecode);
  EXPECT_EQ(chain->blocks[2].name, "normalize");
  ASSERT_EQ(chain->cuts.size(), 5u);
  EXPECT_EQ(chain->cuts[0].bytes, 1000u);
  EXPECT_EQ(chain->cuts[1].bytes, 60u * 40 * 3);
  EXPECT_EQ(chain->cuts[2].bytes, 6u * 8 * 3);
  EXPECT_EQ(chain->cuts[3].bytes, 6u * 8 * 3 * 4);
  EXPECT_EQ(chain->cuts[3].tensors[0].name, "image");
  EXPECT_NE(chain->cuts[0].tensors[0].name, "image");  // two tensors of one name would be confused

  options.input->width = 7;
  EXPECT_EQ(make_chain(model.graph(), model.sha256(), options).error().code, ErrorCode::kInvalidArgument);
  options.input->width = 6;
  options.input->layout = ImageLayout::kNhwc;
  EXPECT_FALSE(make_chain(model.graph(), model.sha256(), options));
  options.input->layout = ImageLayout::kNchw;
  options.input->tensor = "pixels";
  EXPECT_FALSE(make_chain(model.graph(), model.sha256(), options));
}

// With `noise`, some ops are sources that no input reaches.
onnx::ModelProto random_model(std::mt19937& random, int ops, bool noise = false) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  std::vector<std::string> names{"x"};
  const auto pick = [&] { return names[names.size() - 1 - std::min<std::size_t>(random() % names.size(), random() % 4)]; };
  for (int i = 0; i < ops; ++i) {
    const std::string made = "t" + std::to_string(i);
    if (noise && random() % 4 == 0)
      set_ints(add_node(proto, "RandomNormal", {}, {made}), "shape", {1, 4});
    else if (random() % 2 == 0)
      add_node(proto, "Relu", {pick()}, {made});
    else
      add_node(proto, "Add", {pick(), pick()}, {made});
    names.push_back(made);
  }
  add_output(proto, names.back());
  if (random() % 3 == 0 && ops > 3) add_output(proto, "t1");
  return proto;
}

// What crosses when `done` (a set of ops, by bit) has run and the rest has not; empty when the set is not closed.
std::optional<std::set<TensorId>> crossing(const Graph& graph, const std::vector<OpId>& live, unsigned done) {
  std::set<TensorId> crossing;
  const auto is_done = [&](OpId id) {
    const auto at = std::find(live.begin(), live.end(), id);
    return at != live.end() && (done >> (at - live.begin()) & 1) != 0;
  };
  const auto there = [&](TensorId id) { return graph.tensor(id).producer == kNoOp || is_done(graph.tensor(id).producer); };
  for (std::size_t i = 0; i < live.size(); ++i)
    for (const TensorId input : graph.op(live[i]).inputs) {
      if ((done >> i & 1) != 0 && !there(input)) return std::nullopt;
      if ((done >> i & 1) == 0 && there(input)) crossing.insert(input);
    }
  for (const TensorId output : graph.outputs)
    if (there(output)) crossing.insert(output);
  return crossing;
}

// Over all closed sets of ops, not only prefixes of one order: the single-tensor cuts are exactly those that the chain has.
TEST(Chain, FindsEverySingleTensorCutOfRandomGraphs) {
  std::mt19937 random(7);
  std::size_t found = 0;
  for (int round = 0; round < 600; ++round) {
    const Cutting cutting = cut(random_model(random, 4 + static_cast<int>(random() % 7), round % 2 == 0));
    const Graph& graph = cutting.model.graph();
    // Where no output depends on the input, several orders of the sources are possible, each with its own cuts.
    const std::vector<OpId>& readers = graph.tensor(graph.inputs.front()).consumers;
    if (std::all_of(readers.begin(), readers.end(), [&](OpId id) { return graph.op(id).is_dead; })) continue;
    std::vector<OpId> live;
    for (const Block& block : cutting.chain.blocks) live.insert(live.end(), block.ops.begin(), block.ops.end());
    std::set<std::set<TensorId>> expected;
    for (unsigned done = 1; done + 1 < 1u << live.size(); ++done)
      if (const auto names = crossing(graph, live, done); names && names->size() == 1) expected.insert(*names);
    EXPECT_EQ(cutting.chain.cuts.size() - 2, expected.size());
    found += expected.size();
  }
  EXPECT_GT(found, 300u);
}

TEST(Order, IsTopologicalAndItsWidthsAreWhatCrosses) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Model model = parse(random_model(random, 12)).value();
    set_all_shapes(model);
    const Graph& graph = model.graph();
    const std::vector<OpId> order = cutting_order(graph, 2);
    const std::vector<std::uint32_t> widths = frontier_widths(graph, order);
    ASSERT_EQ(widths.size(), order.size() + 1);
    for (std::size_t k = 0; k <= order.size(); ++k) {
      const auto names = crossing(graph, order, (1u << k) - 1);
      ASSERT_TRUE(names) << "not topological";
      EXPECT_EQ(names->size(), widths[k]);
    }
  }
}

// Two long branches, interleaved in the file: in that order every prefix is two wide inside; branch after branch as well, but
// with a third branch the file's order is three wide and the chosen one is not.
TEST(Order, FinishesOneBranchBeforeTheNext) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  std::vector<std::string> ends;
  for (int step = 0; step < 5; ++step)
    for (int branch = 0; branch < 3; ++branch) {
      const std::string name = "b" + std::to_string(branch) + "_" + std::to_string(step);
      add_node(proto, "Relu", {step == 0 ? "x" : "b" + std::to_string(branch) + "_" + std::to_string(step - 1)}, {name});
      if (step == 4) ends.push_back(name);
    }
  add_node(proto, "Sum", ends, {"y"});
  add_output(proto, "y");
  // With a width of two: the whole first branch (x and its tip) can be cut, and nothing after the second is begun; the
  // interleaved file has one such prefix.
  EXPECT_EQ(cut(proto, 2).chain.blocks.size(), 6u);
}

TEST(Chain, AVeryWideGraphIsCutInTime) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  Names ends;
  for (int i = 0; i < 20'000; ++i) {
    add_node(proto, "Relu", {"x"}, {"t" + std::to_string(i)});
    ends.push_back("t" + std::to_string(i));
  }
  add_node(proto, "Sum", ends, {"y"});
  add_output(proto, "y");
  EXPECT_EQ(cut(proto).chain.blocks.size(), 1u);
}

}  // namespace
}  // namespace tideline
