// The loops over numbers. Each exists once as source and, where the processor may have more than its base, compiled for that too;
// which of them runs is decided at the call. All give the same bits.
//
// Not by target_clones: its resolvers run before a sanitizer is ready for them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tideline::kernels {

struct Range {
  float low = 0;       // at most 0
  float high = 0;      // at least 0
  bool finite = true;  // no NaN, no infinity; otherwise the two say nothing
};
// Of the numbers and 0.
Range range_of(const float* from, std::size_t count);

// q = clamp(round(x * inverse_scale) + zero_point, -128, 127), ties to even. REQUIRES: finite numbers.
void quantize(const float* from, std::size_t count, float inverse_scale, int zero_point, std::int8_t* to);
// x = (q - zero_point) * scale.
void dequantize(const std::int8_t* from, std::size_t count, float scale, int zero_point, float* to);

// IEEE 754 binary16, round to nearest, ties to even; a NaN keeps its sign and the upper bits of its payload, made quiet.
void to_float16(const float* from, std::size_t count, std::uint16_t* to);
void from_float16(const std::uint16_t* from, std::size_t count, float* to);

// Without anything beyond the base of the architecture: for the test that all agree.
namespace portable {
Range range_of(const float* from, std::size_t count);
void quantize(const float* from, std::size_t count, float inverse_scale, int zero_point, std::int8_t* to);
void dequantize(const std::int8_t* from, std::size_t count, float scale, int zero_point, float* to);
void to_float16(const float* from, std::size_t count, std::uint16_t* to);
void from_float16(const std::uint16_t* from, std::size_t count, float* to);
}  // namespace portable

}  // namespace tideline::kernels
