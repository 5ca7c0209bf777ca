// Goal: a sweep is the planner at each value and nothing else; the regret of the plan of now is what that plan really loses.
#include "session/vary.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;

struct VarySample {
  Cluster cluster;
  Profile profile{.model_name = "toy", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  VarySample() {
    cluster.nodes = {{.name = "camera", .slowdown = 10, .power = Power{3, 1.2, 0.9, 0.4}}, {.name = "server"}};
    cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 1e6, .back_bytes_per_s = 5e5, .rtt = Millis{4}}};
    for (int i = 0; i < 4; ++i) profile.blocks.push_back({.name = "b" + std::to_string(i), .time = Millis{10}});
    for (const Bytes bytes : {1'000'000u, 1'000u, 500'000u, 500'000u, 1'000u}) profile.cuts.push_back({.bytes = bytes});
  }
  PlanRequest request(const Cluster& site) const { return {.cost = {.cluster = &site, .profiles = {&profile, &profile}}}; }
};

Result<Variation> swept(const VarySample& sample, const std::string& range, const Question& question = {},
                        const std::vector<double>& loads = {}) {
  PlanRequest request = sample.request(sample.cluster);
  request.question = question;
  TIDELINE_TRY(const ParameterRange parsed, parse_range(range, names_of(sample.cluster)));
  return vary_model(request, loads, {.range = parsed, .points = 21}, "auto", {});
}

TEST(Vary, EveryPointIsWhatThePlannerSays) {
  const VarySample sample;
  for (const char* range : {"link:camera-server:bandwidth=0.01..1000Mbit/s", "node:camera:slowdown=0.5..100",
                            "load:server=0..0.95", "link:camera-server:rtt=0..500ms"}) {
    const auto variation = swept(sample, range);
    ASSERT_TRUE(variation) << range << ": " << variation.error().message;
    ASSERT_EQ(variation->points.size(), 21u);
    const auto nominal = run_planner(sample.request(sample.cluster), "auto");
    ASSERT_TRUE(nominal);
    for (const VariationPoint& point : variation->points) {
      const Cluster site = with_parameter(sample.cluster, {}, variation->parameter, point.at);
      const auto direct = run_planner(sample.request(site), "auto");
      ASSERT_TRUE(direct);
      EXPECT_DOUBLE_EQ(point.best, direct->values.latency_ms) << range;
      const auto stays = estimate(sample.request(site).cost, nominal->plan);
      ASSERT_TRUE(stays);
      EXPECT_DOUBLE_EQ(point.nominal, stays->latency.count()) << range;
      EXPECT_GE(point.regret(Objective::kLatency), -1e-9);
      for (const double single : point.single) EXPECT_GE(single, point.best - 1e-9);
      EXPECT_EQ(point.device.size(), 4u);
    }
    EXPECT_GT(stretches(*variation).size(), 1u) << range;
    const VariationPoint* worst = worst_point(*variation);
    ASSERT_NE(worst, nullptr) << range;
    for (const VariationPoint& point : variation->points)
      EXPECT_LE(point.nominal / point.best, worst->nominal / worst->best + 1e-12);
    EXPECT_THAT(summary_of(*variation), HasSubstr("costs most at"));
  }
}

// A deadline that nothing keeps has no plan; one that the frugal plan of now breaks makes it impossible, not cheap.
TEST(Vary, Deadlines) {
  const VarySample sample;
  const auto variation = swept(sample, "deadline=50..2000ms", {.objective = Objective::kEnergy});
  ASSERT_TRUE(variation) << variation.error().message;
  EXPECT_EQ(variation->now, std::nullopt);
  EXPECT_TRUE(variation->points.front().plan.empty());
  EXPECT_FALSE(std::isfinite(variation->points.front().best));
  EXPECT_FALSE(variation->points.back().plan.empty());
  double before = std::numeric_limits<double>::infinity();
  for (const VariationPoint& point : variation->points) {
    if (point.plan.empty()) continue;
    EXPECT_LE(point.best, before + 1e-12);  // a looser limit never hurts
    before = point.best;
  }
  const auto impossible = swept(sample, "deadline=1..2ms", {.objective = Objective::kEnergy});
  ASSERT_TRUE(impossible);
  EXPECT_THAT(variation_figure(*impossible).subtitle, HasSubstr("stays the best wherever"));
}

TEST(Vary, TablesOfBothVersions) {
  auto table = parse_table(R"({"devices": ["pi", "server"], "links": [{"bytes_per_s": 1.25e6, "rtt_ms": 4}],
      "ops": [{"name": "x", "runtime_ms": [50, 10], "output_bytes": 0}], "input_bytes": 150528, "result_bytes": 4000})",
                           "t.json");
  ASSERT_TRUE(table);
  const auto range = parse_range("link:pi-server:bandwidth=1..1000Mbit/s", names_of(*table));
  ASSERT_TRUE(range);
  const auto first = vary_table(*table, {}, {}, {.range = *range, .points = 9}, "auto", {});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->planner, "aaiot");
  const auto second = vary_table(version_2(*table), {}, {}, {.range = *range, .points = 9}, "auto", {});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->planner, "labels");
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(first->points[i].best, second->points[i].best, 1e-9);
    EXPECT_NEAR(first->points[i].nominal, 50, 1e-12);
    EXPECT_EQ(first->points[i].plan, second->points[i].plan);
  }
  EXPECT_EQ(first->points.front().plan, "everything on pi");
  EXPECT_EQ(first->points.back().plan, "everything on server");
}

TEST(Vary, FilesAgree) {
  const VarySample sample;
  const auto variation = swept(sample, "link:camera-server:bandwidth=0.01..1000Mbit/s", {}, {0, 0.5});
  ASSERT_TRUE(variation);
  const std::string csv = variation_csv(*variation);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 22);
  EXPECT_THAT(csv, HasSubstr("value_bit_s,best_latency_ms,nominal_latency_ms,regret_latency_ms,plan,single_latency_ms camera"));
  EXPECT_THAT(variation_json(*variation), HasSubstr("\"parameter\": \"link:camera-server:bandwidth\""));
  const report::SweepFigure figure = variation_figure(*variation);
  EXPECT_EQ(figure.points.size(), 21u);
  EXPECT_LE(figure.x_ticks.size(), 7u);
  EXPECT_THAT(render(figure), HasSubstr(">now<"));
  const ParameterRange range = *parse_range("load:server=0..0.5", names_of(sample.cluster));
  EXPECT_FALSE(vary_model(sample.request(sample.cluster), {}, {.range = range, .points = 1}, "auto", {}));
}

}  // namespace
}  // namespace tideline
