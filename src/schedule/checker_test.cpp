// Mutation tests of the checker: a right schedule passes, and each way of breaking one is found and named.
#include "schedule/checker.h"

#include <gtest/gtest.h>

namespace tideline::schedule {
namespace {

// One server with 100 Mbit/s of which 80 may be used, and 10 GFLOP/s; every task has 1 MB/s and Q = 1 s.
// Model 0 needs 40 Mbit/s and 1 GFLOP/s at k = 1, 8 Mbit/s and 5 GFLOP/s at k = 2.
Instance two_tasks() {
  Instance instance;
  instance.bandwidth_share = 0.8;
  instance.servers = {{.bandwidth_mbit_s = 100, .capacity_gflop_s = 10}};
  instance.models = {{.name = "m", .layers = {{.ratio = 5, .gflop_per_mb = 1}, {.ratio = 1, .gflop_per_mb = 5}}}};
  for (std::uint64_t j = 0; j < 3; ++j) {
    instance.touches.push_back({.server = 0, .data_mb_s = 1});
    instance.tasks.push_back({.model = 0, .latency_s = 1, .first_touch = j, .touch_count = 1});
  }
  return instance;
}

std::string problem(const Instance& instance, const std::vector<std::uint32_t>& layers) {
  const auto report = check_schedule(instance, layers);
  return report ? "" : report.error().message;
}

TEST(Checker, AcceptsAFullServer) {
  const auto report = check_schedule(two_tasks(), {1, 1, 0});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->deployed, 2u);
  EXPECT_DOUBLE_EQ(report->bandwidth_utilisation[0], 1.0);
  EXPECT_DOUBLE_EQ(report->compute_utilisation[0], 0.2);
  EXPECT_EQ(report->depth_histogram, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(check_schedule(two_tasks(), {2, 2, 0}));
  EXPECT_TRUE(check_schedule(two_tasks(), {0, 0, 0}));
}

TEST(Checker, FindsEveryBrokenConstraint) {
  EXPECT_NE(problem(two_tasks(), {1, 1, 2}).find("constraint (a): server 0"), std::string::npos);
  EXPECT_NE(problem(two_tasks(), {2, 2, 2}).find("constraint (c): server 0"), std::string::npos);
  EXPECT_NE(problem(two_tasks(), {1, 3, 0}).find("tasks[1] runs 3 layers"), std::string::npos);
  EXPECT_NE(problem(two_tasks(), {1, 1}).find("has 2 tasks"), std::string::npos);
  EXPECT_NE(problem(two_tasks(), {1, 1, 0, 0}).find("has 4 tasks"), std::string::npos);
}

TEST(Checker, ToleratesRoundingAndNothingElse) {
  Instance instance = two_tasks();
  instance.touches[0].data_mb_s = 1 + 1e-9;
  EXPECT_EQ(problem(instance, {1, 1, 0}), "");
  instance.touches[0].data_mb_s = 1 + 1e-8;
  EXPECT_NE(problem(instance, {1, 1, 0}), "");
}

TEST(Checker, TightensWithTheLatencyLimit) {
  Instance instance = two_tasks();
  instance.tasks[0].latency_s = 0.5;
  EXPECT_NE(problem(instance, {1, 1, 0}), "") << "half the time needs twice the bandwidth";
}

}  // namespace
}  // namespace tideline::schedule
