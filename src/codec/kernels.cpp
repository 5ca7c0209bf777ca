#include "codec/kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

// Compiled again for AVX2 and F16C; the bodies below are inlined into both.
#if defined(__x86_64__)
#define TIDELINE_AVX2 __attribute__((target("avx2,f16c")))
#endif
#define TIDELINE_BODY __attribute__((always_inline)) inline

namespace tideline::kernels {
namespace {

// As whole numbers: of those without a sign the larger float has the larger bits, of those with one the larger magnitude has, and
// infinities and NaN come after all others. So two maxima say everything, and every compiler vectorises them.
TIDELINE_BODY Range range_body(const float* from, std::size_t count) {
  std::int32_t highest = 0;            // 0.0
  std::uint32_t lowest = 0x80000000u;  // -0.0
#pragma omp simd reduction(max : highest, lowest)
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, from + i, sizeof bits);
    const auto sign_as_sign = static_cast<std::int32_t>(bits);
    highest = sign_as_sign > highest ? sign_as_sign : highest;
    lowest = bits > lowest ? bits : lowest;
  }
  Range range{.finite = highest < 0x7f800000 && lowest < 0xff800000u};
  std::memcpy(&range.high, &highest, sizeof range.high);
  std::memcpy(&range.low, &lowest, sizeof range.low);
  return range;
}

// 1.5 * 2^23: a float here has no fraction, so adding it rounds to a whole number as the processor rounds, ties to even, and that
// number stands in the low bits. No instruction of its own is needed, and every compiler vectorises it.
constexpr float kRounder = 12582912.0F;
constexpr std::int32_t kRounderBits = 0x4b400000;

TIDELINE_BODY void quantize_body(const float* __restrict from, std::size_t count, float inverse_scale, int zero_point,
                                 std::int8_t* __restrict to) {
  // Bounds before rounding: the sum below stays a byte.
  const float lowest = static_cast<float>(-128 - zero_point);
  const float highest = static_cast<float>(127 - zero_point);
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    float x = from[i] * inverse_scale;
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    x += kRounder;
    std::int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    to[i] = static_cast<std::int8_t>(bits - kRounderBits + zero_point);
  }
}

TIDELINE_BODY void dequantize_body(const std::int8_t* __restrict from, std::size_t count, float scale, int zero_point,
                                   float* __restrict to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(std::int32_t{from[i]} - zero_point) * scale;
}

// `? :` as arithmetic: compilers make a branch of it where one side costs something, and then no vectors.
TIDELINE_BODY std::uint32_t select(bool first, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(first);
  return (a & mask) | (b & ~mask);
}

TIDELINE_BODY std::uint16_t half_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // From 2^-14 on: the exponent's bias changes by 112, and 13 bits go; the carry of rounding may reach infinity.
  const std::uint32_t rounded = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const std::uint32_t normal = select(rounded > 0x7c00u, 0x7c00u, rounded);
  // Below: a float between 0.5 and 1 has steps of 2^-24, as a small float16 has.
  float shifted;
  std::memcpy(&shifted, &magnitude, sizeof shifted);
  shifted += 0.5F;
  std::uint32_t small;
  std::memcpy(&small, &shifted, sizeof small);
  small -= 0x3f000000u;
  const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  const std::uint32_t number = select(magnitude < 0x38800000u, small, normal);
  return static_cast<std::uint16_t>(sign | select(magnitude > 0x7f800000u, nan, number));
}

