// Goal: the loops give the same bits on every path, and what IEEE 754 and the formulas say. Method: all 65536 float16 numbers,
// the floats around them, and random bits, against the scalar half.h and against long-hand arithmetic.
#include "codec/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/half.h"

namespace tideline {
namespace {

bool is_nan(std::uint16_t half) { return (half & 0x7fff) > 0x7c00; }

// Random bits: every exponent, infinities and NaN among them.
std::vector<float> any_floats(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> numbers(count);
  for (float& x : numbers) x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  return numbers;
}

// Each float16 number, both its neighbours among the floats, and the middles to the next one and their neighbours: all ties.
std::vector<float> floats_around_halves() {
  std::vector<float> numbers;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float here = float_from_float16(static_cast<std::uint16_t>(bits));
    const float next = float_from_float16(static_cast<std::uint16_t>(bits + 1));
    for (const float x : {here, (here + next) / 2})
      for (const float y : {x, std::nextafterf(x, HUGE_VALF), std::nextafterf(x, -HUGE_VALF)}) numbers.push_back(y);
  }
  for (const float x : {65504.0F, 65519.99F, 65520.0F, 65536.0F, 1e30F, -65520.0F, 0x1p-25F, 0x1.000002p-25F, 1e-45F, -0.0F})
    numbers.push_back(x);
  return numbers;
}

TEST(Kernels, Float16IsTheScalarConversionForEveryHalfAndEveryTie) {
  for (const std::vector<float>& numbers : {floats_around_halves(), any_floats(1 << 20, 7)}) {
    std::vector<std::uint16_t> halves(numbers.size());
    std::vector<std::uint16_t> portable(numbers.size());
    kernels::to_float16(numbers.data(), numbers.size(), halves.data());
    kernels::portable::to_float16(numbers.data(), numbers.size(), portable.data());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      ASSERT_EQ(halves[i], portable[i]) << numbers[i];
      const std::uint16_t expected = float16_from_float(numbers[i]);
      if (is_nan(expected))
        ASSERT_TRUE(is_nan(halves[i])) << std::bit_cast<std::uint32_t>(numbers[i]);
      else
        ASSERT_EQ(halves[i], expected) << numbers[i];
    }
  }
}

TEST(Kernels, EveryHalfComesBack) {
  std::vector<std::uint16_t> halves(0x10000);
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) halves[bits] = static_cast<std::uint16_t>(bits);
  std::vector<float> floats(halves.size());
  std::vector<float> portable(halves.size());
  kernels::from_float16(halves.data(), halves.size(), floats.data());
  kernels::portable::from_float16(halves.data(), halves.size(), portable.data());
  EXPECT_EQ(std::memcmp(floats.data(), portable.data(), floats.size() * sizeof(float)), 0);
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    if (is_nan(halves[bits]))
      ASSERT_TRUE(std::isnan(floats[bits]));
    else
      ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[bits]), std::bit_cast<std::uint32_t>(float_from_float16(halves[bits])));
  }
}

TEST(Kernels, ARangeHoldsZeroAndNoticesWhatIsNotFinite) {
  std::mt19937_64 random(3);
  for (const std::size_t count : {0U, 1U, 7U, 8U, 33U, 1000U}) {
    std::vector<float> numbers(count);
    float low = 0;
    float high = 0;
    for (float& x : numbers) {
      x = static_cast<float>(static_cast<int>(random() % 2001) - 1500);
      low = std::min(low, x);
      high = std::max(high, x);
    }
    for (const auto& range : {kernels::range_of(numbers.data(), count), kernels::portable::range_of(numbers.data(), count)}) {
      EXPECT_EQ(range.low, low);
      EXPECT_EQ(range.high, high);
      EXPECT_TRUE(range.finite);
    }
    for (const float bad : {HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::quiet_NaN()}) {
      if (count == 0) break;
      const std::size_t at = random() % count;
      const float kept = std::exchange(numbers[at], bad);
      EXPECT_FALSE(kernels::range_of(numbers.data(), count).finite) << count << " at " << at;
      EXPECT_FALSE(kernels::portable::range_of(numbers.data(), count).finite);
      numbers[at] = kept;
    }
    if (count > 0) numbers[count - 1] = std::numeric_limits<float>::max();
    EXPECT_TRUE(kernels::range_of(numbers.data(), count).finite);
  }
}

TEST(Kernels, QuantizingRoundsToTheNearestAndTiesToEven) {
  std::mt19937_64 random(5);
  std::vector<float> numbers;
  for (int i = 0; i < 10'000; ++i) numbers.push_back(static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 8);
  for (const float x : {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 3e38F, -3e38F, 0.0F}) numbers.push_back(x);
  std::vector<std::int8_t> fast(numbers.size());
  std::vector<std::int8_t> slow(numbers.size());
  std::vector<float> back(numbers.size());
  std::vector<float> back_slow(numbers.size());
  for (const int zero_point : {-128, -5, 0, 100, 127}) {
    for (const float inverse : {1.0F, 0.37F, 4.0F}) {
      kernels::quantize(numbers.data(), numbers.size(), inverse, zero_point, fast.data());
      kernels::portable::quantize(numbers.data(), numbers.size(), inverse, zero_point, slow.data());
      ASSERT_EQ(fast, slow);
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const double rounded = std::nearbyint(static_cast<double>(numbers[i] * inverse)) + zero_point;
        ASSERT_EQ(fast[i], static_cast<int>(std::clamp(rounded, -128.0, 127.0))) << numbers[i] << " * " << inverse;
      }
      kernels::dequantize(fast.data(), fast.size(), 0.3F, zero_point, back.data());
      kernels::portable::dequantize(fast.data(), fast.size(), 0.3F, zero_point, back_slow.data());
      ASSERT_EQ(back, back_slow);
      for (std::size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i], static_cast<float>(fast[i] - zero_point) * 0.3F);
    }
  }
}

}  // namespace
}  // namespace tideline
