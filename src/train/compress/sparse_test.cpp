// Top-k, DGC, Strom, eSGD, Wangni against references written straight from the papers, and against what they must conserve.
#include <algorithm>
#include <functional>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/compress/compress_fixture.h"

namespace tideline::compress {
namespace {

using ::testing::HasSubstr;

// The positions of the k largest magnitudes of a layer by sorting all of them.
std::vector<bool> mask_by_sorting(const std::vector<Layer>& layers, std::span<const float> numbers, double density) {
  std::vector<bool> mask(numbers.size());
  std::size_t start = 0;
  for (const Layer& layer : layers) {
    std::vector<std::size_t> order(layer.length());
    std::iota(order.begin(), order.end(), start);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return std::abs(numbers[a]) > std::abs(numbers[b]); });
    const auto count = std::max<long>(1, std::lround(density * static_cast<double>(layer.length())));
    for (long k = 0; k < count; ++k) mask[order[static_cast<std::size_t>(k)]] = true;
    start += layer.length();
  }
  return mask;
}

std::size_t count_sent(std::span<const float> numbers) {
  return static_cast<std::size_t>(std::count_if(numbers.begin(), numbers.end(), [](float x) { return x != 0; }));
}

TEST(TopK, SendsTheLargestAndRemembersTheRestExactly) {
  const std::vector<Layer> layers{{8, 40}, {1, 8}};
  const auto compressor = made("top-k", {{"sparsity", "0.95"}}, layers);
  Numbers random(1);
  std::vector<float> error(328);
  std::vector<double> in(328), out(328);
  for (std::uint64_t step = 0; step < 50; ++step) {
    const auto gradient = random.dyadic(328);  // many of the same magnitude
    std::vector<float> sum(328), expected(328);
    for (std::size_t i = 0; i < 328; ++i) sum[i] = gradient[i] + error[i];
    const auto mask = mask_by_sorting(layers, sum, 0.05);
    for (std::size_t i = 0; i < 328; ++i) {
      expected[i] = mask[i] ? sum[i] : 0;
      error[i] = mask[i] ? 0 : sum[i];
      in[i] += static_cast<double>(gradient[i]);
      out[i] += static_cast<double>(expected[i]);
    }
    ASSERT_EQ(received(*compressor, gradient, {.step = step}), expected);
    ASSERT_EQ(remembered(*compressor, 0, 328), error);
  }
  for (std::size_t i = 0; i < 328; ++i) EXPECT_EQ(out[i] + static_cast<double>(error[i]), in[i]);
}

TEST(TopK, WithoutFeedbackForgets) {
  const auto compressor = made("top-k", {{"sparsity", "0.5"}, {"feedback", "0"}}, {{1, 4}});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(received(*compressor, std::vector<float>{1, -4, 2, 3}), (std::vector<float>{0, -4, 0, 3}));
}

TEST(TopK, BytesAreANumberAndAboutElevenBitsEach) {
  constexpr std::size_t kLength = 200'000;
  const auto compressor = made("top-k", {{"sparsity", "0.999"}}, {{1, kLength}});
  const auto bytes = encoded(*compressor, Numbers(9).normals(kLength));
  EXPECT_LE(bytes.size(), kUpdateHeadBytes + 5 + 200 * 4 + 200 * 12 / 8);  // entropy: 11.4 bits for each position
}

struct DgcOptions {
  double density = 0.1;
  float momentum = 0.9F;
  bool masking = true;
  double clip = 0;
  double workers = 1;
};

// Algorithm 4 of the paper for one node, number by number.
class DgcReference {
 public:
  DgcReference(std::vector<Layer> layers, DgcOptions options, std::size_t numbers)
      : layers_(std::move(layers)), options_(options), u_(numbers), v_(numbers) {}

  std::vector<float> step(std::vector<float> gradient) {
    if (options_.clip > 0) {
      const double most = options_.clip / std::sqrt(options_.workers), norm = std::sqrt(squared_norm(gradient));
      if (norm > most)
        for (float& x : gradient) x *= static_cast<float>(most / norm);
    }
    for (std::size_t i = 0; i < u_.size(); ++i) {
      u_[i] = options_.momentum * u_[i] + gradient[i];
      v_[i] += u_[i];
    }
    const auto mask = mask_by_sorting(layers_, v_, options_.density);
    std::vector<float> sent(u_.size());
    for (std::size_t i = 0; i < u_.size(); ++i) {
      if (!mask[i]) continue;
      sent[i] = v_[i];
      v_[i] = 0;
      if (options_.masking) u_[i] = 0;
    }
    return sent;
  }
  void set_density(double density) { options_.density = density; }
  const std::vector<float>& u() const { return u_; }
  const std::vector<float>& v() const { return v_; }

