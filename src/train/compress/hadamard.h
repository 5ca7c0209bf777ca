// A random rotation that takes n log n additions: signs drawn by a key, then Hadamard's matrix over the root of its size, in
// blocks of powers of two. Orthonormal, so lengths stay; what was one large number becomes many of like size, which quantise
// well.
//
// Blocks of 4096 as long as they fit, then what is left in the powers of two that it is the sum of: no number is added.
// Pure; thread-safe; the same on every machine.
#pragma once

#include <cstdint>
#include <span>

namespace tideline::compress {

void rotate(std::span<float> numbers, std::uint64_t key);
// To within rounding what rotate() was given.
void rotate_back(std::span<float> numbers, std::uint64_t key);

}  // namespace tideline::compress
