// Goal: the figures of a task are those of its requests. Method: counted by hand; a fleet stretched in time is planned alike.
#include "fleet/run/task_log.h"

#include <gtest/gtest.h>

#include "fleet/run/run_fleet.h"
#include "fleet/test_site.h"

namespace tideline::fleet {
namespace {

TEST(TaskLog, CountsLateDroppedAndFailed) {
  TaskLog log(Millis(100));
  EXPECT_FALSE(log.figures().on_time());
  for (int i = 1; i <= 200; ++i) log.answered(Millis(i <= 198 ? i / 2.0 : 100.5));
  TaskFigures figures = log.figures();
  EXPECT_EQ(figures.requests, 200u);
  EXPECT_EQ(figures.late, 2u);
  EXPECT_EQ(figures.median_ms, 50);
  EXPECT_EQ(figures.p95_ms, 95);
  EXPECT_EQ(figures.p99_ms, 99);
  EXPECT_TRUE(figures.on_time());
  log.dropped(1);
  EXPECT_FALSE(log.figures().on_time());
  log.failed();
  figures = log.figures();
  EXPECT_EQ(figures.requests, 202u);
  EXPECT_EQ(figures.late, 3u);
  EXPECT_EQ(figures.answered, 200u);
}

TEST(StretchedFleet, IsPlannedAsTheFleetItIs) {
  const auto fleet = fleet_with(
      "  - {name: door, model: net, source: cam1, rate: 5/s, deadline: 300ms, count: 20}\n"
      "  - {name: yard, model: net, source: cam2, rate: 1/s, deadline: 500ms, count: 20}");
  ASSERT_TRUE(fleet);
  const Fleet slow = stretched(*fleet, 10);
  EXPECT_EQ(slow.tasks[0].rate_hz, 0.5);
  EXPECT_EQ(slow.tasks[0].deadline, Millis(3000));
  const FleetPlanOptions options{.search_steps = 200, .threads = 1};
  const auto plan = plan_fleet(*fleet, everywhere(*fleet, made_up_profile()), options);
  const auto slow_plan = plan_fleet(slow, everywhere(slow, made_up_profile()), options);
  ASSERT_TRUE(plan && slow_plan);
  EXPECT_EQ(plan->admitted(), slow_plan->admitted());
  for (std::size_t j = 0; j < plan->tasks.size(); ++j) {
    EXPECT_EQ(plan->tasks[j].blocks, slow_plan->tasks[j].blocks);
    if (!plan->tasks[j].admitted) continue;
    EXPECT_NEAR(10 * plan->tasks[j].predicted->count(), slow_plan->tasks[j].predicted->count(), 1e-6);
  }
}

}  // namespace
}  // namespace tideline::fleet