 private:
  std::vector<Layer> layers_;
  DgcOptions options_;
  std::vector<float> u_, v_;
};

TEST(Dgc, IsThePapersAlgorithmToTheLastBit) {
  const std::vector<Layer> layers{{10, 30}, {1, 10}, {5, 10}};
  for (const bool masking : {true, false}) {
    for (const double clip : {0.0, 3.0}) {
      const auto compressor =
          made("dgc", {{"sparsity", "0.9"}, {"masking", masking ? "1" : "0"}, {"clip", std::to_string(clip)}, {"workers", "4"}},
               layers);
      DgcReference reference(layers, {.density = 1 - 0.9, .masking = masking, .clip = clip, .workers = 4}, 360);
      Numbers random(2);
      for (std::uint64_t step = 0; step < 60; ++step) {
        const auto gradient = random.normals(360);
        const auto sent = received(*compressor, gradient, {.step = step});
        ASSERT_EQ(sent, reference.step(gradient)) << step;
        ASSERT_EQ(remembered(*compressor, 0, 360), reference.u());
        ASSERT_EQ(remembered(*compressor, 1, 360), reference.v());
        for (std::size_t i = 0; i < 360; ++i)
          ASSERT_TRUE(sent[i] == 0 || (reference.v()[i] == 0 && (!masking || reference.u()[i] == 0)));
      }
    }
  }
}

TEST(Dgc, WhatIsSentAndWhatWaitsIsAllThatWasMoved) {
  // sum sent + v = sum u, exactly: momentum 1/2 and multiples of 2^-6 that are few enough for float32.
  const auto compressor = made("dgc", {{"sparsity", "0.75"}, {"momentum", "0.5"}, {"masking", "0"}}, {{1, 64}});
  Numbers random(3);
  std::vector<double> u(64), moved(64), sent(64);
  for (std::uint64_t step = 0; step < 12; ++step) {
    const auto gradient = random.dyadic(64);
    const auto numbers = received(*compressor, gradient, {.step = step});
    for (std::size_t i = 0; i < 64; ++i) {
      u[i] = 0.5 * u[i] + static_cast<double>(gradient[i]);
      moved[i] += u[i];
      sent[i] += static_cast<double>(numbers[i]);
    }
  }
  const auto v = remembered(*compressor, 1, 64);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(sent[i] + static_cast<double>(v[i]), moved[i]);
}

TEST(Dgc, SendingAllIsMomentumSgdWithoutMaskingAndPlainSgdWithIt) {
  for (const bool masking : {false, true}) {
    const auto compressor = made("dgc", {{"sparsity", "0"}, {"masking", masking ? "1" : "0"}}, {{1, 50}});
    Numbers random(4);
    std::vector<float> weights(50, 1), expected(50, 1), velocity(50);
    for (std::uint64_t step = 0; step < 40; ++step) {
      const auto gradient = random.normals(50);
      const auto sent = received(*compressor, gradient, {.step = step});
      for (std::size_t i = 0; i < 50; ++i) {
        weights[i] -= 0.1F * sent[i];
        velocity[i] = masking ? gradient[i] : 0.9F * velocity[i] + gradient[i];
        expected[i] -= 0.1F * velocity[i];
      }
      ASSERT_EQ(weights, expected) << step;
    }
  }
}

TEST(Dgc, WarmsUpInFourParts) {
  const auto sent_at = [](const char* sparsity, std::uint64_t step) {
    const auto compressor = made("dgc", {{"sparsity", sparsity}, {"warmup_rounds", "8"}}, {{1, 4096}});
    return count_sent(received(*compressor, Numbers(5).normals(4096), {.step = step}));
  };
  const std::vector<std::size_t> expected{1024, 1024, 256, 256, 64, 64, 16, 16, 4, 4};
  for (std::uint64_t step = 0; step < expected.size(); ++step) EXPECT_EQ(sent_at("0.999", step), expected[step]) << step;
  EXPECT_EQ(sent_at("0.9", 2), 410U);  // never fewer than the sparsity says
}

