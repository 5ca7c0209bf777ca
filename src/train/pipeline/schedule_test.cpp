// Goal: the orders are the published ones, hold what they are said to hold, and idle as the formula says. Method: the figures'
// orders by hand; walking each order; timing it with whole numbers.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "train/pipeline/schedule.h"

namespace tideline::train {
namespace {

using Steps = std::vector<StageStep>;

std::string written(const Steps& steps) {
  std::string text;
  for (const StageStep& step : steps)
    text +=
        (text.empty() ? "" : " ") + std::string(step.kind == StepKind::kForward ? "F" : "B") + std::to_string(step.micro_batch);
  return text;
}

std::vector<Steps> one_forward_one_backward(std::uint32_t stages, std::uint32_t micro_batches) {
  std::vector<Steps> all;
  for (std::uint32_t s = 0; s < stages; ++s) all.push_back(one_forward_one_backward_steps(stages, s, micro_batches));
  return all;
}

TEST(PipelineOrders, AreThePublishedOnes) {
  EXPECT_EQ(written(gpipe_steps(4)), "F0 F1 F2 F3 B3 B2 B1 B0");
  // Four machines, as PipeDream's figure of the start and the steady state has them.
  EXPECT_EQ(written(one_forward_one_backward_steps(4, 0, 6)), "F0 F1 F2 F3 B0 F4 B1 F5 B2 B3 B4 B5");
  EXPECT_EQ(written(one_forward_one_backward_steps(4, 1, 6)), "F0 F1 F2 B0 F3 B1 F4 B2 F5 B3 B4 B5");
  EXPECT_EQ(written(one_forward_one_backward_steps(4, 3, 3)), "F0 B0 F1 B1 F2 B2");
  EXPECT_EQ(written(one_forward_one_backward_steps(4, 0, 2)), "F0 F1 B0 B1");
  EXPECT_TRUE(gpipe_steps(0).empty());
  EXPECT_TRUE(one_forward_one_backward_steps(3, 1, 0).empty());
}

TEST(PipelineOrders, HoldAsManyMicroBatchesAsPublished) {
  for (const std::uint32_t stages : {1U, 2U, 4U, 7U})
    for (const std::uint32_t micro_batches : {1U, 3U, 16U}) {
      EXPECT_EQ(micro_batches_held(gpipe_steps(micro_batches)), micro_batches);
      for (std::uint32_t s = 0; s < stages; ++s)
        EXPECT_EQ(micro_batches_held(one_forward_one_backward_steps(stages, s, micro_batches)),
                  std::min(stages - s, micro_batches));
    }
}

TEST(PipelineOrders, AGradientLacksAsManyUpdatesAsThereAreStagesBehind) {
  for (const std::uint32_t stages : {1U, 2U, 5U})
    for (std::uint32_t s = 0; s < stages; ++s) {
      std::uint32_t updates = 0;
      for (const StageStep& step : one_forward_one_backward_steps(stages, s, 20)) {
        if (step.kind == StepKind::kForward) {
          EXPECT_EQ(stashed_version(stages, s, step.micro_batch), updates) << stages << " " << s;
          continue;
        }
        // At its own update the weights have seen every earlier micro-batch.
        EXPECT_EQ(updates - stashed_version(stages, s, step.micro_batch), std::min(stages - 1 - s, step.micro_batch));
        ++updates;
      }
      EXPECT_EQ(updates, 20U);
    }
}

TEST(PipelineTimes, EqualStagesIdleAsTheFormulaSays) {
  for (const std::uint32_t k : {1U, 2U, 3U, 8U})
    for (const std::uint32_t m : {1U, 2U, 5U, 32U})
      for (const StepTimes takes : {StepTimes{1, 1}, StepTimes{1, 2}, StepTimes{3, 1}}) {
        const std::vector<StepTimes> times(k, takes);
        for (const auto& stages : {std::vector<Steps>(k, gpipe_steps(m)), one_forward_one_backward(k, m)}) {
          const auto timed = time_pipeline(stages, times);
          ASSERT_TRUE(timed);
          // Also that one-forward-one-backward never idles once full: its last stage ends (K - 1) B before this.
          EXPECT_EQ(timed->end, (m + k - 1) * (takes.forward + takes.backward)) << k << " " << m << " " << takes.forward;
          EXPECT_EQ(timed->busy, std::vector<double>(k, m * (takes.forward + takes.backward)));
          EXPECT_EQ(timed->idle_share, (k - 1.0) / (m + k - 1.0));
        }
      }
}

TEST(PipelineTimes, ThePaceIsThatOfTheSlowestStage) {
  const std::vector<StepTimes> times{{1, 1}, {2, 4}, {1, 2}};
  const auto timed = time_pipeline(one_forward_one_backward(3, 100), times);
  const auto longer = time_pipeline(one_forward_one_backward(3, 110), times);
  ASSERT_TRUE(timed && longer);
  EXPECT_EQ(longer->end - timed->end, 10 * 6);
}

TEST(PipelineTimes, WhatIsNoPipelineIsRefused) {
  const std::vector<StepTimes> two(2, StepTimes{1, 1});
  const auto refusal = [](const auto& stages, const auto& times) {
    const auto timed = time_pipeline(stages, times);
    return timed ? std::string("taken") : timed.error().message;
  };
  const Steps good = gpipe_steps(2);
  EXPECT_EQ(refusal(std::vector<Steps>{}, std::vector<StepTimes>{}), "[train] a pipeline needs at least one stage");
  EXPECT_EQ(refusal(std::vector<Steps>{good}, two), "[train] 1 stages have 2 times");
  EXPECT_EQ(refusal(std::vector<Steps>{good}, std::vector<StepTimes>{{1, -1}}),
            "[train] stage 0 needs times that are finite and not negative");
  const std::string uneven = "[train] stage 1 does not have a forward and a backward of each of the same micro-batches";
  EXPECT_EQ(refusal(std::vector<Steps>{good, gpipe_steps(3)}, two), uneven);
  EXPECT_EQ(refusal(std::vector<Steps>{good, {good[0], good[0], good[2], good[3]}}, two), uneven);
  EXPECT_EQ(refusal(std::vector<Steps>{good, {good[0], good[1], good[2], {StepKind::kBackward, 7}}}, two), uneven);
  // The first stage waits for a gradient that the second makes only after the micro-batch that the first then holds back.
  const Steps hasty{{StepKind::kForward, 0}, {StepKind::kBackward, 0}, {StepKind::kForward, 1}, {StepKind::kBackward, 1}};
  EXPECT_EQ(refusal(std::vector<Steps>{hasty, good}, two), "[train] step 1 of stage 0 waits for ever");
}

}  // namespace
}  // namespace tideline::train
