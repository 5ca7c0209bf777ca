// Goal: bytes take what the calibration's memory takes for as many, and what is not near takes what the largest working set does.
// Method: a made-up memory of two levels, times by hand.
#include "profile/memory_time.h"

#include <cmath>

#include <gtest/gtest.h>

namespace tideline {
namespace {

// 10 GB/s up to 1 kB and 1 GB/s from 4 kB on.
MemoryTime two_levels() {
  return MemoryTime(std::vector<MemoryPoint>{{.bytes = 1000, .read_bytes_per_s = 1e10, .copy_bytes_per_s = 1e10},
                                             {.bytes = 4000, .read_bytes_per_s = 1e9, .copy_bytes_per_s = 1e9}});
}

TEST(MemoryTime, NearBytesGoAtTheirWorkingSetsRate) {
  const KernelFeatures small{.bytes = 800, .output_bytes = 400};
  EXPECT_NEAR(two_levels().of(small, {}).count(), 1e3 * 800 / 2e10, 1e-15);
  const KernelFeatures large{.bytes = 8000, .output_bytes = 4000};
  EXPECT_NEAR(two_levels().of(large, {}).count(), 1e3 * 8000 / 2e9, 1e-15);
  // Half-way between the two in the logarithm.
  const KernelFeatures between{.bytes = 2000, .output_bytes = 1000};
  EXPECT_NEAR(two_levels().of(between, {}).count(), 1e3 * 2000 / (2 * 5.5e9), 1e-12);
}

TEST(MemoryTime, AnswersAndWeightsAreFar) {
  const KernelFeatures features{.bytes = 900, .weight_bytes = 300, .output_bytes = 300};
  const double near = 1e3 * 300 / 2e10;
  EXPECT_NEAR(two_levels().of(features, {}).count(), 2 * near + 1e3 * 300 / 1e9, 1e-15);
  EXPECT_NEAR(two_levels().of(features, {.ends_run = true}).count(), near + 1e3 * 300 / 2e9 + 1e3 * 300 / 1e9, 1e-15);
  EXPECT_NEAR(two_levels().of(features, {.is_near = true}).count(), 2 * near + 1e3 * 300 / 1e10, 1e-15);
}

TEST(MemoryTime, WithoutPointsItIsStillFinite) {
  EXPECT_NEAR(MemoryTime(std::vector<MemoryPoint>{}).of({.bytes = 1000, .output_bytes = 500}, {}).count(), 1e3 * 1000 / 2e9,
              1e-15);
  const MemoryTime stuck(std::vector<MemoryPoint>{{.bytes = 1000}});
  EXPECT_TRUE(std::isfinite(stuck.of({.bytes = 1000, .output_bytes = 500}, {.ends_run = true}).count()));
  EXPECT_EQ(two_levels().of({}, {}).count(), 0);
}

}  // namespace
}  // namespace tideline
