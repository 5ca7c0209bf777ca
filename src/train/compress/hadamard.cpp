#include "train/compress/hadamard.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "train/compress/draws.h"

namespace tideline::compress {
namespace {

constexpr std::size_t kBlock = 4096;

void flip_signs(std::span<float> numbers, std::uint64_t key) {
  const Draws draws(key);
  for (std::size_t i = 0; i < numbers.size(); i += 64) {
    const std::uint64_t signs = draws.bits(i / 64);
    for (std::size_t j = i; j < std::min(numbers.size(), i + 64); ++j)
      if ((signs >> (j - i) & 1) != 0) numbers[j] = -numbers[j];
  }
}

// Fast Walsh-Hadamard transform, over the root of its size: its own inverse. REQUIRES: a power of two.
void transform(std::span<float> block) {
  for (std::size_t half = 1; half < block.size(); half *= 2) {
    for (std::size_t start = 0; start < block.size(); start += 2 * half) {
      float* const a = block.data() + start;
      float* const b = a + half;
      for (std::size_t i = 0; i < half; ++i) {
        const float sum = a[i] + b[i];
        b[i] = a[i] - b[i];
        a[i] = sum;
      }
    }
  }
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(block.size())));
  for (float& x : block) x *= scale;
}

void transform_blocks(std::span<float> numbers) {
  while (!numbers.empty()) {
    const std::size_t size = std::min(kBlock, std::bit_floor(numbers.size()));
    transform(numbers.first(size));
    numbers = numbers.subspan(size);
  }
}

}  // namespace

void rotate(std::span<float> numbers, std::uint64_t key) {
  flip_signs(numbers, key);
  transform_blocks(numbers);
}

void rotate_back(std::span<float> numbers, std::uint64_t key) {
  transform_blocks(numbers);
  flip_signs(numbers, key);
}

}  // namespace tideline::compress
