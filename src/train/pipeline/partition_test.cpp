// Goal: the programme's answer is the best. Method: every division into stages and replicas on random instances, by the formula
// written again; the planner's search for the least period, which shares no code; the worked example.
#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "planner/graph_period.h"
#include "train/pipeline/partition.h"

namespace tideline::train {
namespace {

double amount(std::mt19937& random, int most) { return std::uniform_int_distribution<int>(0, most)(random); }

PartitionQuestion random_question(std::mt19937& random, std::size_t layers, std::uint32_t machines, bool replicate) {
  PartitionQuestion question{{}, machines, 4, replicate};
  for (std::size_t l = 0; l < layers; ++l)
    question.layers.push_back({1 + amount(random, 30), amount(random, 60), amount(random, 40)});
  return question;
}

// What a division takes between two mini-batches: the slowest of its stages and of the links between them.
double period_of(const PartitionQuestion& question, const std::vector<PipelineStage>& stages) {
  double period = 0;
  for (const PipelineStage& stage : stages) {
    double seconds = 0, synchronises = 0;
    const double m = stage.replicas;
    for (std::size_t l = stage.first; l < stage.end; ++l) {
      seconds += question.layers[l].seconds;
      synchronises += 4 * (m - 1) * question.layers[l].parameter_bytes / (m * question.bytes_per_s);
    }
    period = std::max({period, seconds / m, synchronises / m});
    if (stage.first > 0) period = std::max(period, 2 * question.layers[stage.first - 1].output_bytes / question.bytes_per_s);
  }
  return period;
}

double best_of_all(const PartitionQuestion& question, std::vector<PipelineStage>& stages, std::uint32_t machines) {
  const std::size_t first = stages.empty() ? 0 : stages.back().end;
  if (first == question.layers.size()) return period_of(question, stages);
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t end = first + 1; end <= question.layers.size(); ++end)
    for (std::uint32_t replicas = 1; replicas <= (question.replicate ? machines : std::min(machines, 1U)); ++replicas) {
      stages.push_back({first, end, replicas});
      best = std::min(best, best_of_all(question, stages, machines - replicas));
      stages.pop_back();
    }
  return best;
}

TEST(Partition, IsTheBestOfAll) {
  std::mt19937 random(5);
  int split = 0, replicated = 0, left_out = 0;
  for (int i = 0; i < 600; ++i) {
    const auto question = random_question(random, 1 + i % 7, 1 + i / 7 % 5, i % 3 != 0);
    const auto found = partition_pipeline(question);
    ASSERT_TRUE(found);
    std::vector<PipelineStage> none;
    EXPECT_NEAR(found->period_s, best_of_all(question, none, question.machines), 1e-9) << i;
    // The stages are a division of the layers, and take as long as is said.
    std::size_t at = 0;
    std::uint32_t used = 0;
    for (const PipelineStage& stage : found->stages) {
      EXPECT_EQ(stage.first, at);
      EXPECT_LT(stage.first, stage.end);
      at = stage.end;
      used += stage.replicas;
      EXPECT_TRUE(question.replicate || stage.replicas == 1);
      replicated += stage.replicas > 1;
    }
    EXPECT_EQ(at, question.layers.size());
    EXPECT_LE(used, question.machines);
    EXPECT_NEAR(found->period_s, period_of(question, found->stages), 1e-9) << i;
    split += found->stages.size() > 1;
    left_out += used < question.machines;
  }
  // The instances are of every kind.
  EXPECT_GT(split, 50);
  EXPECT_GT(replicated, 50);
  EXPECT_GT(left_out, 50);
}

TEST(Partition, AgreesWithThePlannersLeastPeriod) {
  std::mt19937 random(8);
  for (int i = 0; i < 60; ++i) {
    const std::uint32_t layers = 2 + i % 19, machines = 1 + i % 5;
    const auto question = random_question(random, layers, machines, false);
    GraphLine line;
    line.graph.ops = layers;
    std::vector<double> seconds;
    for (std::uint32_t l = 0; l < layers; ++l) {
      seconds.push_back(question.layers[l].seconds);
      if (l + 1 < layers) line.graph.tensors.push_back({l, question.layers[l].output_bytes, {l + 1}});
    }
    line.work.assign(machines, seconds);
    line.links.assign(machines - 1, {2 / question.bytes_per_s, 0});
    const auto ours = partition_pipeline(question);
    const auto planners = line_period(line, {});
    ASSERT_TRUE(ours && planners);
    EXPECT_EQ(planners->period, planners->bound);
    EXPECT_NEAR(ours->period_s, planners->period, 1e-9) << i;
  }
}

TEST(Partition, ByHand) {
  PartitionQuestion question{{{2, 0, 0}, {2, 0, 0}, {4, 0, 0}}, 2, 1, false};
  auto found = partition_pipeline(question);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->period_s, 4);
  EXPECT_EQ(found->stages, (std::vector<PipelineStage>{{0, 2, 1}, {2, 3, 1}}));
  EXPECT_EQ(found->in_flight, 2U);
  // A first stage of two replicas and one machine behind it: ceil(3 / 2) mini-batches. Its parameters are few, the other's many.
  question = {{{8, 4, 1}, {4, 4, 1000}}, 3, 2, true};
  found = partition_pipeline(question);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->period_s, 4);
  EXPECT_EQ(found->stages, (std::vector<PipelineStage>{{0, 1, 2}, {1, 2, 1}}));
  EXPECT_EQ(found->in_flight, 2U);
  // Nothing to gain by a second machine: links are slower than computing.
  question = {{{1, 100, 9}, {1, 1, 9}}, 2, 1, true};
  found = partition_pipeline(question);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->stages, (std::vector<PipelineStage>{{0, 2, 1}}));
  EXPECT_EQ(found->in_flight, 1U);
}

TEST(Partition, RefusesWhatIsNoQuestion) {
  const PipelineLayer layer{1, 1, 1};
  const double infinite = std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::max();
  const auto code = [](const PartitionQuestion& question) {
    const auto found = partition_pipeline(question);
    return found ? std::string() : found.error().message;
  };
  EXPECT_EQ(code({{layer}, 1, 1, true}), "");
  EXPECT_EQ(code({{}, 1, 1, true}), "[train] a pipeline has 1 to 1024 layers, not 0");
  EXPECT_EQ(code({std::vector<PipelineLayer>(1025, layer), 1, 1, true}), "[train] a pipeline has 1 to 1024 layers, not 1025");
  EXPECT_EQ(code({{layer}, 0, 1, true}), "[train] a pipeline has 1 to 64 machines, not 0");
  EXPECT_EQ(code({{layer}, 65, 1, true}), "[train] a pipeline has 1 to 64 machines, not 65");
  for (const double link : {0.0, -1.0, infinite})
    EXPECT_EQ(code({{layer}, 1, link, true}), "[train] a link needs bytes per second above 0") << link;
  for (const PipelineLayer& wrong : {PipelineLayer{-1, 1, 1}, PipelineLayer{1, infinite, 1}, PipelineLayer{1, 1, infinite}})
    EXPECT_EQ(code({{layer, wrong}, 1, 1, true}), "[train] layer 1 needs numbers that are finite and not negative");
  EXPECT_EQ(code({{{most, 1, 1}, {most, 1, 1}}, 2, 1, true}), "[train] the layers' numbers add up to more than a number holds");
}

}  // namespace
}  // namespace tideline::train
