// Goal: the solver finds an additive model in its measurements, keeps to the prior where nothing was measured, and is not led
// astray by a segment that is not additive.
#include "profile/fit.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace tideline {
namespace {

SegmentFit random_model(std::uint32_t blocks, std::mt19937_64& random) {
  std::uniform_real_distribution<double> time(0.2, 5);
  std::uniform_real_distribution<double> correction(-0.1, 0.4);
  SegmentFit model;
  model.overhead = Millis(0.05);
  for (std::uint32_t k = 0; k < blocks; ++k) model.blocks.emplace_back(time(random));
  for (std::uint32_t cut = 0; cut <= blocks; ++cut) {
    model.starts.emplace_back(cut == 0 || cut == blocks ? 0 : correction(random));
    model.ends.emplace_back(cut == 0 || cut == blocks ? 0 : correction(random));
  }
  return model;
}

std::vector<SegmentSample> singles_prefixes_suffixes(const SegmentFit& model) {
  const auto blocks = static_cast<std::uint32_t>(model.blocks.size());
  std::vector<SegmentSample> samples;
  const auto add = [&](std::uint32_t first, std::uint32_t last) { samples.push_back({first, last, model.predict(first, last)}); };
  for (std::uint32_t k = 0; k < blocks; ++k) {
    add(k, k);
    add(0, k);
    add(k, blocks - 1);
  }
  return samples;
}

TEST(Fit, RecoversAnAdditiveModelExactly) {
  std::mt19937_64 random(1);
  for (const std::uint32_t blocks : {1U, 2U, 7U, 30U}) {
    const SegmentFit model = random_model(blocks, random);
    // Priors that are wrong by up to a factor of two: the measurements decide.
    std::vector<Millis> priors;
    for (const Millis time : model.blocks) priors.push_back(time * std::uniform_real_distribution<double>(0.7, 1.4)(random));
    const SegmentFit fit = fit_segments(priors, singles_prefixes_suffixes(model), {.ridge = 1e-12});
    for (std::uint32_t i = 0; i < blocks; ++i) {
      for (std::uint32_t j = i; j < blocks; ++j) {
        EXPECT_NEAR(fit.predict(i, j) / model.predict(i, j), 1, 1e-4) << blocks << " blocks, segment " << i << ":" << j;
      }
    }
    for (const Millis time : fit.blocks) EXPECT_GE(time.count(), 0);
    EXPECT_GE(fit.overhead.count(), 0);
  }
}

TEST(Fit, KeepsThePriorWhereNothingWasMeasured) {
  const std::vector<Millis> priors{Millis(1), Millis(2), Millis(3)};
  const SegmentFit fit = fit_segments(priors, {});
  for (std::size_t k = 0; k < priors.size(); ++k) EXPECT_NEAR(fit.blocks[k].count(), priors[k].count(), 1e-9);
  // The whole alone, twice as long as the kernels say: the blocks keep their proportions, roughly, and make up for it.
  const SegmentFit scaled = fit_segments(priors, {{0, 2, Millis(12)}});
  EXPECT_NEAR(scaled.predict(0, 2).count(), 12, 0.2);
  EXPECT_LT(scaled.blocks[0], scaled.blocks[1]);
  EXPECT_LT(scaled.blocks[1], scaled.blocks[2]);
}

TEST(Fit, OneSegmentThatIsNotAdditiveDoesNotBendTheOthers) {
  std::mt19937_64 random(3);
  const SegmentFit model = random_model(12, random);
  std::vector<SegmentSample> samples = singles_prefixes_suffixes(model);
  for (SegmentSample& sample : samples) {
    if (sample.first == 5 && sample.last == 5) sample.time *= 3;
  }
  const SegmentFit fit = fit_segments(model.blocks, samples);
  EXPECT_NEAR(fit.predict(2, 9) / model.predict(2, 9), 1, 0.03);
  EXPECT_NEAR(fit.predict(0, 11) / model.predict(0, 11), 1, 0.01);
}

TEST(Fit, NoiseIsLessThanThatOfTheMeasurements) {
  std::mt19937_64 random(4);
  const SegmentFit model = random_model(25, random);
  std::vector<SegmentSample> samples = singles_prefixes_suffixes(model);
  std::normal_distribution<double> noise(1, 0.03);
  for (SegmentSample& sample : samples) sample.time *= noise(random);
  const SegmentFit fit = fit_segments(model.blocks, samples);
  // Against the simplest predictor from the same measurements: prefix + suffix - whole.
  double fitted = 0;
  double simple = 0;
  for (std::uint32_t i = 0; i < 25; ++i) {
    for (std::uint32_t j = i; j < 25; ++j) {
      const double truth = model.predict(i, j).count();
      fitted += std::abs(fit.predict(i, j).count() / truth - 1);
      simple += std::abs((samples[3 * j + 1].time + samples[3 * i + 2].time - samples[2].time).count() / truth - 1);
    }
  }
  EXPECT_LT(fitted, 0.5 * simple);
}

TEST(Fit, TheRidgeFollowsHowGoodThePriorsAre) {
  std::mt19937_64 random(5);
  const SegmentFit model = random_model(30, random);
  std::vector<SegmentSample> samples;
  std::normal_distribution<double> noise(1, 0.05);
  for (const SegmentSample& sample : singles_prefixes_suffixes(model)) {
    samples.push_back({sample.first, sample.last, sample.time * noise(random)});
  }
  std::vector<Millis> wrong = model.blocks;
  for (std::size_t k = 0; k < wrong.size(); ++k) wrong[k] *= k % 7 == 0 ? 6 : 0.2;
  EXPECT_GT(choose_ridge(model.blocks, samples), choose_ridge(wrong, samples));
  EXPECT_EQ(choose_ridge(model.blocks, {samples.begin(), samples.begin() + 3}), kRidgeDefault);
}

}  // namespace
}  // namespace tideline
