// Threshold quantisation: Strom, "Scalable distributed DNN training using commodity GPU cloud computing", Interspeech 2015.
//
//   v += g      send tau where v > tau, -tau where v < -tau      v -= what is sent
//
// One step for each number and gradient, however far v is above the threshold. tau is rounded to bfloat16, so that v - tau is
// exact as long as |v| <= 2^15 tau.
//
// Body: tau (bfloat16), the positions (bytes.h), then a bit for each (1: -tau), zeros up to a byte.
#include <bit>
#include <cmath>

#include "tensor/half.h"
#include "train/compress/bits.h"
#include "train/compress/bytes.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

class Strom final : public Compressor {
 public:
  Strom(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kStrom), layers, {numbers_of(layers)}) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(settings.number("threshold")));
    threshold_bits_ = static_cast<std::uint16_t>((bits + 0x8000) >> 16);
    threshold_ = float_from_bfloat16(threshold_bits_);
  }

 private:
  Status write(std::span<const float> gradient, const Step&, std::vector<std::byte>& out) override {
    TIDELINE_TRY(memory_[0], sum_of(gradient, memory_[0]));
    std::vector<std::uint32_t> positions;
    std::vector<std::byte> signs;
    BitWriter bits(signs);
    for (std::size_t i = 0; i < numbers(); ++i) {
      float& v = memory_[0][i];
      if (!(std::abs(v) > threshold_)) continue;
      positions.push_back(static_cast<std::uint32_t>(i));
      bits.write(v < 0 ? 1 : 0, 1);
      v -= std::copysign(threshold_, v);
    }
    bits.finish();
    append(out, threshold_bits_);
    append_positions(out, positions, numbers());
    append_all(out, std::span<const std::byte>(signs));
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    if (reader.take<std::uint16_t>() != threshold_bits_) return corrupt("is of another threshold");
    TIDELINE_TRY(const std::vector<std::uint32_t> positions, take_positions(reader, into.size()));
    BitReader bits(reader.left());
    for (const std::uint32_t position : positions) {
      const auto is_negative = bits.read(1);
      if (!is_negative) return corrupt("ends within its signs");
      into[position] = *is_negative != 0 ? -threshold_ : threshold_;
    }
    if (bits.finish() != reader.left().size()) return corrupt("has something behind its last sign");
    return {};
  }

  std::uint16_t threshold_bits_ = 0;
  float threshold_ = 0;
};

}  // namespace

Made make_strom(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Strom>(std::move(layers), settings);
}

}  // namespace tideline::compress
