// Goal: what is said of graphs of ops is the best that there is, and the bound a bound.
// Method: seeded random graphs, small enough to try every placement on every route and every division into contiguous parts.
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "planner/graph_period.h"
#include "planner/graph_reduce.h"
#include "planner/graph_walks.h"

namespace tideline {
namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  double whole(std::uint32_t most) { return below(most + 1); }

 private:
  std::mt19937_64 engine_;
};

// Sparse or dense, with free ops and empty tensors among the others.
std::vector<std::pair<std::uint32_t, std::uint32_t>> random_edges(Dice& dice, std::uint32_t ops) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  const std::uint32_t density = 2 + dice.below(4);
  for (std::uint32_t to = 1; to < ops; ++to)
    for (std::uint32_t from = 0; from < to; ++from)
      if (dice.below(density) == 0) edges.emplace_back(from, to);
  return edges;
}

Table random_table(Dice& dice, std::uint32_t ops_max) {
  Table table;
  table.version = 2;
  const std::uint32_t devices = 1 + dice.below(4), ops = 2 + dice.below(ops_max - 1);
  for (std::uint32_t d = 0; d < devices; ++d) {
    table.devices.push_back("d" + std::to_string(d));
    if (d > 0) {
      const std::uint32_t to = dice.below(d);
      const bool turned = dice.below(2) == 0;
      table.links.push_back({.bytes_per_s = 500 + dice.whole(4000),
                             .rtt_ms = dice.whole(4),
                             .from = turned ? d : to,
                             .to = turned ? to : d,
                             .back_bytes_per_s = 500 + dice.whole(4000),
                             .metered = dice.below(2) == 0});
    }
  }
  if (devices > 2 && dice.below(2) == 0)
    table.links.push_back({.bytes_per_s = 1000, .rtt_ms = 1, .from = 0, .to = devices - 1, .back_bytes_per_s = 3000});
  table.source = dice.below(devices);
  table.device_memory_bytes.assign(devices, std::nullopt);
  for (std::uint32_t d = 0; d < devices; ++d)
    table.power.push_back(
        dice.below(3) == 0
            ? std::optional<TablePower>()
            : TablePower{
                  .compute_w = dice.whole(5), .transmit_w = dice.whole(3), .receive_w = dice.whole(2), .idle_w = dice.whole(1)});
  for (std::uint32_t i = 0; i < ops; ++i) {
    table.op_names.push_back("o" + std::to_string(i));
    table.order.push_back(i);
    const bool is_free = dice.below(4) == 0;
    for (std::uint32_t d = 0; d < devices; ++d) table.runtime_ms.push_back(is_free ? 0 : dice.whole(20));
    table.output_bytes.push_back(dice.below(4) == 0 ? 0 : dice.whole(30));
    table.memory_bytes.push_back(0);
  }
  table.edges = random_edges(dice, ops);
  table.is_chain = false;
  table.input_bytes = dice.whole(40);
  table.result_bytes = dice.whole(10);
  if (dice.below(3) == 0) table.keep_on_source = dice.below(ops);
  return table;
}

double value_of(const Table& table, Objective objective, std::string_view planner) {
  const auto plan = plan_graph(table, {.objective = objective}, planner, {});
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? plan->value.total.of(objective) : std::nan("");
}

TEST(GraphWalks, EveryObjectiveIsTheBestOfAllPlacementsOnAllRoutes) {
  Dice dice(1);
  int split = 0;
  for (int round = 0; round < 3000; ++round) {
    const Table table = random_table(dice, 6);
    for (const Objective objective : {Objective::kLatency, Objective::kEnergy, Objective::kPeriod, Objective::kUpload}) {
      const auto plan = plan_graph(table, {.objective = objective}, "auto", {});
      ASSERT_TRUE(plan) << plan.error().message;
      const auto best = exhaustive_graph(table, {.objective = objective}, {});
      ASSERT_TRUE(best) << best.error().message;
      const double least = best->value.total.of(objective);
      ASSERT_NEAR(plan->value.total.of(objective), least, 1e-9 * (1 + least)) << "round " << round << " " << to_string(objective);
      split += plan->walk.route.size() > 1;
      EXPECT_EQ(plan->bound.has_value(), objective == Objective::kPeriod);
      if (plan->bound) {
        EXPECT_NEAR(*plan->bound, least, 1e-9 * (1 + least));
      }
      EXPECT_EQ(plan->note, "");
    }
  }
  EXPECT_GT(split, 1000) << "most placements were trivial";
}