TEST(Strom, SendsStepsAndKeepsTheRestExactly) {
  const auto compressor = made("strom", {{"threshold", "0.5"}}, {{1, 300}});
  Numbers random(6);
  std::vector<double> in(300), out(300);
  std::vector<float> v(300);
  for (std::uint64_t step = 0; step < 100; ++step) {
    const auto gradient = random.dyadic(300);
    const auto sent = received(*compressor, gradient, {.step = step});
    for (std::size_t i = 0; i < 300; ++i) {
      v[i] += gradient[i];
      const float expected = v[i] > 0.5F ? 0.5F : v[i] < -0.5F ? -0.5F : 0.0F;
      ASSERT_EQ(sent[i], expected);
      v[i] -= expected;
      in[i] += static_cast<double>(gradient[i]);
      out[i] += static_cast<double>(sent[i]);
    }
  }
  EXPECT_EQ(remembered(*compressor, 0, 300), v);
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(out[i] + static_cast<double>(v[i]), in[i]);
}

TEST(Strom, TheThresholdItselfIsNotPassedAndHasEightBits) {
  const auto compressor = made("strom", {{"threshold", "0.01"}}, {{1, 3}});
  const float step = 0.010009765625F;  // 0.01 as bfloat16
  EXPECT_EQ(received(*compressor, std::vector<float>{step, 2 * step, -2 * step}), (std::vector<float>{0, step, -step}));
  EXPECT_EQ(remembered(*compressor, 0, 3), (std::vector<float>{step, step, -step}));
}

TEST(Esgd, SendsExactlyItsPartAndKeepsTheChoiceOnlyWhileTheLossFalls) {
  const auto compressor = made("esgd", {{"drop", "0.75"}}, {{10, 10}});
  Numbers random(7);
  const std::vector<float> losses{5, 4, 3, 3, 2.5F, 6, 5, 5.5F};
  std::vector<double> in(100), out(100);
  std::vector<float> chosen, weights(100, 1);
  for (std::uint64_t step = 0; step < losses.size(); ++step) {
    const auto gradient = random.dyadic(100);
    const auto numbers = received(*compressor, gradient, {.step = step, .seed = 2, .loss = losses[step]});
    const auto now = remembered(*compressor, 3, 100);
    EXPECT_EQ(std::accumulate(now.begin(), now.end(), 0.0F), 25);
    const bool falls = step > 0 && losses[step] < losses[step - 1];
    EXPECT_EQ(now == chosen, falls) << step;
    for (std::size_t i = 0; i < 100; ++i) {
      weights[i] += falls ? now[i] : 0;
      EXPECT_TRUE(now[i] == 1 || numbers[i] == 0);
      in[i] += static_cast<double>(gradient[i]);
      out[i] += static_cast<double>(numbers[i]);
    }
    EXPECT_EQ(remembered(*compressor, 2, 100), weights);
    chosen = now;
  }
  const auto residual = remembered(*compressor, 0, 100);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(out[i] + static_cast<double>(residual[i]), in[i]);
  EXPECT_THAT(compressor->encode(std::vector<float>(100), {.step = 9}).error().message, HasSubstr("needs the loss"));
}

TEST(Esgd, DrawsByWeight) {
  // One coordinate of two, with weights 1 and 4 (after three steps with falling loss): the second is drawn 4 of 5 times.
  int second = 0;
  constexpr int kDraws = 2000;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto compressor = made("esgd", {{"drop", "0.5"}}, {{1, 2}});
    std::uint64_t step = 0;
    for (const float loss : {5.0F, 4.0F, 3.0F, 2.0F}) encoded(*compressor, std::vector<float>{1, 1}, {step++, seed, loss, {}});
    const bool was_second = remembered(*compressor, 2, 2)[1] == 4;
    encoded(*compressor, std::vector<float>{1, 1}, {step, seed, 2.0F, {}});
    second += (remembered(*compressor, 3, 2)[1] == 1) == was_second ? 1 : 0;
  }
  EXPECT_NEAR(second, 0.8 * kDraws, 5 * std::sqrt(kDraws * 0.16));
}

// p of each number, from the magnitude that is sent.
std::vector<double> probabilities(std::span<const float> gradient, const std::vector<KeyValue>& keys) {
  const auto compressor = made("wangni", keys, {{1, gradient.size()}});
  const auto bytes = encoded(*compressor, gradient);
  float magnitude = 0;
  std::memcpy(&magnitude, bytes.data() + kUpdateHeadBytes, sizeof magnitude);
  std::vector<double> p;
  for (const float x : gradient)
    p.push_back(x == 0           ? 0
                : magnitude == 0 ? 1
                                 : std::min(1.0, std::abs(static_cast<double>(x)) / static_cast<double>(magnitude)));
  return p;
}
double second_moment(std::span<const float> gradient, const std::vector<double>& p) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    if (gradient[i] != 0) sum += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]) / p[i];
  return sum;
}

