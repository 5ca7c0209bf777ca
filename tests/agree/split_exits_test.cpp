// The law for models with early outputs: what the trunk and each exit answer, whole and in pieces, is what the file's own model
// answers at that output, with all its outputs computed together.
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/probe.h"
#include "model/segment.h"
#include "output/output_steps.h"
#include "split_support.h"
#include "zoo/zoo.h"

namespace tideline::agree {
namespace {

class SplitExits : public testing::Test {
 protected:
  void SetUp() override {
    const auto onnx = zoo_model("branchy-alexnet", 1);
    ASSERT_TRUE(onnx);
    // The file as it is: three outputs.
    auto plain = Model::parse(*onnx, "branchy-alexnet", "");
    ASSERT_TRUE(plain);
    const auto session = engine().load_onnx(plain->onnx_bytes().value(), {});
    ASSERT_TRUE(session) << session.error().message;
    auto model = Model::parse(*onnx, "branchy-alexnet", "", {.exits = exits_});
    ASSERT_TRUE(model) << model.error().message;
    model_.emplace(std::move(*model));
    auto inputs = seeded_inputs(*model_, 42);
    ASSERT_TRUE(inputs);
    ASSERT_TRUE(probe_shapes(engine(), *model_, *inputs));
    for (Tensor& input : *inputs) {
      const std::string name = input.spec.name;
      inputs_.emplace(name, std::move(input));
    }
    ASSERT_TRUE(run_session(**session, inputs_, expected_));
    ASSERT_EQ(expected_.size(), 3u);
  }

  // The trunk, then each exit's.
  std::vector<Chain> chains(const ChainOptions& given) {
    ChainOptions options = given;
    options.exits = exits_;
    std::vector<Chain> chains{make_chain(model_->graph(), model_->sha256(), options).value()};
    for (const std::string& exit : exits_) chains.push_back(make_exit_chain(model_->graph(), chains[0], options, exit).value());
    return chains;
  }

  // Nothing but the tensors of the cut before it reaches a piece.
  Result<Difference> difference(const Chain& chain, std::vector<std::uint32_t> ends, const Tensor& expected) {
    ends.push_back(chain.block_count());
    Tensors now;
    for (const auto& [name, tensor] : inputs_) now.emplace(name, Tensor{tensor.spec, Buffer::copy_of(tensor.data.span())});
    std::uint32_t first = 0;
    for (const std::uint32_t end : ends) {
      TIDELINE_TRY(const Segment segment, extract_segment(*model_, chain, first, end - 1));
      TIDELINE_TRY(const auto session, engine().load(segment.bytes, {}));
      Tensors all = std::move(now);
      TIDELINE_CHECK_OK(run_session(*session, all, all));
      now.clear();
      for (const TensorSpec& spec : chain.cuts[end].tensors) {
        const auto made = all.find(spec.name);
        if (made == all.end()) return Error{ErrorCode::kInternal, fmt::format("'{}' was not made", spec.name)};
        now.emplace(spec.name, Tensor{made->second.spec, Buffer::copy_of(made->second.data.span())});
      }
      first = end;
    }
    return compare(expected, now.at(chain.cuts.back().tensors[0].name));
  }

  const std::vector<std::string> exits_{"exit1", "exit2"};
  std::optional<Model> model_;
  Tensors inputs_;
  Tensors expected_;
};

TEST_F(SplitExits, EveryCutOfTheTrunkAndOfEveryExit) {
  for (const std::uint32_t width : {1u, 2u}) {
    for (const Chain& chain : chains({.cut_width = width})) {
      const std::string output = chain.exit ? chain.exit->output : "prob";
      Tally tally(fmt::format("{} of width {}", output, width));
      tally.add("nowhere", difference(chain, {}, expected_.at(output)));
      for (std::uint32_t cut = 1; cut < chain.block_count(); ++cut)
        tally.add(fmt::format("at cut {}", cut), difference(chain, {cut}, expected_.at(output)));
      for (std::uint32_t seed = 0; seed < 4; ++seed) {
        std::vector<std::uint32_t> cuts = sample(1, chain.block_count(), 3, seed);
        std::sort(cuts.begin(), cuts.end());
        tally.add(fmt::format("at cuts {}", fmt::join(cuts, ", ")), difference(chain, cuts, expected_.at(output)));
      }
      EXPECT_GT(tally.count(), chain.exit ? 8u : 18u);
      tally.print();
    }
  }
}

// The head is behind a cut of the trunk, and no op of another head is in it.
TEST_F(SplitExits, HeadsAreTheirOwn) {
  const std::vector<Chain> all = chains({});
  for (const Chain& chain : all) {
    const auto text = extract_onnx(*model_, chain, 0, chain.block_count() - 1);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(checker_complaint(*text), "");
    for (const std::string& other : exits_) {
      if (chain.exit && chain.exit->output == other) continue;
      EXPECT_EQ(text->find(other + "."), std::string::npos);
    }
  }
  EXPECT_EQ(all[0].cuts[all[1].exit->after].tensors[0].name, "conv2");
  EXPECT_EQ(all[0].cuts[all[2].exit->after].tensors[0].name, "conv3");
}

// Output steps behind an exit make of its output what they make of that tensor alone.
TEST_F(SplitExits, OutputStepsBehindAnExit) {
  const auto steps = parse_output_steps(R"([{"topk": {"k": 3}}])");
  ASSERT_TRUE(steps);
  for (const Chain& chain : chains({.output_steps = *steps})) {
    const std::string output = chain.exit ? chain.exit->output : "prob";
    const TensorView view_of_output = view(expected_.at(output));
    const auto made = run_output_step((*steps)[0], std::span(&view_of_output, 1));
    ASSERT_TRUE(made) << made.error().message;
    for (std::uint32_t cut = 1; cut < chain.block_count(); ++cut) {
      const auto apart = difference(chain, {cut}, (*made)[0]);
      ASSERT_TRUE(apart) << apart.error().message;
      EXPECT_TRUE(apart->is_within_tolerance);
    }
  }
}

}  // namespace
}  // namespace tideline::agree