// A faster link or device never hurts; all times together scale the answer.
TEST(GraphWalks, FollowsItsScales) {
  Dice dice(2);
  for (int round = 0; round < 200; ++round) {
    const Table table = random_table(dice, 9);
    for (const Objective objective : {Objective::kLatency, Objective::kPeriod}) {
      const double value = value_of(table, objective, "auto");
      Table faster = table;
      if (!faster.links.empty()) faster.links[dice.below(static_cast<std::uint32_t>(faster.links.size()))].bytes_per_s *= 3;
      for (std::uint32_t i = 0; i < faster.op_count(); ++i) faster.runtime_ms[std::size_t{i} * faster.devices.size()] *= 0.5;
      EXPECT_LE(value_of(faster, objective, "auto"), value * (1 + 1e-9));
      Table twice = table;
      for (double& time : twice.runtime_ms) time *= 2;
      for (TableLink& link : twice.links) {
        link.bytes_per_s /= 2;
        link.back_bytes_per_s /= 2;
        link.rtt_ms *= 2;
      }
      EXPECT_NEAR(value_of(twice, objective, "auto"), 2 * value, 1e-9 * (1 + value));
    }
  }
}

// A row of ops with extra edges over it is a graph, and worth what the chain is when these carry nothing new.
TEST(GraphWalks, AChainInDisguiseIsWorthWhatItIs) {
  Dice dice(3);
  for (int round = 0; round < 200; ++round) {
    Table table = random_table(dice, 8);
    table.keep_on_source = 0;
    table.edges.clear();
    for (std::uint32_t i = 1; i < table.op_count(); ++i) table.edges.emplace_back(i - 1, i);
    table.is_chain = true;
    const auto chain = plan_walk(table, {.objective = Objective::kPeriod}, "auto", {});
    ASSERT_TRUE(chain) << chain.error().message;
    table.is_chain = false;
    const auto graph = plan_walk(table, {.objective = Objective::kPeriod}, "auto", {});
    ASSERT_TRUE(graph) << graph.error().message;
    // The chain's walks may also come back, which seldom helps.
    EXPECT_LE(chain->value.total.period_ms, graph->value.total.period_ms * (1 + 1e-9));
    const auto judged = walk_value(table, graph->walk);
    ASSERT_TRUE(judged);
    EXPECT_EQ(*judged, graph->value);
  }
}

// Pools -----------------------------------------------------------------------------------------------------------------

GraphPool random_pool(Dice& dice, std::uint32_t ops) {
  GraphPool pool;
  pool.graph.ops = ops;
  for (std::uint32_t i = 0; i < ops; ++i)
    pool.graph.tensors.push_back({.maker = i, .bytes = dice.below(3) == 0 ? 0 : dice.whole(6), .readers = {}});
  for (const auto& [from, to] : random_edges(dice, ops)) pool.graph.tensors[from].readers.push_back(to);
  GraphPool::Kind fast{.count = 1 + dice.below(3), .work = {}, .transfer = 1, .size_max = std::nullopt};
  GraphPool::Kind slow{.count = dice.below(2), .work = {}, .transfer = 0, .size_max = std::nullopt};
  if (dice.below(2) == 0) fast.size_max = 10 + dice.whole(30);
  for (std::uint32_t i = 0; i < ops; ++i) {
    const bool is_free = dice.below(4) == 0;
    fast.work.push_back(is_free ? 0 : dice.whole(12));
    slow.work.push_back(is_free ? 0 : 1 + dice.whole(40));
    if (dice.below(12) == 0 && slow.count > 0) fast.work.back() = std::numeric_limits<double>::infinity();
    pool.size.push_back(is_free ? 0 : dice.whole(8));
  }
  pool.kinds = {fast, slow};
  return pool;
}

// Every way to give each op a device: contiguous when the devices' edges among each other have no cycle.
class PoolReferee {
 public:
  explicit PoolReferee(const GraphPool& pool) : pool_(pool), device_of_(pool.graph.ops) {
    for (std::uint32_t kind = 0; kind < pool.kinds.size(); ++kind)
      for (std::uint32_t i = 0; i < pool.kinds[kind].count; ++i) kinds_.push_back(kind);
  }
  double least() {
    place(0);
    return best_;
  }
  // Infinite for what is no placement.
  double value(const std::vector<std::uint32_t>& device_of, const std::vector<std::uint32_t>& kinds) const {
    const std::size_t devices = kinds.size();
    std::vector<double> load(devices, 0), size(devices, 0);
    std::vector<std::vector<bool>> before(devices, std::vector<bool>(devices, false));
    for (std::uint32_t op = 0; op < pool_.graph.ops; ++op) {
      load[device_of[op]] += pool_.kinds[kinds[device_of[op]]].work[op];
      size[device_of[op]] += pool_.size[op];
    }
    for (const OpGraph::Tensor& tensor : pool_.graph.tensors) {
      std::vector<bool> enters(devices, false);
      for (const std::uint32_t reader : tensor.readers)
        if (device_of[reader] != device_of[tensor.maker]) enters[device_of[reader]] = true;
      bool leaves = false;
      for (std::size_t device = 0; device < devices; ++device) {
        if (!enters[device]) continue;
        leaves = before[device_of[tensor.maker]][device] = true;
        load[device] += pool_.kinds[kinds[device]].transfer * tensor.bytes;
      }
      if (leaves) load[device_of[tensor.maker]] += pool_.kinds[kinds[device_of[tensor.maker]]].transfer * tensor.bytes;
    }
    for (std::size_t k = 0; k < devices; ++k)
      for (std::size_t i = 0; i < devices; ++i)
        for (std::size_t j = 0; j < devices; ++j)
          if (before[i][k] && before[k][j]) before[i][j] = true;
    double worst = 0;
    for (std::size_t device = 0; device < devices; ++device) {
      const auto& most = pool_.kinds[kinds[device]].size_max;
      if (before[device][device] || (most && size[device] > *most)) return std::numeric_limits<double>::infinity();
      worst = std::max(worst, load[device]);
    }
    return worst;
  }