TEST(Wangni, EpsilonTakesTheFewestNumbersThatBruteForceFinds) {
  Numbers random(8);
  for (int round = 0; round < 12; ++round) {
    const auto gradient = random.normals(3);
    const double epsilon = 0.1 + 2 * random.unit(), most = (1 + epsilon) * squared_norm(gradient);
    const auto p = probabilities(gradient, {{"epsilon", std::to_string(epsilon)}});
    EXPECT_LE(second_moment(gradient, p), most * 1.000001);
    // Two probabilities on a grid, the third from the constraint: so every optimum is near a point of it.
    constexpr int kGrid = 600;
    double best = 3;
    for (int a = 1; a <= kGrid; ++a) {
      for (int b = 1; b <= kGrid; ++b) {
        const double pa = static_cast<double>(a) / kGrid, pb = static_cast<double>(b) / kGrid;
        const auto g2 = [&](std::size_t i) { return static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]); };
        const double left = most - g2(0) / pa - g2(1) / pb;
        if (left >= g2(2)) best = std::min(best, pa + pb + g2(2) / left);
      }
    }
    const double sum = p[0] + p[1] + p[2];
    EXPECT_LE(sum, best + 1e-6) << round;
    EXPECT_GE(sum, best - 0.02) << round;
  }
}

TEST(Wangni, EpsilonIsTheClosedFormOnLongVectors) {
  // p = min(lambda |g|, 1) with the constraint met exactly is optimal (convex; its conditions say so); no other lambda meets it.
  Numbers random(9);
  for (const char* epsilon : {"0.05", "0.5", "3", "50"}) {
    auto gradient = random.normals(500);
    gradient[3] = 0;
    const auto p = probabilities(gradient, {{"epsilon", epsilon}});
    EXPECT_NEAR(second_moment(gradient, p) / squared_norm(gradient), 1 + std::stod(epsilon), 1e-5 * (1 + std::stod(epsilon)));
  }
  const auto p = probabilities(std::vector<float>{2, 2, -2, 2}, {{"epsilon", "1"}});  // all alike: each every other time
  for (const double x : p) EXPECT_NEAR(x, 0.5, 1e-6);
}

TEST(Wangni, DensityIsTheGreedyAlgorithm) {
  Numbers random(10);
  for (const double density : {0.02, 0.1, 0.5}) {
    std::vector<float> gradient(400);
    for (float& x : gradient) x = static_cast<float>(std::pow(random.normal(), 3));  // a few large ones
    // Algorithm 3 as printed, on probabilities.
    std::vector<double> expected;
    double sum = 0;
    for (const float x : gradient) sum += std::abs(static_cast<double>(x));
    for (const float x : gradient) expected.push_back(std::min(1.0, density * 400 * std::abs(static_cast<double>(x)) / sum));
    for (int pass = 0; pass < 2; ++pass) {
      double below = 0, count = 0;
      for (const double p : expected)
        if (p < 1) below += p, count += 1;
      const double c = (density * 400 - 400 + count) / below;
      if (c <= 1) break;
      for (double& p : expected)
        if (p < 1) p = std::min(1.0, c * p);
    }
    const auto p = probabilities(gradient, {{"density", std::to_string(density)}});
    double total = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      EXPECT_NEAR(p[i], expected[i], 1e-6) << i;
      total += p[i];
    }
    EXPECT_LE(total, density * 400 + 1e-3);
  }
}

TEST(Wangni, IsUnbiasedWithTheVarianceItPromises) {
  std::vector<float> gradient = Numbers(11).normals(80);
  for (const auto& keys : {std::vector<KeyValue>{{"density", "0.2"}}, {{"epsilon", "1"}}}) {
    const auto p = probabilities(gradient, keys);
    std::vector<double> variances;  // g^2 (1 / p - 1)
    for (std::size_t i = 0; i < p.size(); ++i)
      variances.push_back(static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]) * (1 / p[i] - 1));
    const auto compressor = made("wangni", keys, {{1, 80}});
    const MeanCheck check = check_mean(*compressor, gradient, as_doubles(gradient), variances, 10000);
    EXPECT_LT(check.largest_z, 5);
    const double expected = std::accumulate(variances.begin(), variances.end(), 0.0);
    EXPECT_NEAR(check.mean_square_error, expected, 0.05 * expected);
  }
}

}  // namespace
}  // namespace tideline::compress
