// Goal: predictors find what a made-up host does, say how far off they are, and refuse calibrations that say too little. Method:
// the host's kernels take times by a formula, with an overhead for each run and kernel.
#include "profile/predictor.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;

constexpr double kRun = 0.02;
constexpr double kEach = 0.003;

SampleKernel gemm(std::int64_t in, std::int64_t out) {
  SampleKernel kernel{.type = "Gemm", .inputs = {{1, in}, {out, in}, {out}}, .outputs = {{1, out}}};
  kernel.time = Millis(2e-6 * static_cast<double>(in * out) + 1e-5 * static_cast<double>(out));
  return kernel;
}
SampleKernel relu(std::int64_t elements) {
  SampleKernel kernel{.type = "Relu", .inputs = {{1, elements}}, .outputs = {{1, elements}}};
  kernel.time = Millis(1e-6 * static_cast<double>(elements) + 0.001);
  return kernel;
}

// A run of these kernels; its profiler's clock is off by a factor.
OperatorSample sample_of(std::string kind, std::vector<SampleKernel> kernels, double clock = 1.2) {
  OperatorSample sample{.kind = std::move(kind), .ops = {"Gemm"}, .inputs = {{1}}, .output = {1}};
  sample.time = Millis(kRun + kEach * static_cast<double>(kernels.size()));
  for (SampleKernel& kernel : kernels) {
    sample.time += kernel.time;
    kernel.time *= clock;
  }
  sample.wall = sample.time;
  sample.kernels = std::move(kernels);
  return sample;
}

Calibration made_up_calibration() {
  Calibration calibration{.host = "pi", .engine = "E", .date = "2026-01-02T03:04:05Z", .reference = Millis(1)};
  for (const std::size_t count : {2, 7, 40}) {
    std::vector<SampleKernel> kernels(count, {.type = "Neg", .inputs = {{1, 8}}, .outputs = {{1, 8}}});
    calibration.operators.push_back(sample_of(std::string(kEmptyKernelsKind), std::move(kernels)));
    calibration.operators.back().kernels.front().time = Millis(0.001);
  }
  for (int i = 0; i < 80; ++i) {
    const auto in = static_cast<std::int64_t>(std::exp2(5 + std::fmod(i * 0.618, 1.0) * 6));
    const auto out = static_cast<std::int64_t>(std::exp2(5 + std::fmod(i * 0.755, 1.0) * 6));
    calibration.operators.push_back(sample_of("gemm", {gemm(in, out), relu(out)}));
    if (i % 4 == 0)
      calibration.operators.push_back(sample_of("network-plain", {gemm(in, out), relu(out), gemm(out, in), relu(in)}));
  }
  return calibration;
}

TEST(Predictor, TheEnginesOverheadIsTheLineThroughEmptyKernels) {
  const EngineOverhead overhead = engine_overhead(made_up_calibration());
  EXPECT_NEAR(overhead.run.count(), kRun, 1e-9);
  EXPECT_NEAR(overhead.kernel.count(), kEach, 1e-9);
  // Of one length, or where a line would begin below zero, nothing negative comes out.
  Calibration one = made_up_calibration();
  one.operators.resize(1);
  EXPECT_GE(engine_overhead(one).run.count(), 0);
  one = made_up_calibration();
  one.operators[0].time = Millis(1e-4);
  EXPECT_GE(engine_overhead(one).run.count(), 0);
  EXPECT_GE(engine_overhead(one).kernel.count(), 0);
}

TEST(Predictor, KernelsOfASampleAddUpToItsRun) {
  const OperatorSample sample = sample_of("gemm", {gemm(512, 512), relu(512)}, 1.25);
  Millis sum(0);
  for (const SampleKernel& kernel : settled_kernels(sample, {Millis(kRun), Millis(kEach)})) sum += kernel.time + Millis(kEach);
  EXPECT_NEAR((sum + Millis(kRun)).count(), sample.time.count(), 1e-12);
  EXPECT_TRUE(settled_kernels({.kind = "x", .time = Millis(1)}, {}).empty());
  // Clock and processor disagree: something disturbed the run, and nothing is learnt from it.
  EXPECT_TRUE(settled_kernels(sample_of("gemm", {gemm(512, 512), relu(512)}, 3), {Millis(kRun), Millis(kEach)}).empty());
}

TEST(Predictor, FindsTheTimesOfAMadeUpHost) {
  const Calibration calibration = made_up_calibration();
  const auto predictor = make_predictor(calibration, "kernels");
  ASSERT_TRUE(predictor) << predictor.error().message;
  for (const auto& [in, out] : {std::pair{100, 900}, std::pair{1500, 50}, std::pair{700, 700}}) {
    SCOPED_TRACE(in);
    EXPECT_NEAR((*predictor)->kernel_time(gemm(in, out), {}) / (gemm(in, out).time + Millis(kEach)), 1, 0.05);
  }
  EXPECT_NEAR((*predictor)->kernel_time(relu(1'000'000), {}) / (relu(1'000'000).time + Millis(kEach)), 1, 0.1);
  EXPECT_NEAR((*predictor)->run_overhead(true).count(), kRun, 1e-9);
  const PredictorError error = predictor_error(**predictor, calibration);
  EXPECT_EQ(error.count, 20U);
  EXPECT_LT(error.p90, 0.05);
  EXPECT_LE(error.median, error.p90);
}

