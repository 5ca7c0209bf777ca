// Goal: AAIoT's dynamic programme and the exhaustive referee give the same answer on 10,000 random tables, half of them of small
// whole numbers, so that ties abound. Method: tables from a seed; the numbers are binary fractions where the answers must be
// equal to the last bit and the placement the same, and any doubles where the values must agree within rounding.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "planner/table.h"

namespace tideline {
namespace {

constexpr int kTables = 10'000;

struct Generator {
  std::mt19937_64 random;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double real(double low, double high) { return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53; }

  // Random edges among the ops of a chain's table, numbered in a random order.
  Table graph(bool whole) {
    Table table = this->table(whole);
    const std::uint32_t n = table.op_count();
    table.edges.clear();
    std::shuffle(table.order.begin(), table.order.end(), random);
    for (std::uint32_t i = 0; i < n; ++i)
      for (std::uint32_t k = i + 1; k < n; ++k)
        if (below(3) == 0) table.edges.emplace_back(table.order[i], table.order[k]);
    std::sort(table.edges.begin(), table.edges.end());
    table.is_chain = false;
    return table;
  }

  Table table(bool whole) {
    constexpr double kExactBandwidth[] = {250, 500, 1000, 2000, 4000};
    Table table;
    const std::uint32_t m = 1 + below(4);
    const std::uint32_t n = 1 + below(7);
    const std::uint32_t spread = 1 + below(12);
    for (std::uint32_t j = 0; j < m; ++j) {
      table.devices.push_back("d" + std::to_string(j));
      if (j == 0) continue;
      table.links.push_back(whole ? TableLink{kExactBandwidth[below(5)], static_cast<double>(below(3))}
                                  : TableLink{real(10, 1e5), below(2) == 0 ? 0 : real(0, 20)});
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      table.op_names.push_back("op" + std::to_string(i));
      table.output_bytes.push_back(whole ? below(spread) : real(0, 2000));
      table.memory_bytes.push_back(0);
      table.order.push_back(i);
      if (i > 0) table.edges.emplace_back(i - 1, i);
      for (std::uint32_t j = 0; j < m; ++j) table.runtime_ms.push_back(whole ? below(spread) : real(0, 100) / (j + 1));
    }
    table.input_bytes = whole ? below(2 * spread) : real(0, 4000);
    table.result_bytes = whole ? below(3) : real(0, 100);
    return table;
  }
};

TEST(TablePlannersAgree, AaiotIsExhaustive) {
  Generator generator{std::mt19937_64(20190501)};
  int splits = 0;
  for (int round = 0; round < kTables; ++round) {
    const bool whole = round % 2 == 0;
    const Table table = generator.table(whole);
    const auto fast = plan_table(table, "aaiot");
    const auto referee = plan_table(table, "exhaustive");
    ASSERT_TRUE(fast && referee) << "round " << round;
    const auto value = table_value(table, fast->devices);
    ASSERT_TRUE(value) << "round " << round;
    if (whole) {
      ASSERT_EQ(fast->devices, referee->devices) << "round " << round;
      ASSERT_EQ(fast->value.latency_ms, referee->value.latency_ms) << "round " << round;
      ASSERT_EQ(value->latency_ms, referee->value.latency_ms) << "round " << round;
    } else {
      ASSERT_NEAR(fast->value.latency_ms, referee->value.latency_ms, 1e-9 * (1 + referee->value.latency_ms)) << "round " << round;
      ASSERT_NEAR(value->latency_ms, referee->value.latency_ms, 1e-9 * (1 + referee->value.latency_ms)) << "round " << round;
    }
    splits += referee->devices.front() != referee->devices.back() ? 1 : 0;
  }
  // The tables are not all trivial.
  EXPECT_GT(splits, kTables / 10);
}

// The minimum cut against the referee: on chains, where AAIoT knows the answer too, and on graphs.
TEST(TablePlannersAgree, MinCutIsExhaustive) {
  Generator generator{std::mt19937_64(77)};
  int splits = 0;
  for (int round = 0; round < 4'000; ++round) {
    const bool whole = round % 2 == 0;
    const Table table = round % 4 == 3 ? generator.table(whole) : generator.graph(whole);
    const auto cut = plan_table(table, "min-cut");
    const auto referee = plan_table(table, "exhaustive");
    ASSERT_TRUE(cut && referee) << "round " << round;
    if (whole) {
      ASSERT_EQ(cut->devices, referee->devices) << "round " << round;
    }
    ASSERT_NEAR(cut->value.latency_ms, referee->value.latency_ms, 1e-9 * (1 + referee->value.latency_ms)) << "round " << round;
    const auto [low, high] = std::minmax_element(cut->devices.begin(), cut->devices.end());
    splits += *low != *high ? 1 : 0;
  }
  EXPECT_GT(splits, 400);
}

// AAIoT's answer against what any optimum must satisfy.
TEST(TablePlannersAgree, Invariants) {
  Generator generator{std::mt19937_64(7)};
  for (int round = 0; round < 2'000; ++round) {
    Table table = generator.table(round % 2 == 0);
    const auto plan = plan_table(table, "aaiot");
    ASSERT_TRUE(plan);
    ASSERT_TRUE(std::is_sorted(plan->devices.begin(), plan->devices.end())) << "round " << round;
    const double slack = 1e-9 * (1 + plan->value.latency_ms);
    for (std::uint32_t device = 0; device < table.device_count(); ++device)
      ASSERT_LE(plan->value.latency_ms, native_table_plan(table, device).value.latency_ms + slack) << "round " << round;
    for (TableLink& link : table.links) {
      const TableLink before = link;
      link.bytes_per_s *= 1.5;
      ASSERT_LE(plan_table(table, "aaiot")->value.latency_ms, plan->value.latency_ms + slack) << "round " << round;
      link = before;
    }
  }
}

// The best real split: exhaustive over the placements that use two devices or more.
TEST(TablePlannersAgree, BestSplitIsExhaustive) {
  Generator generator{std::mt19937_64(11)};
  for (int round = 0; round < 2'000; ++round) {
    const Table table = generator.table(true);
    const std::uint32_t n = table.op_count();
    const std::uint32_t m = table.device_count();
    double best = -1;
    std::vector<std::uint32_t> devices(n, 0);
    for (bool more = true; more;) {
      if (std::is_sorted(devices.begin(), devices.end()) && devices.front() != devices.back()) {
        const double latency = table_value(table, devices)->latency_ms;
        if (best < 0 || latency < best) best = latency;
      }
      std::uint32_t i = 0;
      while (i < n && ++devices[i] == m) devices[i++] = 0;
      more = i < n;
    }
    const auto split = best_table_split(table);
    ASSERT_EQ(split.has_value(), best >= 0) << "round " << round;
    if (!split) continue;
    ASSERT_EQ(split->value.latency_ms, best) << "round " << round;
    ASSERT_NE(split->devices.front(), split->devices.back()) << "round " << round;
  }
}

}  // namespace
}  // namespace tideline
