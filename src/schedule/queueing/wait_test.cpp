// Goal: the waits of the queueing model are those of queueing theory.
// Method: closed forms and printed properties of M/D/1, Crommelin's alternating sum, and a stream through three stations by hand.
#include "schedule/queueing/wait.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "schedule/random.h"

namespace tideline::schedule {
namespace {

// Crommelin (1932): (1 - rho) sum_{i <= x} (rho (i - x))^i / i! exp(-rho (i - x)); loses its digits for large x.
double crommelin(double rho, double x) {
  long double sum = 0;
  for (int i = 0; i <= static_cast<int>(std::floor(x)); ++i)
    sum += std::pow(static_cast<long double>(rho * (i - x)), i) / std::tgamma(i + 1.0L) * std::exp(-rho * (i - x));
  return static_cast<double>((1 - rho) * sum);
}

TEST(Wait, IsThatOfCrommelinsFormula) {
  for (const double rho : {0.05, 0.3, 0.5, 0.7, 0.9})
    for (const double x : {0.0, 0.3, 1.0, 1.5, 2.9, 5.2, 8.0})
      EXPECT_NEAR(md1_wait_below(rho, x), crommelin(rho, x), 1e-9) << rho << " " << x;
}

// E[W] = rho / (2 (1 - rho)) service times (Pollaczek and Khinchine), as the integral of P(W > x).
TEST(Wait, HasTheMeanOfPollaczekAndKhinchine) {
  for (const double rho : {0.2, 0.5, 0.8}) {
    double mean = 0;
    constexpr double kStep = 0.005;
    for (double x = kStep / 2; x < 60; x += kStep) mean += (1 - md1_wait_below(rho, x)) * kStep;
    EXPECT_NEAR(mean, rho / (2 * (1 - rho)), 2e-3) << rho;
  }
}

TEST(Wait, TheTableHasTheShareThatItWasMadeFor) {
  for (const double share : {0.001, 0.006, 0.05}) {
    const WaitTable table = WaitTable::poisson(share);
    double before = 0;
    for (double rho = 0; rho <= table.load_max(); rho += 0.0137) {
      EXPECT_NEAR(md1_wait_below(rho, table.wait(rho)), std::max(1 - share, 1 - rho), 2e-4) << share << " " << rho;
      EXPECT_GE(table.wait(rho), before);
      before = table.wait(rho);
    }
  }
  EXPECT_EQ(WaitTable::periodic().wait(1), 0);
}

TEST(Wait, TheLongestServiceTimeIsTheLongest) {
  Random random(3);
  for (const WaitTable& table : {WaitTable::periodic(), WaitTable::poisson(0.006)})
    for (int trial = 0; trial < 2000; ++trial) {
      const double rate = random.uniform(0.1, 10), limit = random.uniform(0.01, 2);
      const double u = random.uniform(0, limit / 2), w = random.unit() < 0.3 ? 0 : random.uniform(0, limit / 2);
      const auto takes = [&](double v) {
        const double longest = std::max({u, v, w});
        return rate * longest > table.load_max() * (1 + 1e-12) ? INFINITY : u + v + w + longest * table.wait(rate * longest);
      };
      const double v = table.longest(rate, u, w, limit);
      EXPECT_TRUE(v == 0 || takes(v) <= limit * (1 + 1e-9)) << trial;
      EXPECT_GT(takes(v * 1.0001 + 1e-9), limit * (1 - 1e-9)) << trial;
    }
}

// The identity of the header: whatever the order of the stations, the wait is that at the slowest alone.
TEST(Wait, ARowOfStationsWaitsAsItsSlowest) {
  Random random(9);
  for (int trial = 0; trial < 50; ++trial) {
    double service[3];
    for (double& s : service) s = random.uniform(0.01, 0.9);
    const double slowest = *std::max_element(service, service + 3);
    double arrival = 0, free_at[3] = {0, 0, 0}, alone = 0;
    for (int n = 0; n < 500; ++n) {
      arrival += -std::log1p(-random.unit());
      double at = arrival;
      for (int i = 0; i < 3; ++i) at = free_at[i] = std::max(at, free_at[i]) + service[i];
      alone = std::max(arrival, alone) + slowest;
      EXPECT_NEAR(at - arrival, service[0] + service[1] + service[2] + (alone - slowest - arrival), 1e-9);
    }
  }
}

}  // namespace
}  // namespace tideline::schedule
