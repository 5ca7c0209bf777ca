// Goal: the paper's argmin as printed and our planner are the same thing on chains of two nodes, and the reproduction says what
// it found. Method: random chains, the edge cases of techniques' list, one small network of the zoo.
#include "reproduce/neurosurgeon.h"

#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline::sim {
namespace {

using testing::HasSubstr;

struct RandomPair {
  Profile phone{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  Profile server = phone;
};

RandomPair random_pair(std::mt19937_64& random) {
  std::uniform_real_distribution<double> unit(0, 1);
  RandomPair pair;
  const int blocks = 1 + static_cast<int>(random() % 12);
  for (int i = 0; i < blocks; ++i) {
    const double ms = std::exp(6 * unit(random));
    pair.phone.blocks.push_back({.name = "b", .time = Millis{ms}});
    pair.server.blocks.push_back({.name = "b", .time = Millis{ms / (1 + 30 * unit(random))}});
  }
  for (int i = 0; i <= blocks; ++i) pair.phone.cuts.push_back({.bytes = static_cast<Bytes>(std::exp(4 + 10 * unit(random)))});
  pair.server.cuts = pair.phone.cuts;
  return pair;
}

double planned(const RandomPair& pair, double bytes_per_s, double load, Objective objective, Walks walks = Walks::kAny) {
  Cluster cluster;
  cluster.nodes = {{.name = "phone", .power = kStatedPhonePower}, {.name = "server", .slowdown = 1 / (1 - load)}};
  cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = bytes_per_s, .back_bytes_per_s = bytes_per_s}};
  const auto plan =
      run_planner({.cost = {.cluster = &cluster, .profiles = {&pair.phone, &pair.server}, .result_to = ResultTo::kNowhere},
                   .question = {.objective = objective},
                   .walks = walks},
                  "auto");
  EXPECT_TRUE(plan) << plan.error().message;
  return plan->values.of(objective);
}

TEST(Neurosurgeon, ArgminIsThePlannersOnRandomChains) {
  std::mt19937_64 random(17);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int round = 0; round < 2'000; ++round) {
    const RandomPair pair = random_pair(random);
    const double bytes_per_s = std::exp(8 + 10 * unit(random));
    const double load = 0.98 * unit(random);
    const double latency = neurosurgeon_cut(pair.phone, pair.server, bytes_per_s, load, false).value;
    EXPECT_NEAR(latency, planned(pair, bytes_per_s, load, Objective::kLatency, Walks::kUpOnly), 1e-9 * latency)
        << "round " << round;
    // To come back from a busy server is no single cut, and never worse.
    EXPECT_LE(planned(pair, bytes_per_s, load, Objective::kLatency), latency * (1 + 1e-9)) << "round " << round;
    const double energy = neurosurgeon_cut(pair.phone, pair.server, bytes_per_s, load, true).value;
    EXPECT_NEAR(energy, planned(pair, bytes_per_s, load, Objective::kEnergy), 1e-9 * energy) << "round " << round;
  }
}

// Without bandwidth everything stays; with endless bandwidth and a server that is faster everywhere nothing does.
TEST(Neurosurgeon, TheEnds) {
  std::mt19937_64 random(18);
  for (int round = 0; round < 50; ++round) {
    const RandomPair pair = random_pair(random);
    EXPECT_EQ(neurosurgeon_cut(pair.phone, pair.server, 1e-6, 0, false).blocks, pair.phone.blocks.size());
    EXPECT_EQ(neurosurgeon_cut(pair.phone, pair.server, 1e18, 0, false).blocks, 0u);
    // A server so busy that it is slower everywhere.
    EXPECT_EQ(neurosurgeon_cut(pair.phone, pair.server, 1e18, 0.98, false).blocks,
              neurosurgeon_cut(pair.phone, scaled(pair.server, 50), 1e18, 0, false).blocks);
  }
}

TEST(Neurosurgeon, ReproducesOnOneNetwork) {
  const auto result = reproduce_neurosurgeon({.models = {"squeezenet"}, .points = 15});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->sweeps.size(), 3u);
  ASSERT_EQ(result->rows.size(), 4u);
  for (const NeurosurgeonSweep& sweep : result->sweeps) {
    EXPECT_EQ(sweep.agrees, 15u) << sweep.file;
    EXPECT_THAT(render(sweep.figure), HasSubstr("squeezenet"));
  }
  // At the fast network an idle server is worth the way, a busy one is not.
  EXPECT_EQ(result->sweeps[0].cuts.front(), 0u);
  EXPECT_GT(result->sweeps[0].cuts.back(), 0u);
  // The statements that must hold for any chain of blocks.
  EXPECT_TRUE(result->findings[0].holds) << result->findings[0].measured;
  EXPECT_TRUE(result->findings[1].holds) << result->findings[1].measured;
  EXPECT_TRUE(result->findings.back().holds);
  for (const NeurosurgeonRow& row : result->rows) {
    EXPECT_LE(row.best_ms, std::min(row.phone_ms, row.server_ms) + 1e-9);
    EXPECT_LE(row.best_j, std::min(row.phone_j, row.server_j) + 1e-12);
  }
  EXPECT_THAT(neurosurgeon_csv(*result), HasSubstr("squeezenet,LTE,6000000,"));
  EXPECT_THAT(neurosurgeon_json(*result), HasSubstr("\"blocks_on_phone\""));
  EXPECT_FALSE(reproduce_neurosurgeon({.models = {"alexnt"}}));
}

}  // namespace
}  // namespace tideline::sim
