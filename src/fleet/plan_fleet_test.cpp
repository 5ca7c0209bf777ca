// Goal: a fleet's plan keeps what it promises on the site that the file describes, and says why not where it does not.
// Method: a site of hand-worked numbers; what the plan reserves is added up again; the simulator's judgement is in schedule/.
#include "fleet/plan_fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/test_site.h"
#include "schedule/checker.h"
#include "schedule/queueing/queueing.h"

namespace tideline::fleet {
namespace {

using testing::HasSubstr;

FleetPlan planned(const Fleet& fleet, FleetPlanOptions options = {}) {
  options.search_steps = 200;
  options.threads = 1;
  const auto plan = plan_fleet(fleet, everywhere(fleet, made_up_profile()), options);
  EXPECT_TRUE(plan) << plan.error().message;
  return *plan;
}

// System: gw1 twice as slow as the profile, 8 Mbit/s up: 8, 20, 24 ms for 1, 2, 3 blocks; cuts of 10 kB (10 ms), 1 kB.
TEST(FleetInstance, IsTheSiteInItsOwnUnits) {
  const auto fleet = fleet_with("  - {name: door, model: net, source: cam1, rate: 5/s, deadline: 200ms}");
  const auto profiles = everywhere(*fleet, made_up_profile());
  const auto site = site_instance(*fleet, profiles);
  ASSERT_TRUE(site) << site.error().message;
  const schedule::Instance& instance = site->instance;
  EXPECT_EQ(instance.server_names, std::vector<std::string>{"gw1"});
  EXPECT_EQ(instance.task_names, std::vector<std::string>{"door"});
  EXPECT_NEAR(instance.servers[0].bandwidth_mbit_s, 8, 1e-9);
  EXPECT_NEAR(instance.touches[0].data_mb_s, 0.5, 1e-12);
  const schedule::TaskModel& model = instance.models[0];
  ASSERT_EQ(model.layers.size(), 3u);
  EXPECT_NEAR(model.layers[0].gflop_per_mb, 80, 1e-9);  // 8 ms per 0.1 MB
  EXPECT_NEAR(model.layers[1].ratio, 0.01, 1e-12);
  EXPECT_EQ(model.layers[2].ratio, 0);
  EXPECT_NEAR(model.rest_gflop_per_mb[0], 120, 1e-9);
  EXPECT_NEAR(model.rest_gflop_per_mb[1], 80, 1e-9);
  EXPECT_EQ(model.rest_gflop_per_mb[3], 0);
  // Round trips 6 ms, 100 kB at 80 Mbit/s 10 ms, the result back in 0.1 + 0.01 ms.
  EXPECT_NEAR(instance.tasks[0].fixed_s, 0.01611, 1e-9);
  EXPECT_TRUE(schedule::parse_instance(schedule::write_instance(instance), "again"));
  // 8 ms, 10 ms over the link, 8 ms in the cloud, and the fixed part.
  EXPECT_NEAR(alone(*fleet, profiles, fleet->tasks[0], fleet->tasks[0].sources[0], 1)->count(), 8 + 10 + 8 + 16.11, 1e-6);
}

TEST(FleetInstance, WhatNoScheduleCanHelpIsSaid) {
  const auto refusal = [](const std::string& task) {
    const auto fleet = fleet_with("  - {" + task + "}");
    const auto site = site_instance(*fleet, everywhere(*fleet, made_up_profile()));
    if (site) return std::string("accepted");
    EXPECT_TRUE(site.error().code == ErrorCode::kInfeasible || site.error().code == ErrorCode::kInvalidArgument);
    return site.error().message;
  };
  EXPECT_EQ(refusal("name: a, model: net, source: cam1, rate: 1/s, deadline: 40ms"), "accepted");
  // All on gw1: 24 + 2 + 10 + 0.01.
  EXPECT_THAT(
      refusal("name: a, model: net, source: cam1, rate: 1/s, deadline: 20ms"),
      HasSubstr(
          "'a' has a deadline of 20.0 ms, and alone on the site its fastest way takes 36.0 ms (model 'net' cut the output"));
  EXPECT_THAT(refusal("name: a, model: net, source: gw1, rate: 1000/s, deadline: 1s"), HasSubstr("compute at most"));
  EXPECT_THAT(refusal("name: a, model: net, source: gw1, rate: 1/s, deadline: 1s, keep_on_source: 4"),
              HasSubstr("keeps 4 blocks at its source (keep_on_source), and model 'net' has 3"));
}

TEST(FleetPlan, WhatIsReservedFitsAndEveryTaskIsInTime) {
  for (const std::string arrivals : {"periodic", "poisson"}) {
    const auto fleet = fleet_with(
        "  - {name: door, model: net, source: cam1, rate: 5/s, deadline: 300ms, count: 30}\n"
        "  - {name: yard, model: net, source: cam2, rate: 1/s, deadline: 500ms, count: 30}\n"
        "  - {name: hall, model: net, source: {gw1: 0.6, gw2: 0.4}, rate: 2/s, deadline: 200ms, keep_on_source: 2, count: 4}",
        "arrivals: " + arrivals);
    ASSERT_TRUE(fleet) << fleet.error().message;
    const FleetPlan plan = planned(*fleet);
    EXPECT_GT(plan.admitted(), 5u) << arrivals;
    EXPECT_LT(plan.admitted(), 64u);
    EXPECT_LE(plan.admitted(), *plan.upper_bound + 1e-6);
    std::vector<double> mbit_s(fleet->cluster.links.size()), cores(fleet->cluster.nodes.size());
    for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
      const FleetTaskPlan& task = plan.tasks[j];
      if (!task.admitted) {
        EXPECT_FALSE(task.why.empty());
        continue;
      }
      EXPECT_LE(*task.predicted, *task.bound * (1 + 1e-9)) << fleet->tasks[j].name;
      EXPECT_LE(*task.bound, fleet->tasks[j].deadline * (1 + 1e-9));
      EXPECT_GE(task.blocks, fleet->tasks[j].keep_on_source);
      EXPECT_EQ(task.shares.size(), fleet->tasks[j].sources.size());
      for (const FleetShare& share : task.shares) {
        mbit_s[share.uplink] += share.mbit_s;
        cores[share.gateway] += share.cores;
      }
    }
    for (std::size_t link = 0; link < mbit_s.size(); ++link)
      EXPECT_LE(mbit_s[link], 8e-6 * fleet->cluster.links[link].bytes_per_s * (1 + 1e-9));
    for (const double used : cores) EXPECT_LE(used, 1 + 1e-9);
    for (const FleetResource& resource : plan.resources)
      EXPECT_LE(resource.reserved, resource.capacity * (1 + 1e-6)) << resource.name;
  }
}

TEST(FleetPlan, ARefusedTaskSaysWhatItLacksAndThePriceSaysWhatThatWouldBring) {
  const auto fleet = fleet_with("  - {name: door, model: net, source: gw1, rate: 5/s, deadline: 150ms, count: 40}");
  const FleetPlan plan = planned(*fleet);
  ASSERT_LT(plan.admitted(), 40u);
  bool says = false;
  for (const FleetTaskPlan& task : plan.tasks)
    for (const FleetNeed& need : task.needs) {
      EXPECT_GT(need.needs, need.free);
      EXPECT_THAT(task.why, HasSubstr(need.what));
      says = true;
    }
  EXPECT_TRUE(says);
  double best = 0;
  for (const FleetResource& resource : plan.resources) best = std::max(best, resource.price);
  EXPECT_GT(best, 0);
}

TEST(FleetPlan, HigherPrioritiesComeFirst) {
  const auto fleet = fleet_with(
      "  - {name: low, model: net, source: gw1, rate: 5/s, deadline: 150ms, count: 30}\n"
      "  - {name: high, model: net, source: gw1, rate: 5/s, deadline: 150ms, priority: 1, count: 2}");
  const FleetPlan plan = planned(*fleet);
  EXPECT_LT(plan.admitted(), 32u);
  EXPECT_TRUE(plan.tasks[30].admitted && plan.tasks[31].admitted);
}

TEST(FleetPlan, EveryModelAndPolicyPlans) {
  const auto fleet = fleet_with("  - {name: door, model: net, source: cam1, rate: 2/s, deadline: 250ms, count: 12}");
  for (const auto model : {FleetModelKind::kPaper, FleetModelKind::kExtended, FleetModelKind::kQueueing})
    for (const char* policy : {"price", "li2018", "balanced", "price-recut"}) {
      const FleetPlan plan = planned(*fleet, {.policy = policy, .model = model});
      EXPECT_GT(plan.admitted(), 0u) << to_string(model) << " " << policy;
      EXPECT_LE(plan.admitted(), *plan.upper_bound + 1e-6) << to_string(model) << " " << policy;
    }
  const FleetPlan fixed = planned(*fleet, {.policy = "fixed:2", .model = FleetModelKind::kPaper});
  for (const FleetTaskPlan& task : fixed.tasks) EXPECT_TRUE(!task.admitted || task.cut == "dense");
  const auto refused = plan_fleet(*fleet, everywhere(*fleet, made_up_profile()), {.policy = "fixed:2"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("model: paper"));
}

// A plan of a task is one that the rest of the program takes.
TEST(FleetPlan, PlansOfTasksGoUpAndComeBack) {
  const auto fleet = fleet_with("  - {name: door, model: net, source: cam1, rate: 2/s, deadline: 250ms}");
  const auto profiles = everywhere(*fleet, made_up_profile());
  for (std::uint32_t k = 0; k <= 3; ++k) {
    const Plan plan = plan_of(*fleet, profiles, fleet->tasks[0], fleet->tasks[0].sources[0], k);
    const auto again = parse_plan(write_plan(plan), "x.plan.json");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(plan.route.front(), "cam1");
    EXPECT_EQ(plan.route.back(), "cam1");
    EXPECT_EQ(plan.segments.size(), k == 0 || k == 3 ? 1u : 2u);
  }
}

// A long run on the gateway would make everyone in a hurry wait: the plan cuts the others shorter instead of refusing those.
TEST(FleetPlan, RunsAreKeptShortForTasksInAHurry) {
  const auto fleet = fleet_with(
      "  - {name: quick, model: tiny, source: gw1, rate: 2/s, deadline: 25ms, count: 3}\n"
      "  - {name: slow, model: net, source: gw1, rate: 1/s, deadline: 1s, count: 2}",
      "  - {name: tiny, file: tiny.onnx, profiles: p.json}");
  ASSERT_TRUE(fleet) << fleet.error().message;
  FleetProfiles profiles = everywhere(*fleet, made_up_profile());
  Profile tiny = made_up_profile();
  for (BlockProfile& block : tiny.blocks) block.time /= 12;
  tiny.model_sha256 = sha256("tiny");
  profiles.owned.push_back(std::make_unique<Profile>(tiny));
  for (const Profile*& profile : profiles.of[1]) profile = profiles.owned.back().get();
  const auto plan = plan_fleet(*fleet, profiles, {.search_steps = 200, .threads = 1});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->admitted(), 5u);
  // 24 ms, the whole slow model on gw1, would leave nothing of 25 ms.
  EXPECT_LT(plan->tasks[3].blocks, 3u);
}

TEST(FleetPlan, TheTwoPoliciesToCompareWithLetEveryTaskIn) {
  const auto fleet = fleet_with(
      "  - {name: door, model: net, source: cam1, rate: 20/s, deadline: 100ms, count: 10}\n"
      "  - {name: hall, model: net, source: gw1, rate: 1/s, deadline: 100ms, keep_on_source: 1}");
  const FleetPlan edge = planned(*fleet, {.policy = "all-edge"});
  const FleetPlan cloud = planned(*fleet, {.policy = "all-cloud"});
  for (std::size_t j = 0; j < 11; ++j) {
    EXPECT_TRUE(edge.tasks[j].admitted && cloud.tasks[j].admitted);
    EXPECT_EQ(edge.tasks[j].blocks, 3u);
    EXPECT_EQ(cloud.tasks[j].blocks, j == 10 ? 1u : 0u);
    EXPECT_FALSE(edge.tasks[j].bound);
  }
  EXPECT_FALSE(edge.upper_bound);
  // 200 requests of 100 kB each second, and one of 10 kB: 160.08 Mbit/s of 8.
  EXPECT_NEAR(cloud.resources[0].reserved, 160.08, 1e-6);
}

// System: a camera with a heavy task, which finds no room on its gateway's uplink, and a light one in a hurry on the same link.
// Expectation: the heavy one's data are not sent, so they hold nobody up.
TEST(FleetPlan, DataOfRefusedTasksTakeNoTime) {
  const auto fleet = fleet_with(
      "  - {name: first, model: net, source: gw1, rate: 20/s, deadline: 1s, priority: 10}\n"
      "  - {name: heavy, model: net, source: cam1, rate: 85/s, deadline: 1s, priority: 5}\n"
      "  - {name: light, model: net, source: cam1, rate: 1/s, deadline: 400ms}");
  ASSERT_TRUE(fleet) << fleet.error().message;
  const FleetProfiles profiles = everywhere(*fleet, made_up_profile());
  const auto plan = plan_fleet(*fleet, profiles, {.policy = "price"});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->tasks[0].admitted) << plan->tasks[0].why;
  EXPECT_FALSE(plan->tasks[1].admitted);
  EXPECT_TRUE(plan->tasks[2].admitted) << plan->tasks[2].why;
  EXPECT_LE(plan->tasks[2].bound->count(), 400 * (1 + 1e-9));
  // It is the plan of those two.
  EXPECT_TRUE(*plan_as(*fleet, profiles, placement_of(*plan), {.policy = "price"}));
}

}  // namespace
}  // namespace tideline::fleet
