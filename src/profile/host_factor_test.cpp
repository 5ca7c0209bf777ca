// Goal: a host that is slower than its profile is told from one that only varies. Method: stages with known times.
#include "profile/host_factor.h"

#include <gtest/gtest.h>

#include "profile/profile.h"

namespace tideline {
namespace {

TEST(HostFactor, IsTheMedianOfWhatTheNodesStagesTookOverThePrediction) {
  const std::vector<StageTime> stages{
      {"camera", Millis(10), {19, 18.5, 19, 40, 19}},   {"server", Millis(4), {4.1, 3.9, 4, 4.05, 4}},
      {"camera", Millis(5), {9.5, 9.5, 9.5, 9.5, 9.5}}, {"router", Millis(0), {3, 3, 3}},
      {"sensor", Millis(0.01), {0.3, 0.3, 0.3}},        {"idle", Millis(5), {}}};
  const std::vector<HostFactor> factors = host_factors(stages);
  ASSERT_EQ(factors.size(), 2u);
  EXPECT_EQ(factors[0].node, "camera");
  EXPECT_NEAR(factors[0].factor, 1.9, 1e-9);
  EXPECT_TRUE(factors[0].is_notable);
  EXPECT_EQ(describe(factors[0]), "camera is 1.9 times slower than in the profile");
  EXPECT_EQ(factors[1].node, "server");
  EXPECT_NEAR(factors[1].factor, 1, 1e-9);
  EXPECT_FALSE(factors[1].is_notable);
  EXPECT_TRUE(host_factors({}).empty());
}

TEST(HostFactor, NoiseIsNotNotableAndAFasterHostIs) {
  // A median half as long again, of requests that differ more than that.
  EXPECT_FALSE(host_factors(std::vector<StageTime>{{"a", Millis(10), {10, 10, 15, 20, 20}}})[0].is_notable);
  const HostFactor fast = host_factors(std::vector<StageTime>{{"a", Millis(10), {5, 5, 5.1, 5, 5}}})[0];
  EXPECT_TRUE(fast.is_notable);
  EXPECT_EQ(describe(fast), "a is 2 times faster than in the profile");
  EXPECT_FALSE(host_factors(std::vector<StageTime>{{"a", Millis(10), {11, 11, 11}}})[0].is_notable);
}

TEST(HostFactor, AScaledProfilePredictsWhatTheHostTakesNow) {
  Profile profile;
  profile.blocks = {{"a", Millis(3), Millis(0.1)}, {"b", Millis(4), Millis(0.2)}};
  profile.cuts = {{100}, {50, Millis(0.5), Millis(-0.25)}, {10}};
  profile.segment_overhead = Millis(0.1);
  profile.whole = Millis(7);
  const Profile slower = scaled(profile, 1.9);
  for (const auto& [first, last] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 0}, {1, 1}, {0, 1}})
    EXPECT_NEAR(segment_time(slower, first, last) / segment_time(profile, first, last), 1.9, 1e-9);
  EXPECT_EQ(slower.cuts[0].bytes, 100u);
}

}  // namespace
}  // namespace tideline
