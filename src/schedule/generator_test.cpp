// The generators: reproducible, nested, and of the stated distribution.
#include "schedule/generator.h"

#include <gtest/gtest.h>

#include "schedule/random.h"

namespace tideline::schedule {
namespace {

TEST(Random, GivesTheSameNumbersEverywhere) {
  // xoshiro256** is specified on 64-bit integers; these were computed once and must never change, or every seed does.
  Random random(7, 1);
  const std::uint64_t first = random.next();
  EXPECT_EQ(first, 1643048376164816837u);
  EXPECT_NE(first, Random(7, 2).next());
  EXPECT_NE(first, Random(8, 1).next());
  double sum = 0;
  for (int i = 0; i < 100000; ++i) sum += random.unit();
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(Generator, SameOptionsSameInstance) {
  for (const GeneratorKind& kind : generator_kinds()) {
    const GeneratorOptions options{.kind = std::string(kind.name), .servers = 40, .tasks = 50, .seed = 9};
    auto other = options;
    other.seed = 10;
    EXPECT_EQ(*generate_instance(options), *generate_instance(options));
    EXPECT_NE(*generate_instance(options), *generate_instance(other));
  }
}

TEST(Generator, IsNested) {
  const Instance small = *generate_instance({.servers = 30, .tasks = 20, .seed = 5});
  const Instance more_servers = *generate_instance({.servers = 40, .tasks = 20, .seed = 5});
  const Instance more_tasks = *generate_instance({.servers = 30, .tasks = 30, .seed = 5});
  for (std::size_t i = 0; i < small.servers.size(); ++i) EXPECT_EQ(small.servers[i], more_servers.servers[i]);
  for (std::size_t j = 0; j < small.tasks.size(); ++j) EXPECT_EQ(small.tasks[j], more_tasks.tasks[j]);
  EXPECT_TRUE(std::equal(small.touches.begin(), small.touches.end(), more_tasks.touches.begin()));
}

TEST(Generator, KindsPlaceTheirDataAsStated) {
  const auto sum_of = [](const Instance& instance, const Task& task) {
    double sum = 0;
    for (const Touch& touch : instance.touches_of(task)) sum += touch.data_mb_s;
    return sum;
  };
  const auto make = [](const char* kind) { return *generate_instance({.kind = kind, .servers = 50, .tasks = 200, .seed = 2}); };
  for (const char* kind : {"c2", "single-home", "split-all", "real"}) {
    const Instance instance = make(kind);
    for (const Task& task : instance.tasks) {
      EXPECT_GE(sum_of(instance, task), 0.1 - 1e-12) << kind;
      EXPECT_LE(sum_of(instance, task), 1.0 + 1e-12) << kind;
    }
  }
  EXPECT_EQ(make("c2").tasks[0].touch_count, 25u);
  EXPECT_EQ(make("single-home").tasks[0].touch_count, 1u);
  EXPECT_EQ(make("split-all").tasks[0].touch_count, 50u);
  const Instance literal = make("literal");
  for (const Touch& touch : literal.touches) EXPECT_TRUE(touch.data_mb_s >= 0.1 && touch.data_mb_s <= 1.0);
  for (const TaskModel& model : make("c2").models) {
    EXPECT_TRUE(model.layers.size() >= 5 && model.layers.size() <= 10);
    for (std::size_t k = 1; k < model.layers.size(); ++k) EXPECT_LT(model.layers[k].ratio, model.layers[k - 1].ratio);
  }
}

TEST(Generator, RealModelsHaveTheKnownNumbers) {
  const auto models = real_models();
  ASSERT_EQ(models.size(), 10u);
  // AlexNet by hand: 227 x 227 x 3 = 154,587 input bytes; 13 x 13 x 256 = 43,264 after the second pooling and 13 x 13 x 384 after
  // the fourth convolution; 329.3 and 590.9 million multiply-adds up to there.
  EXPECT_NEAR(models[0].layers[1].ratio, 43264.0 / 154587, 1e-12);
  EXPECT_NEAR(models[0].layers[1].gflop_per_mb, 42.6, 0.05);
  EXPECT_NEAR(models[0].layers[3].ratio, 64896.0 / 154587, 1e-12);
  EXPECT_NEAR(models[0].layers[3].gflop_per_mb, 76.5, 0.1);
  EXPECT_NEAR(models[0].layers.back().ratio, 1000.0 / 154587, 1e-12);
  for (const TaskModel& model : models) EXPECT_TRUE(model.layers.size() >= 5 && model.layers.size() <= 10) << model.name;
}

TEST(Generator, ReadsInspectedModels) {
  const auto model = parse_inspected_model(R"({"model": {"sha256": "x"},
    "blocks": [{"index": 0, "name": "a", "flops": 2000000}, {"index": 1, "name": "b", "flops": 1000000}],
    "cuts": [{"index": 0, "bytes": 1000}, {"index": 1, "bytes": 500}, {"index": 2, "bytes": 40}]})",
                                           "a.json");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->layers[0], (Layer{.ratio = 0.5, .gflop_per_mb = 2}));
  EXPECT_EQ(model->layers[1], (Layer{.ratio = 0.04, .gflop_per_mb = 3}));
  const auto from_jpeg =
      parse_inspected_model(R"({"blocks": [{"flops": 2000000}], "cuts": [{"bytes": 1000}, {"bytes": 500}]})", "a.json", 40);
  ASSERT_TRUE(from_jpeg);
  EXPECT_EQ(from_jpeg->layers[0], (Layer{.ratio = 20, .gflop_per_mb = 80}));
  const auto broken = parse_inspected_model(R"({"blocks": [{"flops": -1}], "cuts": [{"bytes": 1}, {"bytes": 1}]})", "a.json");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("a.json: blocks[0].flops: -1 is too small"), std::string::npos) << broken.error().message;
}

TEST(Generator, RefusesWhatItCannotMake) {
  EXPECT_FALSE(generate_instance({.kind = "c3"}));
  EXPECT_FALSE(generate_instance({.servers = 0}));
  EXPECT_FALSE(generate_instance({.servers_per_task = 0}));
  EXPECT_FALSE(generate_instance({.kind = "literal", .servers = 100000, .tasks = 100000}));
}

}  // namespace
}  // namespace tideline::schedule
