// Goal: times between measured ones are near them, times far away follow the roofline, and nothing is asked of what is left out.
// Method: made-up hosts whose times are a known function.
#include "profile/regression.h"

#include <cmath>

#include <gtest/gtest.h>

namespace tideline {
namespace {

// A kernel of 2^a channels on 2^b places; efficient with many channels, and a little better on even numbers of places.
RegressionPoint made_up(double a, double b) {
  const double flops = std::exp2(2 * a + b);
  const double bytes = std::exp2(a + b);
  const double efficiency = 1 / (1 + std::exp2(4 - a));
  return {.flops = flops, .memory_ms = bytes, .place = {a, b}, .ms = 0.01 + flops / (5e7 * efficiency) + bytes / 1e7};
}

std::vector<RegressionPoint> grid() {
  std::vector<RegressionPoint> points;
  for (int i = 0; i < 200; ++i) {
    points.push_back(made_up(3 + std::fmod(i * 0.618034, 1.0) * 6, 4 + std::fmod(i * 0.754878, 1.0) * 8));
    points.back().group = static_cast<std::size_t>(i);
  }
  return points;
}

TEST(Regression, BetweenWhatWasMeasuredItIsRight) {
  const Regression regression(grid());
  double worst = 0;
  for (double a = 3.3; a < 8.8; a += 0.37)
    for (double b = 4.4; b < 11.8; b += 0.53) {
      const RegressionPoint at = made_up(a, b);
      worst = std::max(worst, std::abs(regression.predict(at) / at.ms - 1));
    }
  EXPECT_LT(worst, 0.1);
}

TEST(Regression, FarFromWhatWasMeasuredItIsTheRoofline) {
  const Regression regression(grid());
  const RegressionPoint far = made_up(30, 30);
  RegressionPoint twice = far;
  twice.flops *= 2;
  twice.memory_ms *= 2;
  EXPECT_NEAR(regression.predict(twice) / regression.predict(far), 2, 1e-6);
  EXPECT_GT(regression.predict({.flops = 0, .memory_ms = 0, .place = {-20, -20}}), 0);
}

TEST(Regression, ALeftOutGroupIsNotAsked) {
  std::vector<RegressionPoint> points = grid();
  // One sample that is unlike all others, far from them.
  RegressionPoint odd = made_up(20, 2);
  odd.ms *= 10;
  odd.group = 1000;
  points.push_back(odd);
  const Regression regression(points);
  EXPECT_NEAR(regression.predict(odd) / odd.ms, 1, 0.35);
  EXPECT_LT(regression.predict(odd, 1000) / odd.ms, 0.7);
}

// Planes that all are square say nothing of others: these are not far from them.
TEST(Regression, AFeatureThatNeverVariesIsNotAsked) {
  std::vector<RegressionPoint> points = grid();
  for (RegressionPoint& point : points) point.place.push_back(0);
  const Regression regression(points);
  RegressionPoint at = made_up(6, 8);
  at.place.push_back(0);
  const double same = regression.predict(at);
  at.place.back() = 9;
  EXPECT_EQ(regression.predict(at), same);
}

TEST(Regression, OnePointAndPointsWithoutFeaturesAreEnough) {
  const Regression one({{.flops = 100, .memory_ms = 10, .place = {1}, .ms = 0.5}});
  EXPECT_NEAR(one.predict({.flops = 100, .memory_ms = 10, .place = {1}}), 0.5, 1e-3);
  const Regression plain(
      {{.flops = 100, .memory_ms = 10, .place = {}, .ms = 1}, {.flops = 200, .memory_ms = 20, .place = {}, .ms = 2}});
  EXPECT_NEAR(plain.predict({.flops = 400, .memory_ms = 40, .place = {}}), 4, 0.1);
}

}  // namespace
}  // namespace tideline
