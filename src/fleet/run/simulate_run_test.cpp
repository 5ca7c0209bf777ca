// Goal: the simulated run is that of the fleet's sources over the plan's nodes and links.
// Method: a lone task must take what the cost model says, exactly; neighbours can only add to it; too much is late.
#include "fleet/run/simulate_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/test_site.h"

namespace tideline::fleet {
namespace {

struct SimulatedFleet {
  Fleet fleet;
  FleetProfiles profiles;
  FleetPlan plan;
  std::vector<TaskFigures> run(const FleetRunSettings& settings) const {
    const auto figures = simulate_run(fleet, profiles, plan, settings, {});
    EXPECT_TRUE(figures) << figures.error().message;
    return figures ? *figures : std::vector<TaskFigures>(fleet.tasks.size());
  }
};

SimulatedFleet simulated(const std::string& tasks) {
  auto fleet = fleet_with(tasks);
  EXPECT_TRUE(fleet) << fleet.error().message;
  SimulatedFleet result{.fleet = std::move(*fleet)};
  result.profiles = everywhere(result.fleet, made_up_profile());
  auto plan = plan_fleet(result.fleet, result.profiles, {});
  EXPECT_TRUE(plan) << plan.error().message;
  result.plan = std::move(*plan);
  return result;
}

TEST(SimulateRun, ALoneTaskTakesWhatTheCostModelSays) {
  const SimulatedFleet one = simulated("  - {name: door, model: net, source: cam1, rate: 2/s, deadline: 250ms}");
  ASSERT_TRUE(one.plan.tasks[0].admitted);
  const TaskFigures figures = one.run({.duration = Millis(30'000)})[0];
  EXPECT_NEAR(figures.median_ms, one.plan.tasks[0].predicted->count(), 1e-6);
  EXPECT_NEAR(figures.p99_ms, figures.median_ms, 1e-6);
  EXPECT_EQ(figures.late + figures.dropped, 0u);
  // Twice a second, from some point of the first half second on.
  EXPECT_GE(figures.requests, 59u);
  EXPECT_LE(figures.requests, 60u);
}

TEST(SimulateRun, NeighboursOnlyAddAndPlansHold) {
  const SimulatedFleet many = simulated(
      "  - {name: door, model: net, source: cam1, rate: 3/s, deadline: 250ms, count: 3}\n"
      "  - {name: yard, model: net, source: {cam1: 0.5, cam2: 0.5}, rate: 4/s, deadline: 400ms, count: 2}\n"
      "  - {name: never, model: net, source: cam2, rate: 60/s, deadline: 400ms}");
  const std::vector<TaskFigures> figures = many.run({.duration = Millis(60'000)});
  std::size_t admitted = 0;
  for (std::size_t j = 0; j < figures.size(); ++j) {
    if (!many.plan.tasks[j].admitted) {
      EXPECT_EQ(figures[j].requests, 0u);
      continue;
    }
    ++admitted;
    // The queueing model's promise, and no request faster than alone by the shortest of its ways.
    EXPECT_TRUE(figures[j].on_time()) << many.fleet.tasks[j].name;
    EXPECT_GE(figures[j].median_ms, many.plan.tasks[j].predicted->count() / 2);
  }
  EXPECT_GT(admitted, 2u);
  EXPECT_LT(admitted, figures.size());
}

TEST(SimulateRun, WhoSendsTooMuchIsLate) {
  const SimulatedFleet one = simulated("  - {name: door, model: net, source: cam1, rate: 2/s, deadline: 250ms}");
  const TaskFigures figures = one.run({.duration = Millis(30'000), .overdrive = {{"door", 100}}})[0];
  EXPECT_FALSE(figures.on_time());
  EXPECT_GT(figures.late, figures.requests / 2);
  EXPECT_GT(figures.requests, 5'900u);
}

}  // namespace
}  // namespace tideline::fleet
