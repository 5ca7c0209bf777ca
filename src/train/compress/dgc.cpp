// Deep Gradient Compression: Lin, Han, Mao, Wang, Dally, ICLR 2018 (arXiv 1712.01887).
//
//   g cut off at the norm clip / sqrt(workers)      u = momentum u + g      v += u
//   send v where |v| is among the largest of its layer      there v = 0, and with masking u = 0
//
// The receiver subtracts rate * (the mean of what is sent) and has no momentum of its own. Warm-up: in its four parts
// 75, 93.75, 98.4375 and 99.609375 % are not sent, but never more than `sparsity` says.
//
// Body: positions and a float32 for each (bytes.h).
#include <algorithm>
#include <cmath>

#include "train/compress/bytes.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

class Dgc final : public Compressor {
 public:
  Dgc(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kDgc), layers, {numbers_of(layers), numbers_of(layers)}),
        density_(1 - settings.number("sparsity")),
        momentum_(static_cast<float>(settings.number("momentum"))),
        norm_max_(settings.number("clip") / std::sqrt(settings.number("workers"))),
        warmup_(settings.number("warmup_rounds")),
        has_masking_(settings.count("masking") == 1) {}

 private:
  double density(std::uint64_t step) const {
    const auto done = static_cast<double>(step);
    return done < warmup_ ? std::max(density_, std::pow(0.25, 1 + std::floor(4 * done / warmup_))) : density_;
  }

  float factor(std::span<const float> gradient) const {
    if (norm_max_ == 0) return 1;
    double squares = 0;
    for (const float x : gradient) squares += static_cast<double>(x) * static_cast<double>(x);
    const double norm = std::sqrt(squares);
    return norm > norm_max_ ? static_cast<float>(norm_max_ / norm) : 1.0F;
  }

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    std::vector<float>& velocity = memory_[0];
    const float clip = factor(gradient);
    std::vector<float> moved(gradient.size());
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = momentum_ * velocity[i] + clip * gradient[i];
    TIDELINE_TRY(std::vector<float> sum, sum_of(memory_[1], moved));
    const std::vector<std::uint32_t> positions = largest(layers(), sum, density(step.step));
    append_sparse(out, positions, sum);
    for (const std::uint32_t position : positions) {
      sum[position] = 0;
      if (has_masking_) moved[position] = 0;
    }
    velocity = std::move(moved);
    memory_[1] = std::move(sum);
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    TIDELINE_CHECK_OK(take_sparse(reader, into));
    if (!reader.left().empty()) return corrupt("has something behind its last number");
    return {};
  }

  double density_;
  float momentum_;
  double norm_max_;  // 0: any
  double warmup_;
  bool has_masking_;
};

}  // namespace

Made make_dgc(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Dgc>(std::move(layers), settings);
}

}  // namespace tideline::compress
