// Goal: a task that comes later is let in only where everybody's promise still holds, and no more of the others is touched than
// is allowed.
// Method: the site of test_site.h, filled until it is full; every answer is checked again by the plan of its placement.
#include "fleet/readmit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/test_site.h"

namespace tideline::fleet {
namespace {

using testing::HasSubstr;

FleetPlanOptions quick() {
  FleetPlanOptions options;
  options.search_steps = 200;
  options.threads = 1;
  return options;
}

double reserved(const FleetPlan& plan, const std::string& name) {
  for (const FleetResource& resource : plan.resources)
    if (resource.name == name) return resource.reserved / resource.capacity;
  return 0;
}

// Lets the tasks in one after the other.
Placement filled(const Fleet& fleet, const FleetProfiles& profiles) {
  Placement placement(fleet.tasks.size());
  for (std::size_t j = 0; j < fleet.tasks.size(); ++j) {
    const auto in = readmit(fleet, profiles, placement, j, {}, quick());
    EXPECT_TRUE(in) << in.error().message;
    if (!in) return placement;
    placement = in->placement;
    EXPECT_EQ(in->admitted, placement[j].has_value());
    if (!in->admitted) EXPECT_FALSE(in->why.empty());
    for (const char* name : {"gw1", "gw2", "gw1 -> cloud", "gw2 -> cloud", "cloud"})
      EXPECT_LE(reserved(*in->plan, name), 1 + 1e-6) << name << " after " << j;
    for (std::size_t i = 0; i <= j; ++i)
      if (placement[i]) EXPECT_LE(*in->plan->tasks[i].bound, fleet.tasks[i].deadline + Millis(1e-6)) << i << " after " << j;
  }
  return placement;
}

TEST(Readmit, OneAfterTheOtherUntilItIsFull) {
  const auto fleet = fleet_with("  - {name: a, model: net, source: cam1, rate: 10/s, deadline: 120ms, count: 12}");
  const auto profiles = everywhere(*fleet, made_up_profile());
  const Placement placement = filled(*fleet, profiles);
  const auto in = std::count_if(placement.begin(), placement.end(), [](const auto& cut) { return cut.has_value(); });
  EXPECT_GE(in, 2);
  EXPECT_LT(in, 12);
  // The best plan made at once is not far above what came one by one.
  const auto planned = plan_fleet(*fleet, profiles, quick());
  ASSERT_TRUE(planned);
  EXPECT_GE(in + 2, planned->admitted());
}

TEST(Readmit, APlanIsTheSameHoweverItWasFound) {
  const auto fleet = fleet_with(
      "  - {name: a, model: net, source: cam1, rate: 5/s, deadline: 200ms, count: 3}\n"
      "  - {name: b, model: net, source: gw2, rate: 5/s, deadline: 200ms, count: 3}");
  const auto profiles = everywhere(*fleet, made_up_profile());
  const auto planned = plan_fleet(*fleet, profiles, quick());
  ASSERT_TRUE(planned);
  const auto again = plan_as(*fleet, profiles, placement_of(*planned), quick());
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ(placement_of(**again), placement_of(*planned));
  EXPECT_FALSE((*again)->upper_bound);
  for (std::size_t j = 0; j < fleet->tasks.size(); ++j) {
    EXPECT_EQ((*again)->tasks[j].cut, planned->tasks[j].cut);
    EXPECT_LE(*(*again)->tasks[j].bound, fleet->tasks[j].deadline + Millis(1e-6));
  }
}

TEST(Readmit, WhatDoesNotFitTogetherIsNoPlan) {
  const auto fleet = fleet_with("  - {name: a, model: net, source: gw1, rate: 20/s, deadline: 200ms, count: 3}");
  const auto profiles = everywhere(*fleet, made_up_profile());
  // All three blocks on gw1: 24 ms, twenty times a second, three times.
  const auto plan = plan_as(*fleet, profiles, {3u, 3u, 3u}, quick());
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->has_value());
  const auto one = plan_as(*fleet, profiles, {3u, std::nullopt, std::nullopt}, quick());
  ASSERT_TRUE(one && one->has_value());
  EXPECT_FALSE((*one)->tasks[1].admitted);
  EXPECT_FALSE((*one)->tasks[1].why.empty());
}

TEST(Readmit, ATaskIsMovedOrPutOffOnlyAsFarAsThatIsAllowed) {
  const auto fleet = fleet_with(
      "  - {name: low, model: net, source: gw1, rate: 10/s, deadline: 120ms, count: 8}\n"
      "  - {name: high, model: net, source: gw1, rate: 10/s, deadline: 120ms, priority: 5}\n");
  const auto profiles = everywhere(*fleet, made_up_profile());
  Fleet without = *fleet;
  without.tasks.pop_back();
  Placement placement = filled(without, profiles);
  placement.push_back(std::nullopt);
  const auto refused = readmit(*fleet, profiles, placement, 8, {}, quick());
  ASSERT_TRUE(refused) << refused.error().message;
  ASSERT_FALSE(refused->admitted);
  EXPECT_EQ(refused->placement, placement);
  EXPECT_THAT(refused->why, HasSubstr("would need"));
  const auto in = readmit(*fleet, profiles, placement, 8, {.evictions = 2}, quick());
  ASSERT_TRUE(in);
  ASSERT_TRUE(in->admitted) << in->why;
  EXPECT_GE(in->evicted.size(), 1u);
  EXPECT_LE(in->evicted.size(), 2u);
  EXPECT_TRUE(in->moved.empty());
  for (const std::size_t j : in->evicted) EXPECT_LT(j, 8u);
  // Nobody is put off for a task that is no more important.
  Fleet equal = *fleet;
  equal.tasks.back().priority = 0;
  const auto not_for_an_equal = readmit(equal, profiles, placement, 8, {.evictions = 8}, quick());
  ASSERT_TRUE(not_for_an_equal);
  EXPECT_FALSE(not_for_an_equal->admitted);
}

TEST(Readmit, WhatCouldNotRunAloneSaysWhy) {
  const auto fleet = fleet_with(
      "  - {name: a, model: net, source: gw1, rate: 1/s, deadline: 200ms}\n"
      "  - {name: hurried, model: net, source: gw1, rate: 1/s, deadline: 5ms}");
  const auto in = readmit(*fleet, everywhere(*fleet, made_up_profile()), {1u, std::nullopt}, 1, {}, quick());
  ASSERT_FALSE(in);
  EXPECT_EQ(in.error().code, ErrorCode::kInfeasible);
  EXPECT_THAT(in.error().message, HasSubstr("fastest way takes"));
}

}  // namespace
}  // namespace tideline::fleet
