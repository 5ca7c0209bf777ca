// TernGrad: Wen, Xu, Yan, Wu, Wang, Chen, Li, "TernGrad: Ternary Gradients to Reduce Communication in Distributed Deep Learning",
// NIPS 2017. For each layer:
//
//   c = g cut off at +- clip * sigma      s = max |c|      g~ = s sign(c) b,  P(b = 1) = |c| / s        so E[g~] = c
//
// sigma is the root of the mean of g^2: the deviation from 0, which the paper takes for the mean. With `Step::scales` s is what
// all senders share: then the sum of N senders is s times a whole number from -N to N.
//
// Body: for each layer s (float32), then five numbers in a byte, base 3, the first one lowest; 0, 1, 2 stand for 0, s, -s.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

constexpr std::size_t kTritsPerByte = 5;
constexpr unsigned kByteOfTritsMax = 242;  // 3^5 - 1

// Where numbers of a layer are cut off; the largest float: nowhere.
float cut_of(std::span<const float> numbers, double clip) {
  constexpr float kNowhere = std::numeric_limits<float>::max();
  if (clip == 0) return kNowhere;
  double squares = 0;
  for (const float x : numbers) squares += static_cast<double>(x) * static_cast<double>(x);
  return static_cast<float>(
      std::min(clip * std::sqrt(squares / static_cast<double>(numbers.size())), static_cast<double>(kNowhere)));
}

float scale_of_layer(std::span<const float> numbers, float cut) {
  float scale = 0;
  for (const float x : numbers) scale = std::max(scale, std::abs(x));
  return std::min(scale, cut);
}

class TernGrad final : public Compressor {
 public:
  TernGrad(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kTernGrad), std::move(layers)), clip_(settings.number("clip")) {}

 private:
  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    if (!step.scales.empty() && step.scales.size() != layers().size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[compress] terngrad has {} shared scales for {} layers", step.scales.size(), layers().size())};
    std::vector<unsigned> trits(gradient.size());
    const Draws draws(key_of({step.seed, step.step, number_of(Kind::kTernGrad)}));
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const auto numbers = gradient.subspan(start, layers()[l].length());
      const float cut = cut_of(numbers, clip_);
      float scale = scale_of_layer(numbers, cut);
      if (!step.scales.empty()) {
        if (!(step.scales[l] >= scale && std::isfinite(step.scales[l])))
          return Error{ErrorCode::kInvalidArgument,
                       fmt::format("[compress] terngrad's shared scale {} of layer {} is below the layer's own {}: share the "
                                   "largest of all senders",
                                   step.scales[l], l, scale)};
        scale = step.scales[l];
      }
      append(out, scale);
      for (std::size_t i = start; i < start + numbers.size(); ++i) {
        const float x = gradient[i];
        const bool is_sent = draws.unit(i) * static_cast<double>(scale) < static_cast<double>(std::min(std::abs(x), cut));
        trits[i] = is_sent ? (x > 0 ? 1 : 2) : 0;
      }
      start += numbers.size();
    }
    for (std::size_t i = 0; i < trits.size(); i += kTritsPerByte) {
      unsigned byte = 0;
      for (std::size_t j = std::min(trits.size(), i + kTritsPerByte); j > i; --j) byte = 3 * byte + trits[j - 1];
      append(out, static_cast<std::uint8_t>(byte));
    }
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    const std::size_t scales_bytes = layers().size() * sizeof(float);
    if (body.size() != scales_bytes + (into.size() + kTritsPerByte - 1) / kTritsPerByte)
      return corrupt("has more or fewer bytes than its scales and numbers take");
    std::size_t end = 0, i = 0;
    unsigned byte = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const auto scale = number_at<float>(body, l);
      if (!std::isfinite(scale) || std::signbit(scale)) return corrupt("has a scale that is no magnitude");
      const float values[3] = {0, scale, -scale};
      for (end += layers()[l].length(); i < end; ++i) {
        if (i % kTritsPerByte == 0) byte = static_cast<unsigned>(body[scales_bytes + i / kTritsPerByte]);
        if (byte > kByteOfTritsMax) return corrupt("has a byte that is not five of three");
        into[i] = values[byte % 3];
        byte /= 3;
      }
    }
    if (byte != 0) return corrupt("has something behind its last number");
    return {};
  }

  double clip_;
};

}  // namespace

std::vector<float> terngrad_scales(std::span<const Layer> layers, std::span<const float> gradient, double clip) {
  std::vector<float> scales;
  std::size_t start = 0;
  for (const Layer& layer : layers) {
    const auto numbers = gradient.subspan(start, layer.length());
    scales.push_back(scale_of_layer(numbers, cut_of(numbers, clip)));
    start += layer.length();
  }
  return scales;
}

Made make_terngrad(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<TernGrad>(std::move(layers), settings);
}

}  // namespace tideline::compress
