// Sketched updates: Konecny et al. 2016 (arXiv 1610.05492); the rotation also Suresh, Yu, Kumar, McMahan, "Distributed Mean
// Estimation with Limited Communication", ICML 2017. For each layer of n numbers h:
//
//   rotate (hadamard.h)      keep k = round(fraction n) of them at random, at least one      quantise to `bits`:
//   q = floor(r) + b, r = (2^bits - 1) (h - least) / (largest - least), P(b = 1) = r - floor(r)
//
// The receiver puts n / k times the numbers at their places, 0 elsewhere, and rotates back. Each of the three keeps the mean, so
// E[received] = h. With one bit this is the paper's probabilistic binary quantisation.
//
// Body: key (8 bytes); if there are bits, least and largest of each layer (float32); then all numbers kept, each in `bits` bits
// (zeros up to a byte) or as float32.
#include <algorithm>
#include <cmath>
#include <limits>

#include "train/compress/bits.h"
#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/hadamard.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

constexpr std::uint64_t kRotation = 1, kPlaces = 2;  // what a layer's draws are for

class Sketch final : public Compressor {
 public:
  Sketch(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kSketch), std::move(layers)),
        fraction_(settings.number("fraction")),
        bits_(static_cast<unsigned>(settings.count("bits"))),
        rotates_(settings.count("rotate") == 1) {}

 private:
  std::size_t count_of(const Layer& layer) const {
    const auto wanted = static_cast<std::size_t>(std::llround(fraction_ * static_cast<double>(layer.length())));
    return std::clamp<std::size_t>(wanted, 1, layer.length());
  }
  std::vector<std::uint32_t> places_of(std::uint64_t key, std::size_t l) const {
    return draw_positions(Draws(key_of({key, l, kPlaces})), layers()[l].length(), count_of(layers()[l]));
  }
  double steps() const { return static_cast<double>((1U << bits_) - 1); }

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    const std::uint64_t key = key_of({step.seed, step.step, number_of(Kind::kSketch)});
    append(out, key);
    std::vector<float> kept, rotated;
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      auto numbers = gradient.subspan(start, layers()[l].length());
      start += numbers.size();
      if (rotates_) {
        rotated.assign(numbers.begin(), numbers.end());
        rotate(rotated, key_of({key, l, kRotation}));
        numbers = rotated;
      }
      float least = std::numeric_limits<float>::max(), largest_kept = -least;
      for (const std::uint32_t place : places_of(key, l)) {
        kept.push_back(numbers[place]);
        least = std::min(least, numbers[place]);
        largest_kept = std::max(largest_kept, numbers[place]);
      }
      // Room for the receiver's n / k times as much, rotated.
      const double reach = std::max(std::abs(static_cast<double>(least)), std::abs(static_cast<double>(largest_kept)));
      if (!(reach * static_cast<double>(numbers.size()) < static_cast<double>(std::numeric_limits<float>::max())))
        return Error{ErrorCode::kInvalidArgument, "[compress] a sketch would be beyond a float's range: take a smaller rate"};
      if (bits_ == 0) continue;
      append(out, least);
      append(out, largest_kept);
      quantise(std::span(kept).last(count_of(layers()[l])), least, largest_kept, Draws(key_of({key, l})));
    }
    if (bits_ == 0) {
      append_all(out, std::span<const float>(kept));
      return {};
    }
    BitWriter bits(out);
    for (const float q : kept) bits.write(static_cast<std::uint64_t>(q), bits_);
    bits.finish();
    return {};
  }

  // Numbers become their q; 65535 is a float too.
  void quantise(std::span<float> numbers, float least, float largest_kept, const Draws& draws) const {
    const double range = static_cast<double>(largest_kept) - static_cast<double>(least);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double r = range > 0 ? steps() * ((static_cast<double>(numbers[i]) - static_cast<double>(least)) / range) : 0;
      const double whole = std::floor(r);
      numbers[i] = static_cast<float>(whole + (draws.unit(i) < r - whole ? 1 : 0));
    }
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    const auto key = reader.take<std::uint64_t>();
    const auto ranges = reader.take_bytes(bits_ == 0 ? 0 : layers().size() * 2 * sizeof(float));
    std::uint64_t kept = 0;
    for (const Layer& layer : layers()) kept += count_of(layer);
    const std::uint64_t kept_bytes = bits_ == 0 ? kept * sizeof(float) : (kept * bits_ + 7) / 8;
    if (!key || !ranges || reader.left().size() != kept_bytes) return corrupt("has more or fewer bytes than its numbers take");
    BitReader bits(reader.left());
    std::size_t start = 0, i = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const auto numbers = into.subspan(start, layers()[l].length());
      start += numbers.size();
      double least = 0, step = 1;
      if (bits_ > 0) {
        least = static_cast<double>(number_at<float>(*ranges, 2 * l));
        step = (static_cast<double>(number_at<float>(*ranges, 2 * l + 1)) - least) / steps();
        if (!std::isfinite(least) || !std::isfinite(step) || step < 0) return corrupt("has a range that is none");
      }
      const double scale = static_cast<double>(numbers.size()) / static_cast<double>(count_of(layers()[l]));
      for (const std::uint32_t place : places_of(*key, l)) {
        const double number =
            bits_ == 0 ? static_cast<double>(number_at<float>(reader.left(), i++)) : least + step * *bits.read(bits_);
        numbers[place] = static_cast<float>(scale * number);
      }
      if (rotates_) rotate_back(numbers, key_of({*key, l, kRotation}));
      if (std::any_of(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); }))
        return corrupt("has numbers that are not finite, or become so when they are rotated back");
    }
    if (bits_ > 0 && !bits.finish()) return corrupt("has bits behind its last number");
    return {};
  }

  double fraction_;
  unsigned bits_;
  bool rotates_;
};

}  // namespace

Made make_sketch(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Sketch>(std::move(layers), settings);
}

}  // namespace tideline::compress
