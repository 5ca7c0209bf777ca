// Goal: percentiles of a long run are right to a percent, and come back from the state as they were. Method: sorted lists.
#include "fleet/up/latencies.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace tideline::fleet {
namespace {

TEST(Latencies, QuantilesAreThoseOfTheSortedListToAPercent) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> times(3, 1.5);
  std::vector<double> list;
  Latencies latencies;
  for (int n = 0; n < 10'000; ++n) {
    list.push_back(times(random));
    latencies.add(list.back());
  }
  std::sort(list.begin(), list.end());
  for (const double share : {0.001, 0.5, 0.95, 0.99, 1.0}) {
    const double exact = list[static_cast<std::size_t>(std::ceil(share * 10'000)) - 1];
    EXPECT_NEAR(latencies.quantile(share) / exact, 1, 0.006) << share;
  }
  EXPECT_EQ(latencies.count(), 10'000u);
  EXPECT_EQ(Latencies().quantile(0.5), 0);
}

TEST(Latencies, ComeBackFromTheirText) {
  Latencies latencies;
  for (const double ms : {0.0, 1e-9, 0.5, 12.0, 12.01, 1e300}) latencies.add(ms);
  const auto back = Latencies::parse(latencies.text());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, latencies);
  EXPECT_EQ(*Latencies::parse(""), Latencies());
  for (const char* wrong : {" ", "1", "1:", "1:0", ":1", "1:1 ", "2:1 1:1", "1:1  2:1", "5000:1", "1:-1", "1:1x", "1:1,2:1",
                            "1:18446744073709551615 2:1"})
    EXPECT_EQ(Latencies::parse(wrong).error().code, ErrorCode::kCorrupt) << wrong;
}

}  // namespace
}  // namespace tideline::fleet
