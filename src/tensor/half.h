// The two narrow floats, float16 (IEEE binary16) and bfloat16, to float and back. Pure; the same on every machine.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace tideline {

inline float float_from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

inline float float_from_float16(std::uint16_t bits) {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = bits >> 10 & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return mantissa != 0 ? std::nanf("") : sign * HUGE_VALF;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa | 0x400), exponent - 25);
}

// Rounded to the nearest, ties to even; beyond the largest float16 infinity, as IEEE 754 says.
inline std::uint16_t float16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00);
  const float magnitude = std::abs(value);
  if (magnitude >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7c00);
  // Below 2^-14 the steps are 2^-24; nearbyint rounds ties to even.
  if (magnitude < 0x1p-14F) return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1p24F)));
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127;
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));  // 1024 .. 2048
  return static_cast<std::uint16_t>(sign | (((exponent + 15) << 10) + (steps - 1024)));
}

}  // namespace tideline
