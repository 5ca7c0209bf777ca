#include "session/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace tideline {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr Difference kUnlike{.is_identical = false, .absolute = kInfinite, .relative = kInfinite, .is_within_tolerance = false};

// The numbers of 16 bits as they are: sign, exponent of `exponent_bits`, the rest is the fraction.
template <int kExponentBits>
double value_of_half(std::uint16_t bits) {
  constexpr int kFractionBits = 15 - kExponentBits;
  constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  const int exponent = (bits >> kFractionBits) & ((1 << kExponentBits) - 1);
  const int fraction = bits & ((1 << kFractionBits) - 1);
  double value = 0;
  if (exponent == (1 << kExponentBits) - 1)
    value = fraction == 0 ? kInfinite : std::numeric_limits<double>::quiet_NaN();
  else if (exponent == 0)
    value = std::ldexp(fraction, 1 - kBias - kFractionBits);
  else
    value = std::ldexp(fraction + (1 << kFractionBits), exponent - kBias - kFractionBits);
  return (bits & 0x8000) != 0 ? -value : value;
}

template <typename T>
double value_at(const Tensor& tensor, std::size_t i) {
  T value;
  std::memcpy(&value, tensor.data.data() + i * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}
double float16_at(const Tensor& tensor, std::size_t i) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, tensor.data.data() + i * sizeof bits, sizeof bits);
  return value_of_half<5>(bits);
}
double bfloat16_at(const Tensor& tensor, std::size_t i) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, tensor.data.data() + i * sizeof bits, sizeof bits);
  return value_of_half<8>(bits);
}

template <typename ValueAt>
Difference compare_rounded(const Tensor& reference, const Tensor& output, std::size_t count, const Tolerance& tolerance,
                           ValueAt value_at) {
  Difference difference{.is_identical = false};
  double magnitude = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double a = value_at(reference, i);
    const double b = value_at(output, i);
    if (std::isfinite(a)) magnitude = std::max(magnitude, std::abs(a));
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return kUnlike;
    difference.absolute = std::max(difference.absolute, std::abs(a - b));
  }
  if (difference.absolute > 0) difference.relative = magnitude > 0 ? difference.absolute / magnitude : kInfinite;
  difference.is_within_tolerance = difference.absolute <= tolerance.absolute + tolerance.relative * magnitude;
  return difference;
}

// Whole numbers as they are: a double cannot tell 2^53 + 1 from 2^53.
template <typename T>
Difference compare_whole(const Tensor& reference, const Tensor& output, std::size_t count) {
  Difference difference{.is_identical = false, .is_within_tolerance = false};
  double magnitude = 0;
  for (std::size_t i = 0; i < count; ++i) {
    T a;
    T b;
    std::memcpy(&a, reference.data.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&b, output.data.data() + i * sizeof(T), sizeof(T));
    magnitude = std::max(magnitude, std::abs(static_cast<double>(a)));
    if (a == b) continue;
    // The difference is taken among unsigned numbers, where it cannot overflow.
    const std::uint64_t apart = a > b ? static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b)
                                      : static_cast<std::uint64_t>(b) - static_cast<std::uint64_t>(a);
    difference.absolute = std::max(difference.absolute, static_cast<double>(apart));
  }
  difference.relative = magnitude > 0 ? difference.absolute / magnitude : kInfinite;
  return difference;
}

}  // namespace

Tolerance tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return {1e-12, 1e-14};
    case DType::kFloat32: return {1e-4, 1e-6};
    case DType::kFloat16: return {1e-2, 1e-3};
    case DType::kBfloat16: return {5e-2, 1e-2};
    default: return {};
  }
}

void Difference::merge(const Difference& other) {
  is_identical = is_identical && other.is_identical;
  absolute = std::max(absolute, other.absolute);
  relative = std::max(relative, other.relative);
  is_within_tolerance = is_within_tolerance && other.is_within_tolerance;
}

namespace {

bool is_float(DType dtype) { return tolerance_of(dtype).relative > 0; }

Tolerance tolerance_of(DType dtype, DType narrowest) {
  if (!is_float(dtype) || !is_float(narrowest)) return tolerance_of(dtype);
  const Tolerance own = tolerance_of(dtype);
  const Tolerance inner = tolerance_of(narrowest);
  return inner.relative > own.relative ? inner : own;
}

}  // namespace

Difference compare(const Tensor& reference, const Tensor& output, DType narrowest) {
  if (reference.spec.dtype != output.spec.dtype || reference.spec.shape != output.spec.shape ||
      reference.data.size() != output.data.size())
    return kUnlike;
  if (reference.data.empty() || std::memcmp(reference.data.data(), output.data.data(), reference.data.size()) == 0) return {};
  const std::size_t element = element_bytes(reference.spec.dtype);
  const std::size_t count = element == 0 ? 0 : reference.data.size() / element;
  const Tolerance tolerance = tolerance_of(reference.spec.dtype, narrowest);
  switch (reference.spec.dtype) {
    case DType::kFloat32: return compare_rounded(reference, output, count, tolerance, value_at<float>);
    case DType::kFloat64: return compare_rounded(reference, output, count, tolerance, value_at<double>);
    case DType::kFloat16: return compare_rounded(reference, output, count, tolerance, float16_at);
    case DType::kBfloat16: return compare_rounded(reference, output, count, tolerance, bfloat16_at);
    case DType::kInt64: return compare_whole<std::int64_t>(reference, output, count);
    case DType::kInt32: return compare_whole<std::int32_t>(reference, output, count);
    case DType::kInt16: return compare_whole<std::int16_t>(reference, output, count);
    case DType::kInt8: return compare_whole<std::int8_t>(reference, output, count);
    case DType::kUint64: return compare_whole<std::uint64_t>(reference, output, count);
    case DType::kUint32: return compare_whole<std::uint32_t>(reference, output, count);
    case DType::kUint16: return compare_whole<std::uint16_t>(reference, output, count);
    case DType::kUint8: return compare_whole<std::uint8_t>(reference, output, count);
    // Of the other types only equal bits count.
    default: return kUnlike;
  }
}

void Verification::add(const Tensor& reference, const Tensor& output) {
  done = true;
  ++outputs;
  difference.merge(compare(reference, output, narrowest));
  tolerance = std::max(tolerance, tolerance_of(reference.spec.dtype, narrowest).relative);
}

void Verification::add_unlike() {
  done = true;
  difference.merge(kUnlike);
}

}  // namespace tideline
