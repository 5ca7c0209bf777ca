// Goal: a calibration is complete and as its format says, can be stopped early (nothing) and late (what there is), and what is
// measured of memory has the order that any machine has. Nothing here asserts a time.
#include "measure/calibrate.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "measure/memory_bench.h"
#include "measure/operator_cases.h"
#include "measure/samples.h"

namespace tideline {
namespace {

std::set<std::string_view> kinds_in(const Calibration& calibration) {
  std::set<std::string_view> kinds;
  for (const OperatorSample& sample : calibration.operators) kinds.insert(sample.kind);
  return kinds;
}

TEST(Calibrate, MeasuresEveryKindHoweverShortTheTime) {
  const auto engine = std::move(make_engine({}).value());
  double last = -1;
  CalibrateOptions options{.time = Millis(1), .threads_max = 2, .memory_max = Bytes{1} << 20};
  options.progress = [&](double done, std::string_view) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, 1);
    last = done;
  };
  const auto calibration = calibrate(*engine, options);
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(last, 1);
  EXPECT_TRUE(calibration->complete);
  EXPECT_EQ(calibration->threads, 1);
  EXPECT_EQ(calibration->engine, engine->version());
  EXPECT_GT(calibration->reference.count(), 0);
  EXPECT_EQ(kinds_in(*calibration).size(), operator_kinds().size());
  for (const OperatorSample& sample : calibration->operators) {
    SCOPED_TRACE(sample.kind);
    EXPECT_GT(sample.time.count(), 0);
    EXPECT_GT(sample.wall.count(), 0);
    EXPECT_FALSE(sample.inputs.empty());
    EXPECT_FALSE(sample.output.empty());
    EXPECT_EQ(sample.kernel.size(), sample.stride.size());
    if (sample.kind.starts_with("conv") || sample.kind == "gemm" || sample.kind == "matmul") {
      EXPECT_GT(sample.flops, 0U);
      EXPECT_GT(sample.weight_bytes, 0U);
    }
    EXPECT_FALSE(sample.kernels.empty());
  }
  ASSERT_EQ(calibration->scaling.size(), 6U);
  EXPECT_EQ(calibration->scaling.front().threads, 1);
  EXPECT_EQ(calibration->scaling.back().threads, 2);
  // What was measured reads back from its file.
  const auto read = parse_calibration(write_calibration(*calibration), "c.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, *calibration);
}

TEST(Calibrate, SaysWhatTheEngineFused) {
  const auto engine = std::move(make_engine({}).value());
  const auto calibration = calibrate(*engine, {.time = Millis(1), .threads_max = 1, .memory_max = Bytes{64} << 10});
  ASSERT_TRUE(calibration) << calibration.error().message;
  const auto sample = std::find_if(calibration->operators.begin(), calibration->operators.end(),
                                   [](const OperatorSample& s) { return s.kind == "conv-3x3-norm"; });
  ASSERT_NE(sample, calibration->operators.end());
  EXPECT_EQ(sample->ops, (std::vector<std::string>{"Conv", "BatchNormalization", "Clip"}));
  // Three ops; one kernel computes, beside what changes layouts.
  std::size_t convolutions = 0;
  for (const SampleKernel& kernel : sample->kernels) {
    convolutions += kernel.type.find("Conv") != std::string::npos ? 1 : 0;
    EXPECT_NE(kernel.type, "BatchNormalization");
    EXPECT_NE(kernel.type, "Clip");
  }
  EXPECT_EQ(convolutions, 1U);
}

TEST(Calibrate, InterruptedEarlyThereIsNothing) {
  const auto engine = std::move(make_engine({}).value());
  for (const std::string_view phase : {"memory", "threads", "operators"}) {
    SCOPED_TRACE(phase);
    const CancelToken cancel;
    // Long enough to go on after the first round, were it not for the token.
    CalibrateOptions options{.time = Millis(10'000), .threads_max = 1, .memory_max = Bytes{8} << 10, .cancel = &cancel};
    std::size_t steps = 0;
    options.progress = [&](double, std::string_view what) {
      // In the middle of the first round of operators.
      if (what == phase && (what != "operators" || ++steps > 10)) cancel.cancel();
    };
    const auto calibration = calibrate(*engine, options);
    ASSERT_FALSE(calibration);
    EXPECT_EQ(calibration.error().code, ErrorCode::kCancelled);
    EXPECT_EQ(calibration.error().message, "[calibrate] interrupted; nothing was written");
  }
}

TEST(Calibrate, InterruptedLateItKeepsWhatThereIs) {
  const auto engine = std::move(make_engine({}).value());
  const CancelToken cancel;
  CalibrateOptions options{.time = Millis(20'000), .threads_max = 1, .memory_max = Bytes{8} << 10, .cancel = &cancel};
  std::size_t operators = 0;
  options.progress = [&](double, std::string_view what) {
    if (what == "operators" && ++operators > operator_kinds().size() + 30) cancel.cancel();
  };
  const auto calibration = calibrate(*engine, options);
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_FALSE(calibration->complete);
  EXPECT_EQ(kinds_in(*calibration).size(), operator_kinds().size());
  EXPECT_GT(calibration->operators.size(), operator_kinds().size());
}

TEST(MemoryBench, WorkingSetsAscendAndEverythingIsMeasured) {
  const auto points = measure_memory({.bytes_min = 8192, .bytes_max = 65536, .time = Millis(1)});
  ASSERT_TRUE(points);
  std::vector<Bytes> sizes;
  for (const MemoryPoint& point : *points) {
    sizes.push_back(point.bytes);
    EXPECT_GT(point.read_bytes_per_s, 1e7);
    EXPECT_GT(point.copy_bytes_per_s, 1e7);
    // No load that waits for another is faster than a quarter of a nanosecond, on any machine there is.
    EXPECT_GT(point.latency_ns, 0.25);
  }
  EXPECT_EQ(sizes, (std::vector<Bytes>{8192, 12288, 16384, 24576, 32768, 49152, 65536}));
}

TEST(Samples, QuartilesAndDrift) {
  EXPECT_EQ(quantile({4, 1, 3, 2, 5}, 0.25), 2);
  EXPECT_EQ(typical({4, 1, 3, 2, 5}), 2);
  EXPECT_EQ(half_quartiles({4, 1, 3, 2, 5}), 1);
  EXPECT_EQ(median_of({4, 1, 3, 2, 5}), 3);
  EXPECT_EQ(real_drift(1.02, 0.02), 1);         // within twice the error: chance
  EXPECT_NEAR(real_drift(2, 0.001), 2, 0.001);  // far beyond it: as it is
  EXPECT_LT(real_drift(1.05, 0.02), 1.05);      // in between: less
  EXPECT_GT(real_drift(1.05, 0.02), 1);
  EXPECT_LT(real_drift(0.5, 0.001), 0.51);
}

}  // namespace
}  // namespace tideline
