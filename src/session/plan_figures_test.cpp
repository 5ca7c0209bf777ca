// Goal: figures say what the estimate says: shares add up to it, and what a link carries is in its label.
#include "session/plan_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cost/totals.h"
#include "planner/planner.h"

namespace tideline {
namespace {

using testing::ElementsAre;

struct FiguresSample {
  Cluster cluster;
  Profile profile{.model_name = "toy", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  FiguresSample() {
    cluster.nodes = {
        {.name = "camera", .slowdown = 10, .power = Power{3, 1.2, 0.9, 0.4}}, {.name = "gateway"}, {.name = "server"}};
    cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 1e6, .back_bytes_per_s = 5e5, .rtt = Millis{4}},
                     {.from = NodeId{1}, .to = NodeId{2}, .bytes_per_s = 2e6, .back_bytes_per_s = 2e6, .rtt = Millis{10}}};
    for (int i = 0; i < 4; ++i) profile.blocks.push_back({.name = "b" + std::to_string(i), .time = Millis{10}});
    for (const Bytes bytes : {1'000'000u, 1'000u, 500'000u, 500'000u, 1'000u}) profile.cuts.push_back({.bytes = bytes});
  }
  CostInput cost() const { return {.cluster = &cluster, .profiles = {&profile, &profile, &profile}}; }
};

TEST(PlanFigures, OfAModel) {
  const FiguresSample sample;
  const auto plan = run_planner({.cost = sample.cost()}, "auto");
  ASSERT_TRUE(plan) << plan.error().message;
  const report::SiteFigure figure = site_figure(sample.cluster, sample.profile, plan->plan, plan->estimate);
  ASSERT_EQ(figure.nodes.size(), 3u);
  EXPECT_EQ(figure.nodes[2].column, 2u);
  EXPECT_TRUE(figure.nodes[0].runs);
  EXPECT_THAT(figure.nodes[0].lines, ElementsAre("block 0", "100 ms"));
  EXPECT_THAT(figure.links[0].lines, ElementsAre("up 1 kB: 1.00 ms", "back 1 kB: 2.00 ms", "8 Mbit/s, rtt 4.00 ms"));
  EXPECT_NEAR(time_shares(plan->estimate).sum(), plan->estimate.latency.count(), 1e-9);
  EXPECT_NEAR(energy_shares(sample.cluster, plan->estimate).sum(), totals(sample.cluster, plan->estimate).energy_j, 1e-12);
}

// A direct line beside the way over the gateway does not move the server beside the gateway; circles end.
TEST(PlanFigures, ColumnsFollowTheLinks) {
  FiguresSample sample;
  sample.cluster.links.push_back({.from = NodeId{0}, .to = NodeId{2}, .bytes_per_s = 1, .back_bytes_per_s = 1});
  const auto plan = run_planner({.cost = sample.cost()}, "auto");
  ASSERT_TRUE(plan);
  const auto columns = [&] {
    std::vector<std::uint32_t> list;
    for (const report::SiteNode& node : site_figure(sample.cluster, sample.profile, plan->plan, plan->estimate).nodes)
      list.push_back(node.column);
    return list;
  };
  EXPECT_THAT(columns(), ElementsAre(0, 1, 2));
  sample.cluster.links.push_back({.from = NodeId{2}, .to = NodeId{1}, .bytes_per_s = 1, .back_bytes_per_s = 1});
  EXPECT_THAT(columns(), ElementsAre(0, 1, 1));
}

TEST(PlanFigures, OfATable) {
  const auto table = parse_table(R"({"version": 2,
      "devices": [{"name": "cam", "compute_w": 3, "transmit_w": 1, "receive_w": 0.5, "idle_w": 0.2}, {"name": "server"}],
      "links": [{"from": 0, "to": 1, "bytes_per_s": 1e6, "back_bytes_per_s": 2e6, "rtt_ms": 4}],
      "ops": [{"name": "a", "runtime_ms": [10, 1], "output_bytes": 4000},
              {"name": "b", "runtime_ms": [100, 2], "output_bytes": 400}],
      "input_bytes": 60000, "result_bytes": 400,
      "codecs": [{"name": "lz4", "ratio": 0.5, "encode_ms_per_mb": [90, 10], "decode_ms_per_mb": [90, 10]}]})",
                                 "t.json");
  ASSERT_TRUE(table) << table.error().message;
  const auto plan = plan_walk(*table, {}, "auto", {});
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->walk.codecs[0], 1u);
  EXPECT_NEAR(time_shares(*table, plan->walk).sum(), plan->value.total.latency_ms, 1e-9);
  EXPECT_NEAR(energy_shares(*table, plan->walk).sum(), plan->value.total.energy_j, 1e-12);
  const report::SiteFigure figure = site_figure(*table, plan->walk);
  EXPECT_THAT(figure.nodes[1].lines, ElementsAre("b", "2.00 ms"));
  EXPECT_THAT(figure.links[0].lines, ElementsAre("up 2 kB: 2.00 ms", "back 400 B: 0.20 ms", "8 Mbit/s, rtt 4.00 ms"));
}

TEST(PlanFigures, BarsAreSortedAndNameTheirParts) {
  BarOf slow{.name = "slow", .shares = {{{"camera computes", 0.02, false}}}};
  BarOf fast{.name = "fast", .shares = {{{"camera computes", 0.001, false}, {"camera - server", 0.002, true}}}, .chosen = true};
  const report::BarsFigure figure = bars_figure(Objective::kEnergy, {slow, fast});
  ASSERT_EQ(figure.bars.size(), 2u);
  EXPECT_EQ(figure.bars[0].name, "fast");
  EXPECT_EQ(figure.bars[0].total, "3 mJ");
  EXPECT_THAT(figure.bars[1].values, ElementsAre(20, 0));
  EXPECT_TRUE(figure.parts[1].is_link);
}

}  // namespace
}  // namespace tideline
