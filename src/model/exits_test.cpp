// Goal: exits leave the trunk's cuts as they are, and each hangs at the cut with the smallest head. Method: small graphs by hand;
// random graphs, where the trunk is compared with the model that has no exits, and the head with what can be computed from each
// cut forwards.
#include <algorithm>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "model/chain.h"
#include "model/segment.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

struct Exits {
  Model model;
  Chain trunk;
  std::vector<Chain> exits;
};

Result<Exits> cut_with_exits(const onnx::ModelProto& proto, const Names& exits, const ChainOptions& given = {}) {
  TIDELINE_TRY(Model model, parse(proto, {.exits = exits}));
  set_all_shapes(model);
  ChainOptions options = given;
  options.exits = exits;
  TIDELINE_TRY(Chain trunk, make_chain(model.graph(), model.sha256(), options));
  std::vector<Chain> chains;
  for (const std::string& exit : exits) {
    TIDELINE_TRY(Chain chain, make_exit_chain(model.graph(), trunk, options, exit));
    chains.push_back(std::move(chain));
  }
  return Exits{std::move(model), std::move(trunk), std::move(chains)};
}

// "a | b | h1 h2": the ops of each block by name.
std::string ops_of(const Model& model, const Chain& chain) {
  std::string text;
  for (const Block& block : chain.blocks) {
    if (!text.empty()) text += " | ";
    for (std::size_t i = 0; i < block.ops.size(); ++i)
      text += (i > 0 ? " " : "") + model.graph().tensor(model.graph().op(block.ops[i]).outputs[0]).spec.name;
  }
  return text;
}
std::string tensors_of(const Chain& chain) {
  std::string text;
  for (const Cut& cut : chain.cuts) {
    if (!text.empty()) text += " | ";
    for (std::size_t i = 0; i < cut.tensors.size(); ++i) text += (i > 0 ? " " : "") + cut.tensors[i].name;
  }
  return text;
}

// x -> a -> b -> y, with a head of two ops at a.
onnx::ModelProto branchy() {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_node(proto, "Relu", {"x"}, {"a"});
  add_node(proto, "Sigmoid", {"a"}, {"h1"});
  add_node(proto, "Tanh", {"h1"}, {"early"});
  add_node(proto, "Relu", {"a"}, {"b"});
  add_node(proto, "Relu", {"b"}, {"y"});
  add_output(proto, "early");
  add_output(proto, "y");
  return proto;
}

std::string refusal(const onnx::ModelProto& proto, const Names& exits, const ChainOptions& options = {}) {
  const auto made = cut_with_exits(proto, exits, options);
  if (made) return "accepted";
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  return made.error().message;
}

