// none and fp16.
#include <algorithm>
#include <array>
#include <cmath>

#include "codec/kernels.h"
#include "train/compress/bytes.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

constexpr std::size_t kPiece = 4096;
constexpr float kLargestHalf = 65504;

class None final : public Compressor {
 public:
  explicit None(std::vector<Layer> layers) : Compressor(number_of(Kind::kNone), std::move(layers)) {}

 private:
  Status write(std::span<const float> gradient, const Step&, std::vector<std::byte>& out) override {
    append_all(out, gradient);
    return {};
  }
  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    if (body.size() != into.size_bytes()) return corrupt("has more or fewer bytes than its numbers take");
    if (!body.empty()) std::memcpy(into.data(), body.data(), body.size());
    return {};
  }
  bool takes_any_number() const override { return true; }
};

// What float16 cannot hold becomes its largest number, so that a long step arrives as a long step and not as an infinity.
class Half final : public Compressor {
 public:
  explicit Half(std::vector<Layer> layers) : Compressor(number_of(Kind::kHalf), std::move(layers)) {}

 private:
  Status write(std::span<const float> gradient, const Step&, std::vector<std::byte>& out) override {
    std::array<float, kPiece> numbers;
    std::array<std::uint16_t, kPiece> halves;
    for (std::size_t at = 0; at < gradient.size(); at += kPiece) {
      const std::size_t count = std::min(kPiece, gradient.size() - at);
      for (std::size_t i = 0; i < count; ++i) {
        const float x = gradient[at + i];
        numbers[i] = std::isfinite(x) ? std::clamp(x, -kLargestHalf, kLargestHalf) : x;
      }
      kernels::to_float16(numbers.data(), count, halves.data());
      append_all(out, std::span<const std::uint16_t>(halves.data(), count));
    }
    return {};
  }
  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    if (body.size() != into.size() * sizeof(std::uint16_t)) return corrupt("has more or fewer bytes than its numbers take");
    std::array<std::uint16_t, kPiece> halves;
    for (std::size_t at = 0; at < into.size(); at += kPiece) {
      const std::size_t count = std::min(kPiece, into.size() - at);
      std::memcpy(halves.data(), body.data() + at * sizeof(std::uint16_t), count * sizeof(std::uint16_t));
      kernels::from_float16(halves.data(), count, into.data() + at);
    }
    return {};
  }
  bool takes_any_number() const override { return true; }
};

}  // namespace

Made make_none(std::vector<Layer> layers, const CompressorSettings&) { return std::make_unique<None>(std::move(layers)); }
Made make_half(std::vector<Layer> layers, const CompressorSettings&) { return std::make_unique<Half>(std::move(layers)); }

}  // namespace tideline::compress
