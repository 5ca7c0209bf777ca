// How compressors() makes each of its entries; the numbers are those of bytes (docs/algorithms/compression.md) and never change.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "train/compress/compressor.h"

namespace tideline::compress {

enum class Kind : std::uint8_t {
  kNone = 0,
  kHalf = 1,
  kOneBit = 2,
  kTernGrad = 3,
  kQsgd = 4,
  kEsgd = 5,
  kDgc = 6,
  kWangni = 7,
  kStrom = 8,
  kTopK = 9,
  kLowRank = 10,
  kRandomMask = 11,
  kSketch = 12,
};
constexpr std::uint8_t number_of(Kind kind) { return static_cast<std::uint8_t>(kind); }

using Made = std::unique_ptr<Compressor>;
Made make_none(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_half(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_one_bit(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_terngrad(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_qsgd(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_esgd(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_dgc(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_wangni(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_strom(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_top_k(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_low_rank(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_random_mask(std::vector<Layer> layers, const CompressorSettings& settings);
Made make_sketch(std::vector<Layer> layers, const CompressorSettings& settings);

std::size_t numbers_of(const std::vector<Layer>& layers);
// `a + b`, number by number, each rounded to float once; kInvalidArgument when one is beyond a float's range.
Result<std::vector<float>> sum_of(std::span<const float> a, std::span<const float> b);
// Positions (in the whole array) of the `part` of each layer with the largest magnitudes, the earlier one of equals; one of each
// layer at least. Ascending.
std::vector<std::uint32_t> largest(const std::vector<Layer>& layers, std::span<const float> numbers, double part);

}  // namespace tideline::compress
