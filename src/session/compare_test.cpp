// Goal: nothing that is wrong passes as rounding, and rounding is not called wrong. Method: pairs of tensors of each type, one
// element apart by a known number.
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "session/compare.h"
#include "session/statistics.h"

namespace tideline {
namespace {

// System: two parts of which the slow one changes from request to request. Expectation: over the middle half the means of the
// parts add up to the mean of the sums; the medians of the parts (1 and 1) would leave 8 of each 10 unexplained.
TEST(MiddleHalf, LeavesOutBothEndsAndAddsUp) {
  const std::vector<double> first{1, 9, 1, 9, 1, 100, 1, 0};
  const std::vector<double> second{9, 1, 9, 1, 9, 100, 1, 0};
  std::vector<double> sums;
  for (std::size_t i = 0; i < first.size(); ++i) sums.push_back(first[i] + second[i]);
  const auto picks = middle_half(sums);
  EXPECT_EQ(picks.size(), 4u);
  double parts = 0;
  for (const std::size_t pick : picks) {
    EXPECT_EQ(sums[pick], 10);
    parts += first[pick] + second[pick];
  }
  EXPECT_EQ(parts, 40);
  EXPECT_EQ(middle_half({7}), std::vector<std::size_t>{0});
}

template <typename T>
Tensor tensor_of(DType dtype, std::vector<T> values) {
  return {{"y", dtype, {static_cast<std::int64_t>(values.size())}},
          Buffer::copy_of(std::as_bytes(std::span(values.data(), values.size())))};
}
template <typename T>
Difference differ(DType dtype, T a, T b) {
  return compare(tensor_of<T>(dtype, {T{0}, a}), tensor_of<T>(dtype, {T{0}, b}));
}

TEST(CompareTest, WholeNumbersAreEqualOrNot) {
  EXPECT_TRUE(differ<std::int64_t>(DType::kInt64, 5, 5).is_identical);
  const Difference apart = differ<std::int64_t>(DType::kInt64, 70'007, 70'000);
  EXPECT_FALSE(apart.is_within_tolerance);
  EXPECT_EQ(apart.absolute, 7);
  // The next whole number above what a double can count.
  constexpr std::int64_t kBig = std::int64_t{1} << 53;
  EXPECT_FALSE(differ<std::int64_t>(DType::kInt64, kBig + 1, kBig).is_within_tolerance);
  EXPECT_EQ(differ<std::int64_t>(DType::kInt64, kBig + 1, kBig).absolute, 1);
  // From one end to the other nothing overflows.
  const Difference ends =
      differ<std::int64_t>(DType::kInt64, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ends.absolute, std::ldexp(1.0, 64));
  EXPECT_FALSE(differ<std::int32_t>(DType::kInt32, -1, 1).is_within_tolerance);
  EXPECT_EQ(differ<std::int32_t>(DType::kInt32, -1, 1).absolute, 2);
  EXPECT_FALSE(differ<std::int16_t>(DType::kInt16, 1000, 1001).is_within_tolerance);
  EXPECT_FALSE(differ<std::int8_t>(DType::kInt8, -128, 127).is_within_tolerance);
  EXPECT_EQ(differ<std::int8_t>(DType::kInt8, -128, 127).absolute, 255);
  EXPECT_FALSE(differ<std::uint8_t>(DType::kUint8, 255, 254).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint16_t>(DType::kUint16, 1, 2).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint32_t>(DType::kUint32, 1, 2).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint64_t>(DType::kUint64, 1, 2).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint8_t>(DType::kBool, 1, 0).is_within_tolerance);
}

TEST(CompareTest, FloatsMayRound) {
  const Difference rounded = differ(DType::kFloat32, 100.0F, 100.001F);
  EXPECT_TRUE(rounded.is_within_tolerance);
  EXPECT_FALSE(rounded.is_identical);
  EXPECT_NEAR(rounded.relative, 1e-5, 1e-6);
  EXPECT_FALSE(differ(DType::kFloat32, 100.0F, 100.1F).is_within_tolerance);
  // Digits of its own: a double that is off like a float is wrong.
  EXPECT_FALSE(differ(DType::kFloat64, 100.0, 100.001).is_within_tolerance);
  EXPECT_TRUE(differ(DType::kFloat64, 100.0, 100.0 + 1e-12).is_within_tolerance);
  // One unit in the last place of 1 in both types of 16 bits; then a quarter more.
  EXPECT_TRUE(differ<std::uint16_t>(DType::kFloat16, 0x3c00, 0x3c01).is_within_tolerance);
  EXPECT_NEAR(differ<std::uint16_t>(DType::kFloat16, 0x3c00, 0x3c01).absolute, std::ldexp(1, -10), 1e-12);
  EXPECT_FALSE(differ<std::uint16_t>(DType::kFloat16, 0x3c00, 0x3d00).is_within_tolerance);
  EXPECT_TRUE(differ<std::uint16_t>(DType::kBfloat16, 0x3f80, 0x3f81).is_within_tolerance);
  EXPECT_NEAR(differ<std::uint16_t>(DType::kBfloat16, 0x3f80, 0x3f81).absolute, std::ldexp(1, -7), 1e-12);
  EXPECT_FALSE(differ<std::uint16_t>(DType::kBfloat16, 0x3f80, 0x3fa0).is_within_tolerance);
  // The smallest of them.
  EXPECT_NEAR(differ<std::uint16_t>(DType::kFloat16, 0x0001, 0x0002).absolute, std::ldexp(1, -24), 1e-15);
}

// Float32 outputs around a float16 body have the digits of the body.
TEST(CompareTest, ANarrowBodyMeansFewerDigits) {
  const Tensor a = tensor_of<float>(DType::kFloat32, {43.0F, 1.0F});
  const Tensor b = tensor_of<float>(DType::kFloat32, {43.0156F, 1.0F});
  EXPECT_FALSE(compare(a, b).is_within_tolerance);
  EXPECT_TRUE(compare(a, b, DType::kFloat16).is_within_tolerance);
  EXPECT_FALSE(
      compare(tensor_of<std::int64_t>(DType::kInt64, {43, 1}), tensor_of<std::int64_t>(DType::kInt64, {44, 1}), DType::kFloat16)
          .is_within_tolerance);
}

TEST(CompareTest, NotANumberAndInfinityAreNoRounding) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(differ(DType::kFloat32, kNaN, -kNaN).is_within_tolerance);
  EXPECT_FALSE(differ(DType::kFloat32, kNaN, 1.0F).is_within_tolerance);
  EXPECT_FALSE(differ(DType::kFloat32, 1.0F, kNaN).is_within_tolerance);
  EXPECT_FALSE(differ(DType::kFloat32, kInfinity, -kInfinity).is_within_tolerance);
  EXPECT_FALSE(differ(DType::kFloat32, 3e38F, kInfinity).is_within_tolerance);
  EXPECT_TRUE(differ(DType::kFloat32, 0.0F, -0.0F).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint16_t>(DType::kFloat16, 0x7c00, 0xfc00).is_within_tolerance);
  EXPECT_FALSE(differ<std::uint16_t>(DType::kBfloat16, 0x7fc0, 0x3f80).is_within_tolerance);
}

TEST(CompareTest, OtherShapesAndTypesAreUnlike) {
  const Tensor one = tensor_of<float>(DType::kFloat32, {1, 2});
  Tensor reshaped = tensor_of<float>(DType::kFloat32, {1, 2});
  reshaped.spec.shape = {1, 2};
  EXPECT_FALSE(compare(one, reshaped).is_within_tolerance);
  EXPECT_FALSE(compare(one, tensor_of<std::int32_t>(DType::kInt32, {1, 2})).is_within_tolerance);
  EXPECT_FALSE(compare(one, tensor_of<float>(DType::kFloat32, {1})).is_within_tolerance);
}

TEST(CompareTest, ARunIsAsGoodAsItsWorstTensor) {
  Verification verification;
  EXPECT_FALSE(verification.done);
  const Tensor one = tensor_of<float>(DType::kFloat32, {1, 2});
  verification.add(one, tensor_of<float>(DType::kFloat32, {1, 2}));
  EXPECT_TRUE(verification.done && verification.difference.is_identical);
  verification.add(one, tensor_of<float>(DType::kFloat32, {1, 3}));
  verification.add(one, tensor_of<float>(DType::kFloat32, {1, 2}));
  EXPECT_EQ(verification.outputs, 3u);
  EXPECT_FALSE(verification.difference.is_within_tolerance);
  EXPECT_EQ(verification.difference.absolute, 1);
}

TEST(CompareTest, ALossyPlanIsJudgedByTheToleranceOrNotAtAll) {
  const Tensor one = tensor_of<float>(DType::kFloat32, {1, 2});
  Verification verification;
  verification.add(one, tensor_of<float>(DType::kFloat32, {1, 2.1F}));
  EXPECT_FALSE(verification.holds());
  verification.lossy_codecs = {"int8"};
  EXPECT_TRUE(verification.is_unjudged() && verification.holds());
  verification.allowed = 0.01;
  EXPECT_FALSE(verification.is_unjudged() || verification.holds());
  verification.allowed = 0.1;
  EXPECT_TRUE(verification.holds());
  // Stricter than rounding, where somebody wants that.
  Verification strict;
  strict.allowed = 1e-9;
  strict.add(one, tensor_of<float>(DType::kFloat32, {1, 2.00001F}));
  EXPECT_TRUE(strict.difference.is_within_tolerance);
  EXPECT_FALSE(strict.holds());
  // No codec makes an answer of another shape.
  verification.allowed.reset();
  verification.add_unlike();
  EXPECT_FALSE(verification.is_unjudged() || verification.holds());
}

}  // namespace
}  // namespace tideline