TEST(ExitChain, TheTrunkHasTheCutsOfAModelWithoutExits) {
  // As plain outputs, what is made early crosses all cuts behind it, and the head lies in them.
  EXPECT_EQ(tensors_of(cut(branchy()).chain).find("x | a | b"), std::string::npos);
  const auto made = cut_with_exits(branchy(), {"early"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(tensors_of(made->trunk), "x | a | b | y");
  EXPECT_EQ(ops_of(made->model, made->trunk), "a | b | y");
  EXPECT_FALSE(made->trunk.exit);
  const Chain& exit = made->exits[0];
  EXPECT_EQ(tensors_of(exit), "x | a | early");
  EXPECT_EQ(ops_of(made->model, exit), "a | h1 early");
  EXPECT_EQ(exit.exit, (ChainExit{"early", 1}));
  EXPECT_NE(exit.sha256, made->trunk.sha256);
  EXPECT_NE(exit.structure_sha256, made->trunk.structure_sha256);
  EXPECT_EQ(exit.blocks[1].name, "early");
  EXPECT_EQ(exit.blocks[1].activation_bytes, 16u + 16u + 16u);
  // The whole of each is a model of its own ops.
  const auto head = extract_onnx(made->model, exit, 0, 1);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(reread(*head).graph().node_size(), 3);
  EXPECT_EQ(reread(*head).graph().output(0).name(), "early");
  const auto whole = extract_onnx(made->model, made->trunk, 0, 2);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(reread(*whole).graph().node_size(), 3);
  EXPECT_EQ(reread(*whole).graph().output_size(), 1);
}

TEST(ExitChain, AnOutputOfTheTrunkNeedsNoHead) {
  onnx::ModelProto proto = chain_model(4);
  add_output(proto, "t1");
  const auto made = cut_with_exits(proto, {"t1"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(tensors_of(made->trunk), "x | t0 | t1 | t2 | y");
  EXPECT_EQ(tensors_of(made->exits[0]), "x | t0 | t1");
  EXPECT_EQ(made->exits[0].exit->after, 2u);
  EXPECT_EQ(made->exits[0].blocks.size(), 2u);
}

// Inside a residual block there is no cut: the head takes along what it needs of the block.
TEST(ExitChain, AHeadInsideABlockBringsItsPartOfIt) {
  onnx::ModelProto proto = diamond_model();
  add_node(proto, "Tanh", {"left"}, {"early"});
  add_output(proto, "early");
  const auto made = cut_with_exits(proto, {"early"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(tensors_of(made->trunk), "x | top | sum | y");
  EXPECT_EQ(tensors_of(made->exits[0]), "x | top | early");
  EXPECT_EQ(ops_of(made->model, made->exits[0]), "top | left early");
  // With wide cuts it hangs behind the half that it reads.
  const auto wide = cut_with_exits(proto, {"early"}, {.cut_width = 2});
  ASSERT_TRUE(wide) << wide.error().message;
  EXPECT_EQ(tensors_of(wide->exits[0]), "x | top | top left | early");
}

// A head that reads two places of the trunk hangs at the first, unless one cut has both.
TEST(ExitChain, AHeadOfTwoPlaces) {
  onnx::ModelProto proto = chain_model(4);
  add_node(proto, "Add", {"t0", "t2"}, {"early"});
  add_output(proto, "early");
  const auto made = cut_with_exits(proto, {"early"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(tensors_of(made->exits[0]), "x | t0 | early");
  EXPECT_EQ(ops_of(made->model, made->exits[0]), "t0 | t1 t2 early");
}

// A head of the input alone runs nothing of the trunk.
TEST(ExitChain, AHeadOfTheInput) {
  onnx::ModelProto proto = chain_model(3);
  add_node(proto, "Tanh", {"x"}, {"early"});
  add_output(proto, "early");
  const auto made = cut_with_exits(proto, {"early"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(tensors_of(made->exits[0]), "x | early");
  EXPECT_EQ(made->exits[0].exit->after, 0u);
}

TEST(ExitChain, OutputStepsStandBehindAnExitToo) {
  const auto steps = parse_output_steps(R"(["softmax", {"topk": {"k": 2}}])");
  ASSERT_TRUE(steps);
  const auto made = cut_with_exits(branchy(), {"early"}, {.output_steps = *steps});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->trunk.block_count(), 5u);
  EXPECT_EQ(made->exits[0].block_count(), 4u);
  EXPECT_EQ(made->exits[0].output_cut(), 2u);
  EXPECT_EQ(made->exits[0].blocks[3].name, "topk");
}

TEST(ExitChain, SaysWhatIsWrong) {
  EXPECT_NE(refusal(branchy(), {"late"}).find("an exit is 'late', but the outputs are: early, y"), std::string::npos);
  EXPECT_NE(refusal(branchy(), {"early", "y"}).find("every output is an exit"), std::string::npos);
  onnx::ModelProto proto = chain_model(2);
  add_output(proto, "x");
  EXPECT_NE(refusal(proto, {"x"}).find("'x' is an input of the model"), std::string::npos);
  const auto read = parse(branchy(), {.outputs = {"early"}, .exits = {"early"}});
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("'early', which is an exit"), std::string::npos) << read.error().message;
  // An output step that fits the whole model's answer and not the exit's.
  onnx::ModelProto shapes = branchy();
  const auto steps = parse_output_steps(R"([{"boxes": {"format": "rows", "score": 0.5}}])");
  ASSERT_TRUE(steps);
  const auto plain = cut_with_exits(shapes, {"early"}, {.output_steps = *steps});
  ASSERT_FALSE(plain);
}

// A random trunk with random heads.
struct Generator {
  std::mt19937_64 random;
  std::size_t below(std::size_t end) { return random() % end; }

  onnx::ModelProto model(Names& exits) {
    onnx::ModelProto proto = empty_model();
    add_input(proto, "x");
    Names trunk{"x"};
    const std::size_t length = 3 + below(8);
    const auto add = [&](const Names& from, const std::string& name, std::size_t reach) {
      const auto pick = [&] { return from[from.size() - 1 - below(std::min(reach, from.size()))]; };
      if (below(3) == 0)
        add_node(proto, "Add", {pick(), pick()}, {name});
      else
        add_node(proto, "Relu", {pick()}, {name});
    };
    for (std::size_t i = 0; i < length; ++i) {
      const std::string name = i + 1 == length ? "y" : fmt::format("t{}", i);
      add(trunk, name, 2);
      trunk.push_back(name);
    }
    add_output(proto, "y");
    for (std::size_t e = 0; e < 1 + below(3); ++e) {
      Names known = trunk;
      if (below(6) == 0) {
        // A tensor of the trunk itself.
        const std::string& own = trunk[1 + below(trunk.size() - 1)];
        if (own == "y" || std::find(exits.begin(), exits.end(), own) != exits.end()) continue;
        add_output(proto, own);
        exits.push_back(own);
        continue;
      }
      const std::size_t ops = 1 + below(3);
      for (std::size_t i = 0; i < ops; ++i) {
        const std::string name = fmt::format("e{}.{}", e, i);
        add(known, name, i == 0 ? known.size() : 3);
        known.push_back(name);
      }
      add_output(proto, known.back());
      exits.push_back(known.back());
    }
    return proto;
  }
};

// What can be computed forwards from the tensors of a cut, of the ops that the exit needs and that lie behind it: how many, or
// nothing when the exit is not among it.
std::optional<std::size_t> head_from(const Graph& graph, const std::set<std::size_t>& needed, const Chain& trunk,
                                     std::uint32_t cut, TensorId exit) {
  std::set<std::size_t> done;
  for (std::uint32_t k = 0; k < cut; ++k)
    for (const OpId id : trunk.blocks[k].ops) done.insert(index(id));
  std::set<std::string> there;
  for (const TensorSpec& spec : trunk.cuts[cut].tensors) there.insert(spec.name);
  std::size_t count = 0;
  for (const std::size_t id : needed) {
    if (done.contains(id)) continue;
    const Op& op = graph.ops[id];
    const bool can = std::all_of(op.inputs.begin(), op.inputs.end(),
                                 [&](TensorId input) { return there.contains(graph.tensor(input).spec.name); });
    if (!can) return std::nullopt;
    for (const TensorId output : op.outputs) there.insert(graph.tensor(output).spec.name);
    ++count;
  }
  if (!there.contains(graph.tensor(exit).spec.name)) return std::nullopt;
  return count;
}

std::set<std::size_t> ancestors(const Graph& graph, TensorId tensor) {
  std::set<std::size_t> found;
  std::vector<TensorId> open{tensor};
  while (!open.empty()) {
    const OpId maker = graph.tensor(open.back()).producer;
    open.pop_back();
    if (maker == kNoOp || !found.insert(index(maker)).second) continue;
    for (const TensorId input : graph.op(maker).inputs) open.push_back(input);
  }
  return found;
}

TEST(ExitChain, RandomGraphsAgainstTheModelWithoutExitsAndEveryCut) {
  Generator generator{std::mt19937_64(5)};
  int compared = 0;
  int deep = 0;
  int none = 0;
  for (int round = 0; round < 2'000; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Names exits;
    const onnx::ModelProto proto = generator.model(exits);
    if (exits.empty()) continue;
    const auto width = static_cast<std::uint32_t>(1 + generator.below(3));
    const auto made = cut_with_exits(proto, exits, {.cut_width = width});
    ASSERT_TRUE(made) << made.error().message;
    Model plain = parse(proto, {.outputs = {"y"}}).value();
    set_all_shapes(plain);
    const Chain alone = make_chain(plain.graph(), plain.sha256(), {.cut_width = width}).value();
    ASSERT_EQ(tensors_of(made->trunk), tensors_of(alone));
    ASSERT_EQ(ops_of(made->model, made->trunk), ops_of(plain, alone));
    const Graph& graph = made->model.graph();
    for (std::size_t e = 0; e < exits.size(); ++e) {
      const Chain& chain = made->exits[e];
      const std::uint32_t after = chain.exit->after;
      TensorId exit{};
      for (const TensorId id : graph.outputs)
        if (graph.tensor(id).spec.name == exits[e]) exit = id;
      const std::set<std::size_t> needed = ancestors(graph, exit);
      std::optional<std::size_t> best;
      std::uint32_t first = 0;
      for (std::uint32_t k = 0; k < made->trunk.cuts.size(); ++k)
        if (const auto head = head_from(graph, needed, made->trunk, k, exit); head && (!best || *head < *best)) {
          best = head;
          first = k;
        }
      ASSERT_TRUE(best);
      const std::size_t head = chain.blocks.size() > after ? chain.blocks[after].ops.size() : 0;
      ASSERT_EQ(head, *best);
      ASSERT_EQ(after, first);
      ++compared;
      deep += head > 2;
      none += head == 0;
    }
  }
  EXPECT_GT(compared, 2'000);
  EXPECT_GT(deep, 200);
  EXPECT_GT(none, 50);
}

}  // namespace
}  // namespace tideline