// Runs that find nothing near: their start is what they take beyond their kernels, and their weights come from far.
TEST(Predictor, KnowsWhatIsNear) {
  EXPECT_TRUE(is_near(OperatorSample{.time = Millis(0.1)}));
  EXPECT_FALSE(is_near(OperatorSample{.weight_bytes = kRepeatedWeightsMax + 1, .time = Millis(0.1)}));
  EXPECT_FALSE(is_near(OperatorSample{.time = kRepeatedTimeMax}));
  Calibration calibration = made_up_calibration();
  EXPECT_FALSE(is_near(calibration, 0));  // no caches are known
  calibration.caches = {32'768, 8'000'000};
  EXPECT_TRUE(is_near(calibration, 1'000'000));
  EXPECT_FALSE(is_near(calibration, 1'000'001));
  EXPECT_TRUE(place_in_run(4, 5, false).ends_run);
  EXPECT_FALSE(place_in_run(3, 5, false).ends_run);
  EXPECT_FALSE(place_in_run(4, 5, true).ends_run);

  EXPECT_EQ(engine_overhead(calibration).start, Millis(0));  // all of its runs find everything near
  for (int i = 1; i < 9; ++i) {
    calibration.operators.push_back(sample_of("gemm", {gemm(256, 16 * i)}, 1));
    calibration.operators.back().weight_bytes = kRepeatedWeightsMax + 1;
    calibration.operators.back().time += Millis(0.007);
  }
  const EngineOverhead overhead = engine_overhead(calibration);
  // The clock of the empty kernels has some of it: 0.0005 ms of each kernel.
  EXPECT_NEAR(overhead.start.count(), 0.007, 0.0015);
  const OperatorSample& cold = calibration.operators.back();
  EXPECT_NEAR((overhead.run + overhead.start + overhead.kernel + settled_kernels(cold, overhead)[0].time) / cold.time, 1, 1e-9);
}

TEST(Predictor, KnowsWhatItWasItWasNotTold) {
  const auto predictor = make_predictor(made_up_calibration(), "kernels");
  ASSERT_TRUE(predictor);
  EXPECT_TRUE((*predictor)->knows(gemm(10, 10)));
  EXPECT_TRUE((*predictor)->knows({.type = "Reshape"}));
  const SampleKernel other{.type = "Mystery", .inputs = {{1, 100'000}}, .outputs = {{1, 100'000}}};
  EXPECT_FALSE((*predictor)->knows(other));
  // Taken for an elementwise kernel that moves as many bytes.
  EXPECT_NEAR((*predictor)->kernel_time(other, {}) / (relu(100'000).time + Millis(kEach)), 1, 0.1);
  // No kernel of this host has its channels in blocks: it changes no layouts either.
  EXPECT_EQ((*predictor)->kernel_time({.type = "ReorderInput", .inputs = {{1, 16, 8, 8}}, .outputs = {{1, 16, 8, 8}}}, {}),
            Millis(0));
}

TEST(Predictor, NeurosurgeonsLinesAreFoundWhereTimesAreLines) {
  Calibration calibration = made_up_calibration();
  calibration.operators.resize(3);
  const auto fc = [](std::int64_t in, std::int64_t out) {
    SampleKernel kernel = gemm(in, out);
    kernel.time = Millis(0.05 + 3e-5 * static_cast<double>(in) + 7e-5 * static_cast<double>(out));
    return kernel;
  };
  for (int i = 1; i < 30; ++i) calibration.operators.push_back(sample_of("gemm", {fc(100 * i, 37 * (i * 7 % 30 + 1))}));
  const auto predictor = make_predictor(calibration, "neurosurgeon");
  ASSERT_TRUE(predictor);
  EXPECT_NEAR((*predictor)->kernel_time(fc(5000, 10), {}) / (fc(5000, 10).time + Millis(kEach)), 1, 1e-6);
  // A power of the features is a line of their logarithms: here too little is said to be right, but never below zero.
  const auto power = make_predictor(made_up_calibration(), "neurosurgeon");
  ASSERT_TRUE(power);
  EXPECT_GE((*power)->kernel_time(gemm(1, 1), {}), Millis(0));
  EXPECT_EQ((*power)->name(), "neurosurgeon");
}

TEST(Predictor, RefusesWhatSaysTooLittle) {
  Calibration calibration = made_up_calibration();
  EXPECT_THAT(make_predictor(calibration, "tarot").error().message, HasSubstr("there are: kernels, neurosurgeon"));
  for (OperatorSample& sample : calibration.operators)
    for (SampleKernel& kernel : sample.kernels) kernel.outputs.clear();
  EXPECT_THAT(make_predictor(calibration, "kernels").error().message, HasSubstr("measure it again with `tideline calibrate`"));
  calibration = made_up_calibration();
  calibration.operators.erase(calibration.operators.begin(), calibration.operators.begin() + 3);
  EXPECT_EQ(make_predictor(calibration, "neurosurgeon").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline
