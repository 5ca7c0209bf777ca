// Structured updates by a random mask: Konecny et al. 2016 (arXiv 1610.05492). Numbers at places that are drawn anew for each
// sender and step; the receiver draws the same ones by the key. Nothing is made larger: a sender that confines each of its small
// steps learns these numbers alone.
//
// Of each layer round(fraction n) numbers, at least one. Body: key (8 bytes), then float32 in the order of their places.
#include <algorithm>
#include <cmath>

#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

class RandomMask final : public Compressor {
 public:
  RandomMask(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kRandomMask), std::move(layers)), fraction_(settings.number("fraction")) {}

  bool is_structured() const override { return true; }
  void confine(std::span<float> update, const Step& step) const override {
    std::size_t next = 0;
    for (const std::uint32_t place : places(key_of_step(step))) {
      for (; next < place; ++next) update[next] = 0;
      next = std::size_t{place} + 1;
    }
    for (; next < update.size(); ++next) update[next] = 0;
  }

 private:
  static std::uint64_t key_of_step(const Step& step) { return key_of({step.seed, step.step, number_of(Kind::kRandomMask)}); }
  std::size_t count_of(const Layer& layer) const {
    const auto wanted = static_cast<std::size_t>(std::llround(fraction_ * static_cast<double>(layer.length())));
    return std::clamp<std::size_t>(wanted, 1, layer.length());
  }
  std::vector<std::uint32_t> places(std::uint64_t key) const {
    std::vector<std::uint32_t> all;
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      for (const std::uint32_t place : draw_positions(Draws(key_of({key, l})), layers()[l].length(), count_of(layers()[l])))
        all.push_back(static_cast<std::uint32_t>(start + place));
      start += layers()[l].length();
    }
    return all;
  }

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    const std::uint64_t key = key_of_step(step);
    append(out, key);
    for (const std::uint32_t place : places(key)) append(out, gradient[place]);
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    const auto key = reader.take<std::uint64_t>();
    std::size_t count = 0;
    for (const Layer& layer : layers()) count += count_of(layer);
    if (!key || reader.left().size() != count * sizeof(float)) return corrupt("has more or fewer bytes than its numbers take");
    std::size_t i = 0;
    for (const std::uint32_t place : places(*key)) {
      into[place] = number_at<float>(reader.left(), i++);
      if (!std::isfinite(into[place])) return corrupt("has a number that is not finite");
    }
    return {};
  }

  double fraction_;
};

}  // namespace

Made make_random_mask(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<RandomMask>(std::move(layers), settings);
}

}  // namespace tideline::compress
