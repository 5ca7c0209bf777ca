// Goal: float16 goes to float and back without loss, and rounding is IEEE 754's. Method: all 65,536 patterns, and neighbours'
// middles.
#include "tensor/half.h"

#include <gtest/gtest.h>

namespace tideline {
namespace {

TEST(Half, EveryPatternSurvives) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = float_from_float16(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_float16(float16_from_float(value))));
    } else {
      EXPECT_EQ(float16_from_float(value), bits);
    }
  }
  EXPECT_EQ(float_from_float16(0x3c00), 1.0F);
  EXPECT_EQ(float_from_float16(0xc000), -2.0F);
  EXPECT_EQ(float_from_float16(0x7bff), 65504.0F);
  EXPECT_EQ(float_from_float16(0x0001), 0x1p-24F);
  EXPECT_EQ(float_from_bfloat16(0x3fc0), 1.5F);
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = float_from_float16(bits);
    const double high = float_from_float16(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    EXPECT_EQ(float16_from_float(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
    EXPECT_EQ(float16_from_float(std::nextafter(middle, 0.0F)), bits);
    EXPECT_EQ(float16_from_float(std::nextafter(middle, 1e9F)), bits + 1);
  }
  EXPECT_EQ(float16_from_float(65519.0F), 0x7bff);
  EXPECT_EQ(float16_from_float(65520.0F), 0x7c00);
  EXPECT_EQ(float16_from_float(-HUGE_VALF), 0xfc00);
}

}  // namespace
}  // namespace tideline
