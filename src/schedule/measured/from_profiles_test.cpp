// Goal: measurements become the instance that the header says. Method: a profile and a chain small enough to work out by hand.
#include "schedule/measured/from_profiles.h"

#include <gtest/gtest.h>

namespace tideline::schedule {
namespace {

Profile two_blocks() {
  Profile profile{.model_name = "m", .host = "h"};
  profile.blocks = {{.name = "a", .time = Millis{3}}, {.name = "b", .time = Millis{5}}};
  profile.cuts = {{.bytes = 500'000}, {.bytes = 100'000}, {.bytes = 4'000}};
  return profile;
}

Cluster chain() {
  return {.nodes = {{.name = "camera"},
                    {.name = "gateway", .tier = Tier::kEdge, .slowdown = 4},
                    {.name = "server", .tier = Tier::kCloud}},
          .links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 1e6},
                    {.from = NodeId{1}, .to = NodeId{2}, .bytes_per_s = 12.5e6}}};
}

TEST(FromProfiles, RatiosWorkAndServersAreTheMeasuredOnes) {
  const Profile profile = two_blocks();
  const auto instance =
      instance_from_profiles(std::span(&profile, 1), chain(), {.servers = 3, .tasks = 5, .servers_per_task = 2});
  ASSERT_TRUE(instance) << instance.error().message;
  ASSERT_EQ(instance->models[0].layers.size(), 2u);
  EXPECT_NEAR(instance->models[0].layers[0].ratio, 0.2, 1e-12);
  EXPECT_NEAR(instance->models[0].layers[0].gflop_per_mb, 6, 1e-9);  // 3 ms for half a megabyte
  EXPECT_NEAR(instance->models[0].layers[1].gflop_per_mb, 16, 1e-9);
  EXPECT_EQ(instance->servers, std::vector<Server>(3, {.bandwidth_mbit_s = 100, .capacity_gflop_s = 250}));
  ASSERT_EQ(instance->tasks.size(), 5u);
  for (const Task& task : instance->tasks) {
    double data = 0;
    for (const Touch& touch : instance->touches_of(task)) data += touch.data_mb_s;
    EXPECT_EQ(task.touch_count, 2u);
    EXPECT_GE(data, 0.05 - 1e-12);  // a tenth to one inference per second of half a megabyte
    EXPECT_LE(data, 0.5);
  }
}

TEST(FromProfiles, RefusesWhatDoesNotCompare) {
  std::vector<Profile> profiles{two_blocks(), two_blocks()};
  profiles[1].host = "other";
  EXPECT_FALSE(instance_from_profiles(profiles, chain(), {}));
  EXPECT_FALSE(instance_from_profiles({}, chain(), {}));
  Cluster no_edge = chain();
  no_edge.nodes[1].tier = Tier::kDevice;
  EXPECT_FALSE(instance_from_profiles(std::span(profiles).first(1), no_edge, {}));
  EXPECT_FALSE(instance_from_profiles(std::span(profiles).first(1), chain(), {.rate_min_hz = 0}));
}

}  // namespace
}  // namespace tideline::schedule
