// Goal: the simulated queues are the real ones. Method: single-queue instances with known closed forms (M/M/1, M/D/1), a tandem
// worked out by hand, conservation of the parts, and determinism.
#include "sim/edge_queues.h"

#include <cmath>

#include <gtest/gtest.h>

#include "schedule/extended/extended.h"
#include "schedule/generator.h"
#include "schedule/policy.h"

namespace tideline::sim {
namespace {

using schedule::Instance;

// One server and `tasks` equal tasks, each with 1 MB/s. A batch of one second computes for `compute_s` and crosses the link in
// `transfer_s`.
Instance one_server(std::uint32_t tasks, double compute_s, double transfer_s, double limit_s = 0.2) {
  Instance instance{.bandwidth_share = 0.5,
                    .servers = {{.bandwidth_mbit_s = 160, .capacity_gflop_s = 100}},
                    .models = {{.name = "m", .layers = {{.ratio = transfer_s * 10, .gflop_per_mb = compute_s * 100}}}}};
  for (std::uint32_t j = 0; j < tasks; ++j) {
    instance.tasks.push_back({.model = 0, .latency_s = limit_s, .first_touch = j, .touch_count = 1});
    instance.touches.push_back({.server = 0, .data_mb_s = 1});
  }
  return instance;
}

SimulatedLatencies run(const Instance& instance, const SimulateOptions& options) {
  const auto result = simulate_edge(instance, std::vector<std::uint32_t>(instance.tasks.size(), 1), options);
  EXPECT_TRUE(result) << result.error().message;
  return *result;
}

// System: Poisson arrivals at rate 1/s, fixed service s. Expectation: mean wait rho * s / (2 (1 - rho)), the M/D/1 formula.
TEST(EdgeQueues, MatchesTheClosedFormOfMD1) {
  for (const double s : {0.3, 0.6, 0.8}) {
    const SimulatedLatencies seen = run(one_server(1, s, 0), {.requests = 400000, .warm_up = 2000});
    const double wait = s * s / (2 * (1 - s));
    EXPECT_NEAR(seen.tasks[0].compute_wait_s, wait, 0.03 * wait) << s;
    EXPECT_NEAR(seen.tasks[0].compute_s, s, 1e-9);
    EXPECT_NEAR(seen.compute_load_max, s, 1e-9);
  }
}

// System: the same with exponential sizes. Expectation: sojourn exponential with mean s / (1 - rho): M/M/1, and its quantiles.
TEST(EdgeQueues, MatchesTheClosedFormOfMM1) {
  for (const double s : {0.3, 0.7}) {
    const SimulatedLatencies seen = run(one_server(1, s, 0), {.sizes = Sizes::kExponential, .requests = 400000, .warm_up = 2000});
    const double mean = s / (1 - s);
    EXPECT_NEAR(seen.tasks[0].mean_s, mean, 0.03 * mean) << s;
    EXPECT_NEAR(seen.median_s, mean * std::log(2), 0.03 * mean) << s;
    EXPECT_NEAR(seen.p99_s, mean * std::log(100), 0.05 * mean * std::log(100)) << s;
    EXPECT_NEAR(seen.over_limit_share, std::exp(-0.2 / mean), 0.01) << s;
  }
}

// System: eight Poisson streams into one processor of load 0.8. Expectation: M/D/1 with rate 8, as sums of Poisson streams are
// Poisson.
TEST(EdgeQueues, StreamsOfSeveralTasksShareOneQueue) {
  const SimulatedLatencies seen = run(one_server(8, 0.1, 0), {.requests = 60000, .warm_up = 500});
  double wait = 0;
  for (const TaskLatency& task : seen.tasks) wait += task.compute_wait_s / 8;
  EXPECT_NEAR(wait, 0.8 * 0.1 / (2 * 0.2), 0.04 * 0.2);
}

// System: the uplink alone, M/D/1 again; reserved links of the paper take exactly Q per batch of one second.
TEST(EdgeQueues, TheLinkQueuesToo) {
  const SimulatedLatencies shared = run(one_server(4, 0, 0.15), {.requests = 100000, .warm_up = 500});
  double wait = 0;
  for (const TaskLatency& task : shared.tasks) wait += task.link_wait_s / 4;
  EXPECT_NEAR(wait, 0.6 * 0.15 / (2 * 0.4), 0.04 * 0.1125);
  const SimulatedLatencies reserved =
      run(one_server(4, 0, 0.15), {.arrivals = Arrivals::kPeriodic, .link = Share::kReserved, .requests = 50});
  EXPECT_NEAR(reserved.tasks[0].transfer_s, 0.2, 1e-9);
  EXPECT_EQ(reserved.over_limit_share, 0);
}

// System: periodic batches on reserved links with compute. Expectation: exactly Q + compute time, so all are over the limit: the
// paper's constraint leaves no room for computing.
TEST(EdgeQueues, ComputeTimeBreaksThePapersLatencyPromise) {
  const SimulatedLatencies seen =
      run(one_server(1, 0.05, 0.1), {.arrivals = Arrivals::kPeriodic, .link = Share::kReserved, .requests = 50});
  EXPECT_NEAR(seen.median_s, 0.25, 1e-6);
  EXPECT_EQ(seen.over_limit_share, 1);
  EXPECT_EQ(seen.tasks_over_limit, 1u);
}

TEST(EdgeQueues, PartsAddUpAndSeedsRepeat) {
  const Instance instance = one_server(5, 0.1, 0.05);
  const SimulatedLatencies a = run(instance, {.seed = 3});
  const SimulatedLatencies b = run(instance, {.seed = 3});
  const SimulatedLatencies c = run(instance, {.seed = 4});
  ASSERT_EQ(a.tasks.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    const TaskLatency& task = a.tasks[i];
    EXPECT_NEAR(task.compute_wait_s + task.compute_s + task.link_wait_s + task.transfer_s + task.cloud_s, task.mean_s, 1e-9);
    EXPECT_EQ(task.requests, 200u);
    EXPECT_EQ(task.mean_s, b.tasks[i].mean_s);
    EXPECT_NE(task.mean_s, c.tasks[i].mean_s);
  }
}

// System: a deployed task and one that is not, whose raw data fills four fifths of the link. Expectation: only with the upload
// does the deployed one wait.
TEST(EdgeQueues, RawUploadsOfUndeployedTasksDelayTheOthers) {
  const Instance instance = one_server(2, 0, 0.1);
  const auto quiet = simulate_edge(instance, {1, 0}, {.arrivals = Arrivals::kPeriodic});
  Instance slow = instance;
  slow.touches[1].data_mb_s = 8;
  const auto crowded = simulate_edge(slow, {1, 0}, {.undeployed_upload = true});
  ASSERT_TRUE(quiet && crowded);
  EXPECT_EQ(quiet->tasks.size(), 1u);
  EXPECT_EQ(crowded->tasks.size(), 1u);
  EXPECT_EQ(quiet->tasks[0].link_wait_s, 0);
  EXPECT_GT(crowded->tasks[0].link_wait_s, 0.1);
  EXPECT_NEAR(crowded->link_load_max, 0.9, 1e-9);
}

TEST(EdgeQueues, RefusesWhatDoesNotFitTogether) {
  const Instance instance = one_server(2, 0.1, 0.1);
  EXPECT_FALSE(simulate_edge(instance, {1}, {}));
  EXPECT_FALSE(simulate_edge(instance, {1, 2}, {}));
  EXPECT_FALSE(simulate_edge(instance, {1, 1}, {.period_s = 0}));
  EXPECT_FALSE(simulate_edge(instance, {1, 1}, {.compute = Share::kReserved}));
  EXPECT_FALSE(simulate_edge(instance, {1, 1}, {.link = Share::kReserved, .undeployed_upload = true}));
}

// The promise holds in the queues: periodic batches on reserved slices are never late, where the paper's own are.
TEST(EdgeQueues, TheExtendedModelsPromiseHolds) {
  const auto instance = schedule::generate_instance({.servers = 10, .tasks = 80, .seed = 7});
  ASSERT_TRUE(instance);
  const auto reduction = schedule::reduce_extended(*instance, {});
  ASSERT_TRUE(reduction);
  const auto reduced = schedule::run_policy("balanced", reduction->instance, {});
  ASSERT_TRUE(reduced);
  const schedule::ExtendedSchedule served = reduction->expand(*instance, reduced->schedule, {});
  std::vector<std::uint32_t> layers;
  SimulateOptions options{.arrivals = Arrivals::kPeriodic, .link = Share::kReserved, .requests = 30, .warm_up = 3};
  for (std::size_t j = 0; j < served.grants.size(); ++j) {
    const schedule::Grant& grant = served.grants[j];
    layers.push_back(!grant.admitted ? 0 : grant.layers == 0 ? kAllInCloud : grant.layers);
    options.reservations.push_back(
        {.bandwidth_mbit_s = grant.mbit_s_per_mb,
         .compute_gflop_s = grant.gflop_s_per_mb,
         .cloud_s = schedule::cloud_time_s(*instance, instance->tasks[j], grant.layers, served.cloud_gflop_s)});
  }
  options.compute = Share::kReserved;
  const auto extended = simulate_edge(*instance, layers, options);
  ASSERT_TRUE(extended) << extended.error().message;
  EXPECT_EQ(extended->tasks.size(), served.admitted());
  EXPECT_EQ(extended->over_limit_share, 0);

  const auto paper = schedule::run_policy("balanced", *instance, {});
  const auto plain = simulate_edge(*instance, paper->schedule.layers,
                                   {.arrivals = Arrivals::kPeriodic, .link = Share::kReserved, .requests = 30});
  ASSERT_TRUE(plain);
  EXPECT_GT(plain->over_limit_share, 0.9);
}

}  // namespace
}  // namespace tideline::sim
