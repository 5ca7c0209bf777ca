// What the tests of this folder share: seeded gradients, and compressors without the Result around them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "train/compress/compressor.h"

namespace tideline::compress {

// The standard fixes the engine to the bit, but not its distributions.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : engine_(seed) {}
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  double normal() { return std::sqrt(-2 * std::log1p(-unit())) * std::cos(2 * 3.14159265358979323846 * unit()); }
  std::vector<float> normals(std::size_t count, double scale = 1) {
    std::vector<float> numbers(count);
    for (float& x : numbers) x = static_cast<float>(scale * normal());
    return numbers;
  }
  // Multiples of 2^-6 from -8 to 8: sums of thousands of them, and of what has eight bits, are exact in float32.
  std::vector<float> dyadic(std::size_t count) {
    std::vector<float> numbers(count);
    for (float& x : numbers) x = static_cast<float>(static_cast<int>(unit() * 1025) - 512) / 64;
    return numbers;
  }

 private:
  std::mt19937_64 engine_;
};

inline std::unique_ptr<Compressor> made(std::string_view name, const std::vector<KeyValue>& keys, std::vector<Layer> layers) {
  auto settings = parse_compressor(name, keys);
  EXPECT_TRUE(settings) << settings.error().message;
  auto compressor = make_compressor(*settings, std::move(layers));
  EXPECT_TRUE(compressor) << compressor.error().message;
  return std::move(*compressor);
}

inline std::vector<std::byte> encoded(Compressor& compressor, std::span<const float> gradient, const Step& step = {}) {
  auto bytes = compressor.encode(gradient, step);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes ? std::move(*bytes) : std::vector<std::byte>{};
}

inline std::vector<float> decoded(const Compressor& compressor, std::span<const std::byte> bytes) {
  std::vector<float> numbers(compressor.numbers());
  const Status status = compressor.decode(bytes, numbers);
  EXPECT_TRUE(status) << status.error().message;
  return numbers;
}

// What a receiver has of a gradient.
inline std::vector<float> received(Compressor& compressor, std::span<const float> gradient, const Step& step = {}) {
  return decoded(compressor, encoded(compressor, gradient, step));
}

// Array `index` of what a compressor remembers, out of its state. `lengths`: of the arrays.
inline std::vector<float> remembered(const Compressor& compressor, std::size_t index, std::size_t length) {
  const auto state = compressor.state();
  std::vector<float> numbers(length);
  std::memcpy(numbers.data(), state.data() + kUpdateHeadBytes + index * length * sizeof(float), length * sizeof(float));
  return numbers;
}

inline double squared_norm(std::span<const float> numbers) {
  double sum = 0;
  for (const float x : numbers) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

// Means of `count` receptions with different steps against `expected`, number by number: the largest distance in standard errors,
// by the variances given or, where there are none, by those of the sample. About 4 for thousands of numbers that are right.
struct MeanCheck {
  double largest_z = 0;
  double mean_square_error = 0;  // of one reception, all numbers together
};
inline MeanCheck check_mean(Compressor& compressor, std::span<const float> gradient, std::span<const double> expected,
                            std::span<const double> variances, int count) {
  std::vector<double> sums(gradient.size()), squares(gradient.size());
  MeanCheck check;
  for (int step = 0; step < count; ++step) {
    const auto numbers = received(compressor, gradient, {.step = static_cast<std::uint64_t>(step), .seed = 11});
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double x = static_cast<double>(numbers[i]);
      sums[i] += x;
      squares[i] += x * x;
      const double error = x - static_cast<double>(gradient[i]);
      check.mean_square_error += error * error / count;
    }
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double mean = sums[i] / count;
    const double variance = variances.empty() ? squares[i] / count - mean * mean : variances[i];
    const double tiny = 1e-12 + 1e-6 * std::abs(expected[i]);  // float32 rounding of what has no variance
    check.largest_z =
        std::max(check.largest_z, std::abs(mean - expected[i]) / (std::sqrt(std::max(0.0, variance) / count) + tiny));
  }
  return check;
}

inline std::vector<double> as_doubles(std::span<const float> numbers) { return {numbers.begin(), numbers.end()}; }

}  // namespace tideline::compress