 private:
  void place(std::uint32_t op) {
    if (op == pool_.graph.ops) {
      best_ = std::min(best_, value(device_of_, kinds_));
      return;
    }
    for (std::uint32_t device = 0; device < kinds_.size(); ++device) {
      device_of_[op] = device;
      place(op + 1);
    }
  }
  const GraphPool& pool_;
  std::vector<std::uint32_t> kinds_, device_of_;
  double best_ = std::numeric_limits<double>::infinity();
};

TEST(GraphPeriod, APoolsPeriodIsTheLeastOfAllContiguousPlacements) {
  Dice dice(4);
  int possible = 0, impossible = 0;
  for (int round = 0; round < 2000; ++round) {
    const GraphPool pool = random_pool(dice, 2 + dice.below(5));
    PoolReferee referee(pool);
    const double least = referee.least();
    const auto found = pool_period(pool, {});
    if (!std::isfinite(least)) {
      EXPECT_FALSE(found) << "round " << round;
      ++impossible;
      continue;
    }
    ++possible;
    ASSERT_TRUE(found) << "round " << round << ": " << found.error().message;
    ASSERT_NEAR(found->period, least, 1e-9 * (1 + least)) << "round " << round;
    EXPECT_EQ(found->bound, found->period);
    // Its own placement is worth what it says, with parts as devices.
    EXPECT_NEAR(referee.value(found->part, found->kind), found->period, 1e-9 * (1 + least)) << "round " << round;
  }
  EXPECT_GT(possible, 1000);
  EXPECT_GT(impossible, 5);
}

// Out of patience it still has an answer, and a bound below the best.
TEST(GraphPeriod, NeverWithoutABound) {
  Dice dice(5);
  int cut_short = 0;
  for (int round = 0; round < 60; ++round) {
    GraphPool pool = random_pool(dice, 30);
    for (GraphPool::Kind& kind : pool.kinds) kind.size_max.reset();
    pool.kinds[0].count = 4;
    const auto best = pool_period(pool, {});
    ASSERT_TRUE(best) << best.error().message;
    const auto soon = pool_period(pool, {.parts_max = 3000});
    ASSERT_TRUE(soon) << soon.error().message;
    EXPECT_LE(soon->bound, best->period * (1 + 1e-9));
    EXPECT_GE(soon->period, best->period * (1 - 1e-9));
    cut_short += soon->bound < soon->period;
  }
  EXPECT_GT(cut_short, 5);
}

TEST(GraphReduce, FreeOpsJoinTheirNeighbours) {
  // 0 -> 1 -> 2 with 1 free and its tensor no larger than its input's; 3 is free, reads 2 and is read by nobody; 4 is free, from
  // nothing, and what it makes has no bytes.
  OpGraph graph{.ops = 5, .tensors = {}};
  graph.tensors = {{.maker = 0, .bytes = 8, .readers = {1}},
                   {.maker = 1, .bytes = 8, .readers = {2}},
                   {.maker = 2, .bytes = 5, .readers = {3}},
                   {.maker = 4, .bytes = 0, .readers = {0, 2}}};
  const ReducedGraph reduced = without_free_ops(graph, {false, true, false, true, true});
  EXPECT_EQ(reduced.graph.ops, 2u);
  EXPECT_EQ(reduced.group, (std::vector<std::uint32_t>{0, 0, 1, 1, OpGraph::kOutside}));
  ASSERT_EQ(reduced.graph.tensors.size(), 1u);
  EXPECT_EQ(reduced.graph.tensors[0].bytes, 8);
}

}  // namespace
}  // namespace tideline
