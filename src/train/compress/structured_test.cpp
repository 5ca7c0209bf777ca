// The rotation, and structured and sketched updates: orthonormality, unbiasedness, exactness of what can be sent, bytes.
#include <gtest/gtest.h>

#include "train/compress/bytes.h"
#include "train/compress/compress_fixture.h"
#include "train/compress/hadamard.h"

namespace tideline::compress {
namespace {

TEST(Rotation, IsOrthonormal) {
  // Its matrix, column by column, for a length that is no power of two: 44 = 32 + 8 + 4.
  constexpr std::size_t kLength = 44;
  std::vector<std::vector<float>> columns;
  for (std::size_t i = 0; i < kLength; ++i) {
    columns.emplace_back(kLength);
    columns.back()[i] = 1;
    rotate(columns.back(), 5);
  }
  for (std::size_t a = 0; a < kLength; ++a) {
    for (std::size_t b = 0; b < kLength; ++b) {
      double dot = 0;
      for (std::size_t i = 0; i < kLength; ++i) dot += static_cast<double>(columns[a][i]) * static_cast<double>(columns[b][i]);
      EXPECT_NEAR(dot, a == b ? 1 : 0, 1e-6);
    }
  }
  EXPECT_NEAR(std::abs(columns[0][31]), 1 / std::sqrt(32.0), 1e-6);  // spread over its block
}

TEST(Rotation, KeepsLengthsAndTurnsBack) {
  for (const std::size_t length : {1, 2, 63, 64, 4096, 10'007}) {
    const auto numbers = Numbers(length).normals(length);
    auto turned = numbers;
    rotate(turned, 9);
    EXPECT_NEAR(squared_norm(turned) / squared_norm(numbers), 1, 1e-5);
    auto other = numbers;
    rotate(other, 10);
    EXPECT_TRUE(length <= 2 || turned != other);
    rotate_back(turned, 9);
    for (std::size_t i = 0; i < length; ++i) ASSERT_NEAR(turned[i], numbers[i], 1e-5) << length;
  }
}

TEST(Rotation, SpreadsOneLargeNumber) {
  std::vector<float> numbers(4096);
  numbers[77] = 64;
  rotate(numbers, 1);
  for (const float x : numbers) EXPECT_NEAR(std::abs(x), 1, 1e-5);
}

TEST(Sketch, IsUnbiasedInEveryCombination) {
  auto gradient = Numbers(1).normals(50);
  gradient[7] = 8;
  for (const char* bits : {"0", "1", "3"}) {
    for (const char* fraction : {"1", "0.3"}) {
      for (const char* rotates : {"0", "1"}) {
        const auto compressor = made("sketch", {{"bits", bits}, {"fraction", fraction}, {"rotate", rotates}}, {{1, 30}, {1, 20}});
        EXPECT_LT(check_mean(*compressor, gradient, as_doubles(gradient), {}, 10000).largest_z, 5) << bits << fraction << rotates;
      }
    }
  }
}

TEST(Sketch, RotationHelpsWhereNumbersDiffer) {
  // A few large numbers among small ones: one range for all leaves the small ones a step of its width.
  auto gradient = Numbers(2).normals(4096, 0.01);
  for (std::size_t i = 0; i < 4096; i += 500) gradient[i] = 1;
  const auto error = [&](const char* rotates) {
    const auto compressor = made("sketch", {{"bits", "2"}, {"fraction", "1"}, {"rotate", rotates}}, {{1, 4096}});
    return check_mean(*compressor, gradient, as_doubles(gradient), {}, 20).mean_square_error;
  };
  EXPECT_LT(error("1") * 3, error("0"));
}

TEST(Sketch, BinaryIsTheLeastOrTheLargest) {
  const auto compressor = made("sketch", {{"bits", "1"}, {"fraction", "1"}, {"rotate", "0"}}, {{1, 100}});
  const auto gradient = Numbers(3).normals(100);
  const auto [least, largest] = std::minmax_element(gradient.begin(), gradient.end());
  for (const float x : received(*compressor, gradient)) EXPECT_TRUE(x == *least || x == *largest);
}

TEST(Sketch, BytesAreTheFormulas) {
  const std::vector<Layer> layers{{30, 101}, {1, 33}};
  const auto gradient = Numbers(4).normals(3063);
  const auto bytes = [&](const char* bits, const char* fraction) {
    return encoded(*made("sketch", {{"bits", bits}, {"fraction", fraction}}, layers), gradient).size() - kUpdateHeadBytes;
  };
  const std::size_t kept = 758 + 8;  // a quarter of each layer, rounded
  EXPECT_EQ(bytes("2", "0.25"), 8 + 2 * 8 + (2 * kept + 7) / 8);
  EXPECT_EQ(bytes("0", "0.25"), 8 + 4 * kept);
  EXPECT_EQ(bytes("5", "1"), 8U + 2 * 8 + (5 * 3063 + 7) / 8);
}

TEST(RandomMask, SendsWhatItConfinesToExactly) {
  const std::vector<Layer> layers{{10, 20}, {1, 10}};
  const auto compressor = made("random-mask", {{"fraction", "0.1"}}, layers);
  const auto gradient = Numbers(5).normals(210);
  std::vector<int> sent(210);
  for (std::uint64_t step = 0; step < 2000; ++step) {
    const Step now{.step = step, .seed = 4};
    auto confined = gradient;
    compressor->confine(confined, now);
    const auto bytes = encoded(*compressor, gradient, now);
    ASSERT_EQ(bytes.size(), kUpdateHeadBytes + 8 + 4 * 21);
    ASSERT_EQ(decoded(*compressor, bytes), confined);
    ASSERT_EQ(received(*compressor, confined, now), confined);
    for (std::size_t i = 0; i < 210; ++i) {
      if (confined[i] == 0) continue;
      ASSERT_EQ(confined[i], gradient[i]);
      ++sent[i];
    }
  }
  for (const int count : sent) EXPECT_NEAR(count, 200, 5 * std::sqrt(180));
}

TEST(LowRank, ProjectsOrthogonallyOnFewDimensions) {
  const std::vector<Layer> layers{{12, 17}, {1, 12}, {3, 40}};
  const auto compressor = made("low-rank", {{"rank", "3"}}, layers);
  const auto gradient = Numbers(6).normals(12 * 17 + 12 + 120);
  const Step now{.step = 8, .seed = 4};
  const auto bytes = encoded(*compressor, gradient, now);
  EXPECT_EQ(bytes.size(), kUpdateHeadBytes + 12 + 4 * (3 * 17 + 12 + 120));
  const auto back = decoded(*compressor, bytes);
  auto confined = gradient;
  compressor->confine(confined, now);
  const auto again = received(*compressor, confined, now);
  double dot = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(back[i], confined[i], 1e-6);
    EXPECT_NEAR(again[i], confined[i], 1e-5);  // what can be sent is sent
    dot += (static_cast<double>(gradient[i]) - static_cast<double>(back[i])) * static_cast<double>(back[i]);
    EXPECT_TRUE(i < 12 * 17 || back[i] == gradient[i]);  // a bias, and a layer of no more rows than the rank
  }
  EXPECT_NEAR(dot, 0, 1e-4);
  // Rank 3: Gram and Schmidt over the twelve rows leave three.
  std::vector<std::vector<double>> basis;
  for (std::size_t row = 0; row < 12; ++row) {
    std::vector<double> rest(back.begin() + static_cast<long>(17 * row), back.begin() + static_cast<long>(17 * row + 17));
    for (int pass = 0; pass < 2; ++pass) {
      for (const auto& other : basis) {
        double along = 0;
        for (std::size_t j = 0; j < 17; ++j) along += rest[j] * other[j];
        for (std::size_t j = 0; j < 17; ++j) rest[j] -= along * other[j];
      }
    }
    double norm = 0;
    for (const double x : rest) norm += x * x;
    if (norm < 1e-8) continue;
    for (double& x : rest) x /= std::sqrt(norm);
    basis.push_back(rest);
  }
  EXPECT_EQ(basis.size(), 3U);
}

TEST(LowRank, EveryDirectionIsDrawnAlike) {
  // E[A A^T] = rank / rows: over steps, `rows / rank` times what arrives averages to what was sent.
  const auto compressor = made("low-rank", {{"rank", "2"}}, {{6, 5}});
  const auto gradient = Numbers(7).normals(30);
  std::vector<double> expected;
  for (const float x : gradient) expected.push_back(static_cast<double>(x) * 2 / 6);
  EXPECT_LT(check_mean(*compressor, gradient, expected, {}, 10000).largest_z, 5);
}

TEST(Compressors, OthersConfineNothing) {
  const auto gradient = Numbers(8).normals(20);
  for (const char* name : {"none", "dgc", "sketch"}) {
    auto update = gradient;
    made(name, {}, {{1, 20}})->confine(update, {});
    EXPECT_EQ(update, gradient);
  }
}

}  // namespace
}  // namespace tideline::compress
