// Logistic regression on seeded data: what each compressor does to learning, without a library. Goal: whoever keeps the mean or
// remembers what it left out gets to the dense loss; 1-bit SGD without error feedback does not.
//
// System: 40 features, each there in one sample of ten, of scales from 3 to 0.3, and a bias; 2000 samples of a known model; 4
// senders with 500 each, batches of 10, rate falling as 1 / (1 + t / 200). With weight decay there is one best loss.
#include <gtest/gtest.h>

#include "train/compress/compress_fixture.h"

namespace tideline::compress {
namespace {

constexpr std::size_t kFeatures = 40, kWeights = kFeatures + 1, kSamples = 2000, kSenders = 4, kBatch = 10;
constexpr double kDecay = 1e-3;

struct Samples {
  std::vector<float> features;  // kFeatures of each
  std::vector<float> labels;    // 0 or 1
};

Samples make_samples() {
  Numbers random(2018);
  Samples samples;
  const auto truth = random.normals(kFeatures, 2);
  for (std::size_t i = 0; i < kSamples; ++i) {
    double z = 0.5;
    for (std::size_t j = 0; j < kFeatures; ++j) {
      const double scale = 3 * std::pow(10, -static_cast<double>(j) / (kFeatures - 1));
      samples.features.push_back(random.unit() < 0.1 ? static_cast<float>(scale * random.normal()) : 0.0F);
      z += static_cast<double>(truth[j]) * static_cast<double>(samples.features.back());
    }
    samples.labels.push_back(random.unit() < 1 / (1 + std::exp(-z)) ? 1 : 0);
  }
  return samples;
}

double score(const Samples& samples, std::size_t i, std::span<const float> weights) {
  double z = static_cast<double>(weights[kFeatures]);
  for (std::size_t j = 0; j < kFeatures; ++j)
    z += static_cast<double>(weights[j]) * static_cast<double>(samples.features[i * kFeatures + j]);
  return z;
}

// Mean loss with decay over samples from, from + 1 ..; adds its gradient to `gradient`, if there is room for one.
double loss_of(const Samples& samples, std::size_t from, std::size_t count, std::span<const float> weights,
               std::vector<float>* gradient) {
  std::vector<double> sum(kWeights);
  double loss = kDecay / 2 * squared_norm(weights);
  for (std::size_t i = from; i < from + count; ++i) {
    const double z = score(samples, i, weights), y = static_cast<double>(samples.labels[i]);
    loss += (std::log1p(std::exp(-std::abs(z))) + std::max(z, 0.0) - y * z) / static_cast<double>(count);
    const double slope = (1 / (1 + std::exp(-z)) - y) / static_cast<double>(count);
    for (std::size_t j = 0; j < kFeatures; ++j) sum[j] += slope * static_cast<double>(samples.features[i * kFeatures + j]);
    sum[kFeatures] += slope;
  }
  if (gradient != nullptr) {
    gradient->resize(kWeights);
    for (std::size_t j = 0; j < kWeights; ++j)
      (*gradient)[j] = static_cast<float>(sum[j] + kDecay * static_cast<double>(weights[j]));
  }
  return loss;
}

// The loss of all samples after `steps` synchronous steps of all senders.
double learn(const Samples& samples, const std::string& name, const std::vector<KeyValue>& keys, double rate = 4,
             int steps = 3000) {
  std::vector<std::unique_ptr<Compressor>> senders;
  for (std::size_t k = 0; k < kSenders; ++k) senders.push_back(made(name, keys, {{5, 8}, {1, 1}}));
  std::vector<float> weights(kWeights), gradient;
  for (int t = 0; t < steps; ++t) {
    std::vector<double> sum(kWeights);
    for (std::size_t k = 0; k < kSenders; ++k) {
      const std::size_t share = kSamples / kSenders, batch = static_cast<std::size_t>(t) % (share / kBatch);
      const double loss = loss_of(samples, k * share + batch * kBatch, kBatch, weights, &gradient);
      const auto sent =
          received(*senders[k], gradient, {.step = static_cast<std::uint64_t>(t), .seed = k, .loss = static_cast<float>(loss)});
      for (std::size_t j = 0; j < kWeights; ++j) sum[j] += static_cast<double>(sent[j]) / kSenders;
    }
    for (std::size_t j = 0; j < kWeights; ++j) weights[j] -= static_cast<float>(rate / (1 + t / 200.0) * sum[j]);
  }
  return loss_of(samples, 0, kSamples, weights, nullptr);
}

// Where the dense run ends, and with the same rate all others.
class Learning : public ::testing::Test {
 protected:
  // How far the loss is above the dense run's.
  double excess(const std::string& name, const std::vector<KeyValue>& keys) const { return learn(samples_, name, keys) - dense_; }

  const Samples samples_ = make_samples();
  const double dense_ = learn(samples_, "none", {});
};

TEST_F(Learning, TheDenseRunIsAtTheBestLoss) {
  EXPECT_NEAR(dense_, 0.387, 0.002);  // it begins at log 2 = 0.693
  EXPECT_NEAR(learn(samples_, "none", {}, 8), dense_, 1e-3);
}

TEST_F(Learning, OneBitNeedsItsErrorFeedback) {
  // A feature that no sample of the batch has gets the mean of the positive gradients of its row, at every step, if nothing
  // remembers it.
  for (const char* group : {"0", "40"}) {
    EXPECT_LT(std::abs(excess("one-bit", {{"group", group}})), 1e-3);
    EXPECT_GT(excess("one-bit", {{"group", group}, {"feedback", "0"}}), 0.08) << "nearly half of what there was to learn";
  }
}

TEST_F(Learning, TheLargestAloneNeedTheirErrorFeedback) {
  EXPECT_LT(std::abs(excess("top-k", {{"sparsity", "0.95"}})), 1e-3);
  EXPECT_GT(excess("top-k", {{"sparsity", "0.95"}, {"feedback", "0"}}), 0.015);
}

TEST_F(Learning, WhatRemembersReachesTheDenseLoss) {
  EXPECT_LT(std::abs(excess("fp16", {})), 1e-3);
  EXPECT_LT(std::abs(excess("strom", {{"threshold", "0.01"}})), 1e-3);
  EXPECT_LT(std::abs(excess("dgc", {{"sparsity", "0.95"}, {"momentum", "0"}})), 1e-3);
  EXPECT_LT(excess("dgc", {{"sparsity", "0.9"}, {"warmup_rounds", "100"}}),
            3e-3);  // its momentum makes the rate up to ten times larger
  EXPECT_LT(excess("esgd", {{"drop", "0.75"}}), 3e-3);
}

TEST_F(Learning, WhatKeepsTheMeanReachesTheDenseLossAndItsOwnNoise) {
  EXPECT_LT(excess("terngrad", {}), 5e-3);
  EXPECT_LT(excess("qsgd", {{"levels", "4"}}), 2e-3);
  EXPECT_LT(excess("wangni", {{"density", "0.2"}}), 5e-3);
  EXPECT_LT(excess("sketch", {}), 1e-2);
}

TEST_F(Learning, StructuredUpdatesTakeLongerAndGetThere) {
  EXPECT_LT(excess("low-rank", {{"rank", "1"}}), 5e-3);
  EXPECT_LT(excess("random-mask", {}), 5e-3);
}

}  // namespace
}  // namespace tideline::compress
