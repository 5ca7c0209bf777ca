// Goal: energy, period and upload of a program are the header's formulas, worked out by hand.
#include "cost/totals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::ElementsAre;

Profile timed_profile(std::vector<double> times, std::vector<Bytes> cut_bytes) {
  Profile profile{.model_name = "m", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  for (const double time : times) profile.blocks.push_back({.name = "b", .time = Millis{time}});
  for (const Bytes bytes : cut_bytes) profile.cuts.push_back({.bytes = bytes});
  return profile;
}

Cluster row_of_nodes(std::size_t nodes, double bytes_per_s) {
  Cluster cluster;
  for (std::size_t i = 0; i < nodes; ++i) {
    cluster.nodes.push_back({.name = "n" + std::to_string(i), .host = "h", .port = static_cast<std::uint16_t>(i + 1)});
    if (i > 0)
      cluster.links.push_back({.from = static_cast<NodeId>(i - 1),
                               .to = static_cast<NodeId>(i),
                               .bytes_per_s = bytes_per_s,
                               .back_bytes_per_s = bytes_per_s,
                               .rtt = Millis{4}});
  }
  return cluster;
}

// The example of the header, which is table.md's too.
TEST(Totals, WorkedExample) {
  const Profile profile = timed_profile({10}, {150'528, 4'000});
  Cluster cluster = row_of_nodes(2, 1.25e6);
  cluster.nodes[0].power = Power{.transmit_w = 1, .receive_w = 0.5, .idle_w = 0.2};
  const Plan plan{.planner = "test", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c"), .segments = {{0, "n1", 0, 0}}};
  const auto estimated = estimate({.cluster = &cluster, .profiles = {&profile, &profile}}, plan);
  ASSERT_TRUE(estimated) << estimated.error().message;
  const Totals all = totals(cluster, *estimated);
  EXPECT_NEAR(all.energy_j, (0.8 * 120.4224 + 0.3 * 3.2 + 0.2 * 137.6224) / 1000, 1e-12);
  EXPECT_NEAR(all.period.count(), 120.4224, 1e-9);
  EXPECT_EQ(all.upload_bytes, 154'528);
  EXPECT_THAT(energy_of(cluster), ElementsAre("n0"));
  cluster.links[0].metered = false;
  EXPECT_EQ(totals(cluster, *estimated).upload_bytes, 0);
}

// Block 0 at home, 1 on n1, 2 at home again: the camera's two segments are one load, and each direction of the link carries once.
TEST(Totals, AWalkThatComesBack) {
  const Profile profile = timed_profile({3, 5, 7}, {9'000, 2'000, 1'000, 500});
  Cluster cluster = row_of_nodes(2, 1e6);
  cluster.nodes[0].slowdown = 2;
  cluster.nodes[0].power = Power{.compute_w = 4, .transmit_w = 2, .receive_w = 1, .idle_w = 0.5};
  cluster.nodes[1].power = Power{.compute_w = 10};
  Plan plan{.planner = "test", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  plan.route = {"n0", "n1", "n0"};
  plan.segments = {{0, "n0", 0, 0}, {1, "n1", 1, 1}, {2, "n0", 2, 2}};
  const auto estimated = estimate({.cluster = &cluster, .profiles = {&profile, &profile}}, plan);
  ASSERT_TRUE(estimated) << estimated.error().message;
  const Totals all = totals(cluster, *estimated);
  EXPECT_NEAR(all.period.count(), 2 * (3 + 7), 1e-12);
  EXPECT_EQ(all.upload_bytes, 3'000);
  const double latency = 20 + 5 + 4 + 2 + 1;
  EXPECT_NEAR(all.node_energy_j[0], (3.5 * 20 + 1.5 * 2 + 0.5 * 1 + 0.5 * latency) / 1000, 1e-12);
  EXPECT_NEAR(all.node_energy_j[1], 10 * 5 / 1000.0, 1e-12);
  EXPECT_NEAR(all.energy_j, all.node_energy_j[0] + all.node_energy_j[1], 1e-12);
}

}  // namespace
}  // namespace tideline
