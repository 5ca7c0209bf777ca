// 1-bit SGD with error feedback: Seide, Fu, Droppo, Li, Yu, "1-bit stochastic gradient descent and its application to
// data-parallel distributed training of speech DNNs", Interspeech 2014.
//
//   t = g + e      q = mean of the t >= 0 of the row where t >= 0, mean of the t < 0 where t < 0      e = t - q
//
// The paper's column of a matrix is a row here: what leads to one output. The two means are rounded to bfloat16, and e knows of
// it. t is rounded to float32 once, and so is t - q, which is exact while t is at least q / 2^15.
//
// Body: for each group two bfloat16 (of t >= 0, of t < 0), then a bit for each number (1: t >= 0), zeros up to a byte.
#include <algorithm>
#include <bit>
#include <cmath>

#include "tensor/half.h"
#include "train/compress/bytes.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

// To the nearest, ties to even; not beyond the largest finite one.
std::uint16_t bfloat16_near(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  const std::uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<std::uint16_t>((rounded & 0x7fff) >= 0x7f80 ? (rounded & 0x8000) | 0x7f7f : rounded);
}

struct Means {
  std::uint16_t high = 0;
  std::uint16_t low = 0;
};

Means means_of(std::span<const float> numbers) {
  double high = 0, low = 0;
  std::size_t highs = 0;
  for (const float x : numbers) {
    const bool is_high = x >= 0;
    high += is_high ? static_cast<double>(x) : 0.0;
    low += is_high ? 0.0 : static_cast<double>(x);
    highs += is_high ? 1 : 0;
  }
  Means means;
  if (highs > 0) means.high = bfloat16_near(high / static_cast<double>(highs));
  if (highs < numbers.size()) means.low = bfloat16_near(low / static_cast<double>(numbers.size() - highs));
  return means;
}

class OneBit final : public Compressor {
 public:
  OneBit(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kOneBit), layers, memory_lengths(layers, settings)) {
    const std::size_t group = settings.count("group");
    for (const Layer& layer : layers) {
      const std::size_t size = group == 0 ? layer.columns : group;
      for (std::size_t left = layer.length(); left > 0; left -= std::min(left, size)) groups_.push_back(std::min(left, size));
    }
  }

 private:
  static std::vector<std::size_t> memory_lengths(const std::vector<Layer>& layers, const CompressorSettings& settings) {
    if (settings.count("feedback") == 0) return {};
    return {numbers_of(layers)};
  }

  Status write(std::span<const float> gradient, const Step&, std::vector<std::byte>& out) override {
    std::vector<float> sum;
    if (!memory_.empty()) {
      TIDELINE_TRY(sum, sum_of(gradient, memory_[0]));
      gradient = sum;
    }
    const std::size_t bits_at = out.size() + groups_.size() * sizeof(Means);
    out.reserve(bits_at + (gradient.size() + 7) / 8);
    std::vector<std::byte> bits((gradient.size() + 7) / 8);
    std::size_t start = 0;
    for (const std::size_t size : groups_) {
      const Means means = means_of(gradient.subspan(start, size));
      append(out, means.high);
      append(out, means.low);
      for (std::size_t i = start; i < start + size; ++i)
        bits[i / 8] |= static_cast<std::byte>(static_cast<unsigned>(gradient[i] >= 0) << (i % 8));
      if (!memory_.empty()) {
        const float high = float_from_bfloat16(means.high), low = float_from_bfloat16(means.low);
        for (std::size_t i = start; i < start + size; ++i) memory_[0][i] = sum[i] - (sum[i] >= 0 ? high : low);
      }
      start += size;
    }
    append_all(out, std::span<const std::byte>(bits));
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    if (body.size() != groups_.size() * sizeof(Means) + (into.size() + 7) / 8)
      return corrupt("has more or fewer bytes than its groups and bits take");
    const auto bits = body.subspan(groups_.size() * sizeof(Means));
    if (into.size() % 8 != 0 && (static_cast<unsigned>(bits.back()) >> (into.size() % 8)) != 0)
      return corrupt("has bits behind its last number");
    std::size_t start = 0;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      const float high = float_from_bfloat16(number_at<std::uint16_t>(body, 2 * group));
      const float low = float_from_bfloat16(number_at<std::uint16_t>(body, 2 * group + 1));
      if (!std::isfinite(high) || !std::isfinite(low) || high < 0 || low > 0)
        return corrupt("has means that are not of numbers above and below 0");
      for (std::size_t i = start; i < start + groups_[group]; ++i)
        into[i] = (static_cast<unsigned>(bits[i / 8]) >> (i % 8) & 1) != 0 ? high : low;
      start += groups_[group];
    }
    return {};
  }

  std::vector<std::size_t> groups_;  // their sizes
};

}  // namespace

Made make_one_bit(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<OneBit>(std::move(layers), settings);
}

}  // namespace tideline::compress