TIDELINE_BODY float float_of(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16;
  const std::uint32_t magnitude = std::uint32_t{half & 0x7fffu} << 13;
  const std::uint32_t normal = magnitude + (112u << 23);
  // 2^-14 (1 + m / 1024) - 2^-14: no small float32 is ever touched.
  const std::uint32_t raised = magnitude + 0x38800000u;
  float small;
  std::memcpy(&small, &raised, sizeof small);
  small -= 0x1p-14F;
  std::uint32_t small_bits;
  std::memcpy(&small_bits, &small, sizeof small_bits);
  // Infinity, or a NaN, which becomes quiet.
  const std::uint32_t special = 0x7f800000u | magnitude | select(magnitude > (0x1fu << 23), 0x400000u, 0u);
  const std::uint32_t number = select(magnitude < (1u << 23), small_bits, normal);
  const std::uint32_t bits = sign | select(magnitude >= (0x1fu << 23), special, number);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

TIDELINE_BODY void to_float16_body(const float* __restrict from, std::size_t count, std::uint16_t* __restrict to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = half_of(from[i]);
}
TIDELINE_BODY void from_float16_body(const std::uint16_t* __restrict from, std::size_t count, float* __restrict to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = float_of(from[i]);
}

#if defined(__x86_64__)
bool has_avx2() {
  // Not every compiler knows F16C by name.
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx2") != 0 && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  }();
  return has;
}

namespace avx2 {
TIDELINE_AVX2 Range range_of(const float* from, std::size_t count) { return range_body(from, count); }
TIDELINE_AVX2 void quantize(const float* __restrict from, std::size_t count, float inverse_scale, int zero_point,
                            std::int8_t* __restrict to) {
  quantize_body(from, count, inverse_scale, zero_point, to);
}
TIDELINE_AVX2 void dequantize(const std::int8_t* __restrict from, std::size_t count, float scale, int zero_point,
                              float* __restrict to) {
  dequantize_body(from, count, scale, zero_point, to);
}
TIDELINE_AVX2 void to_float16(const float* from, std::size_t count, std::uint16_t* to) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  to_float16_body(from + i, count - i, to + i);
}
TIDELINE_AVX2 void from_float16(const std::uint16_t* from, std::size_t count, float* to) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  from_float16_body(from + i, count - i, to + i);
}
}  // namespace avx2
#elif defined(__aarch64__)
// Part of every such processor, and what the compiler vectorises.
void neon_to_float16(const float* from, std::size_t count, std::uint16_t* to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    const __fp16 half = static_cast<__fp16>(from[i]);
    std::memcpy(to + i, &half, sizeof half);
  }
}
void neon_from_float16(const std::uint16_t* from, std::size_t count, float* to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    __fp16 half;
    std::memcpy(&half, from + i, sizeof half);
    to[i] = static_cast<float>(half);
  }
}
#endif

}  // namespace

namespace portable {
Range range_of(const float* from, std::size_t count) { return range_body(from, count); }
void quantize(const float* __restrict from, std::size_t count, float inverse_scale, int zero_point, std::int8_t* __restrict to) {
  quantize_body(from, count, inverse_scale, zero_point, to);
}
void dequantize(const std::int8_t* __restrict from, std::size_t count, float scale, int zero_point, float* __restrict to) {
  dequantize_body(from, count, scale, zero_point, to);
}
void to_float16(const float* from, std::size_t count, std::uint16_t* to) { to_float16_body(from, count, to); }
void from_float16(const std::uint16_t* from, std::size_t count, float* to) { from_float16_body(from, count, to); }
}  // namespace portable

#if defined(__x86_64__)
Range range_of(const float* from, std::size_t count) {
  return has_avx2() ? avx2::range_of(from, count) : portable::range_of(from, count);
}
void quantize(const float* __restrict from, std::size_t count, float inverse_scale, int zero_point, std::int8_t* __restrict to) {
  return (has_avx2() ? avx2::quantize : portable::quantize)(from, count, inverse_scale, zero_point, to);
}
void dequantize(const std::int8_t* __restrict from, std::size_t count, float scale, int zero_point, float* __restrict to) {
  return (has_avx2() ? avx2::dequantize : portable::dequantize)(from, count, scale, zero_point, to);
}
void to_float16(const float* from, std::size_t count, std::uint16_t* to) {
  return (has_avx2() ? avx2::to_float16 : portable::to_float16)(from, count, to);
}
void from_float16(const std::uint16_t* from, std::size_t count, float* to) {
  return (has_avx2() ? avx2::from_float16 : portable::from_float16)(from, count, to);
}
#else
Range range_of(const float* from, std::size_t count) { return portable::range_of(from, count); }
void quantize(const float* __restrict from, std::size_t count, float inverse_scale, int zero_point, std::int8_t* __restrict to) {
  portable::quantize(from, count, inverse_scale, zero_point, to);
}
void dequantize(const std::int8_t* __restrict from, std::size_t count, float scale, int zero_point, float* __restrict to) {
  portable::dequantize(from, count, scale, zero_point, to);
}
#if defined(__aarch64__)
void to_float16(const float* from, std::size_t count, std::uint16_t* to) { neon_to_float16(from, count, to); }
void from_float16(const std::uint16_t* from, std::size_t count, float* to) { neon_from_float16(from, count, to); }
#else
void to_float16(const float* from, std::size_t count, std::uint16_t* to) { portable::to_float16(from, count, to); }
void from_float16(const std::uint16_t* from, std::size_t count, float* to) { portable::from_float16(from, count, to); }
#endif
#endif

}  // namespace tideline::kernels
