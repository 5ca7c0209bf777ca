// Goal: what `plan --load server=0.7` assumes of a busy node is what happens in one. Method: a plan's segment on a node that
// other work keeps busy, simulated with the node's processor shared equally; its mean time against the stretched one that the
// planner uses. Tolerance: 4 %, some four standard errors of the longest queue's mean.
#include <gtest/gtest.h>

#include "planner/parameter.h"
#include "planner/planner.h"
#include "sim/edge_queues.h"

namespace tideline::sim {
namespace {

using schedule::Instance;

constexpr double kLoadTolerance = 0.04;

// What the planner thinks that a segment of `idle_ms` takes on a node with that load.
double planned_ms(double idle_ms, double load) {
  Cluster cluster;
  cluster.nodes = {{.name = "server"}};
  const Profile profile{.model_sha256 = sha256("m"),
                        .chain_sha256 = sha256("c"),
                        .blocks = {{.name = "b", .time = Millis{idle_ms}}},
                        .cuts = {{.bytes = 1}, {.bytes = 1}}};
  const Cluster busy = with_loads(cluster, {load});
  const auto plan = run_planner({.cost = {.cluster = &busy, .profiles = {&profile}}}, "auto");
  EXPECT_TRUE(plan) << plan.error().message;
  return plan->estimate.latency.count();
}

// One node of 100 GFLOP/s; tasks of one batch a second each, of the given milliseconds.
Instance node_with(const std::vector<double>& tasks_ms) {
  Instance instance{.bandwidth_share = 1, .servers = {{.bandwidth_mbit_s = 1e9, .capacity_gflop_s = 100}}};
  for (std::uint32_t j = 0; j < tasks_ms.size(); ++j) {
    instance.models.push_back({.name = "m" + std::to_string(j), .layers = {{.ratio = 0, .gflop_per_mb = tasks_ms[j] / 10}}});
    instance.tasks.push_back({.model = j, .latency_s = 1, .first_touch = j, .touch_count = 1});
    instance.touches.push_back({.server = 0, .data_mb_s = 1});
  }
  return instance;
}

std::vector<TaskLatency> seen_on(const Instance& instance, Sizes sizes) {
  const auto seen = simulate_edge(instance, std::vector<std::uint32_t>(instance.tasks.size(), 1),
                                  {.seed = 5, .sizes = sizes, .compute = Share::kEqual, .requests = 40'000, .warm_up = 1'000});
  EXPECT_TRUE(seen) << seen.error().message;
  return seen->tasks;
}

// System: the request's segment of 10 ms once a second, and other work in pieces of many sizes, the whole loading the node to the
// share. Expectation: the planner's time, whatever the sizes of the others and whether they vary: the mean time in a processor
// that is shared equally depends on its load alone.
TEST(Load, SimulatedMeanIsThePlannersTime) {
  for (const double load : {0.3, 0.5, 0.7, 0.85}) {
    const double others_ms = 1e3 * load - 10;
    for (const Sizes sizes : {Sizes::kFixed, Sizes::kExponential}) {
      // Pieces of 1, 2, 3 and 4 parts, twice: from a thirtieth to an eighth of the load each.
      std::vector<double> tasks{10};
      for (int twice = 0; twice < 2; ++twice)
        for (int part = 1; part <= 4; ++part) tasks.push_back(others_ms * part / 20);
      const std::vector<TaskLatency> seen = seen_on(node_with(tasks), sizes);
      const double planned = planned_ms(10, load);
      EXPECT_NEAR(planned, 10 / (1 - load), 1e-9);
      EXPECT_NEAR(seen[0].mean_s * 1e3, planned, kLoadTolerance * planned) << "load " << load;
      // Each of the others is stretched as much.
      for (std::size_t j = 1; j < tasks.size(); ++j)
        EXPECT_NEAR(seen[j].mean_s * 1e3, planned_ms(tasks[j], load), kLoadTolerance * planned_ms(tasks[j], load)) << load;
    }
  }
}

// First come, first served is another thing: a short segment then waits for whole long ones. The canary of the test above.
TEST(Load, FirstComeFirstServedIsNotTheFormula) {
  const Instance instance = node_with({10, 690});
  const auto seen = simulate_edge(instance, {1, 1}, {.seed = 5, .requests = 40'000, .warm_up = 1'000});
  ASSERT_TRUE(seen);
  EXPECT_GT(seen->tasks[0].mean_s * 1e3, 10 * planned_ms(10, 0.7));
}

// System: one job after another and two at once, by hand. Periodic arrivals with a random phase each second, 600 ms of work each:
// two streams overlap, and the one that came first is done when it has had its 600 ms.
TEST(Load, EqualSharesByHand) {
  const auto alone = seen_on(node_with({200}), Sizes::kFixed);
  EXPECT_GE(alone[0].mean_s, 0.2 - 1e-9);
  const auto seen =
      simulate_edge(node_with({400, 400}), {1, 1},
                    {.seed = 3, .arrivals = Arrivals::kPeriodic, .compute = Share::kEqual, .requests = 50, .warm_up = 2});
  ASSERT_TRUE(seen);
  for (const TaskLatency& task : seen->tasks) {
    EXPECT_NEAR(task.compute_s, 0.4, 1e-9);
    EXPECT_GE(task.compute_wait_s, -1e-9);
    EXPECT_LE(task.mean_s, 0.8 + 1e-9);  // both together are done after 0.8 s at the latest
  }
  // Both wait as long for the other as they overlap: the sum of both times is 0.8 s and twice the overlap, shared out evenly.
  EXPECT_NEAR(seen->tasks[0].compute_wait_s, seen->tasks[1].compute_wait_s, 1e-6);
}

}  // namespace
}  // namespace tideline::sim
