// Wangni, Wang, Liu, Zhang, "Gradient Sparsification for Communication-Efficient Distributed Optimization", NeurIPS 2018. A
// number is kept with a probability and made larger by as much, so E[sent] = g. The probabilities that send the fewest numbers
// for a variance are
//
//   p_i = min(lambda |g_i|, 1)
//
// with `epsilon`, lambda is the one at which sum g^2 / p = (1 + epsilon) sum g^2 (the paper's algorithm 2: sort, and find how
// many have p = 1); with `density`, the one that three passes of its algorithm 3 find: lambda = density n / sum |g|, then twice
// larger by c = (density n - n + m) / sum of the m probabilities below 1. Over the whole gradient: by layers, one number of a
// bias of ten would be sent every tenth step, at a hundred times its size.
//
// What is kept with p < 1 is sent as sign / lambda, all of one magnitude m = 1 / lambda (float32); p is computed as |g| / m from
// the m that is sent.
//
// Body: m (float32); the positions of p = 1 and a float32 for each; the other positions and a bit for each (1:
// below 0), zeros up to a byte.
#include <algorithm>
#include <cmath>
#include <limits>

#include "train/compress/bits.h"
#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

// 1 / lambda; 0: all are sent as they are.
double magnitude_by_density(std::span<const float> numbers, double density) {
  double sum = 0;
  for (const float x : numbers) sum += static_cast<double>(std::abs(x));
  const double wanted = density * static_cast<double>(numbers.size());
  if (sum == 0 || density >= 1) return 0;
  double magnitude = sum / wanted;
  for (int pass = 0; pass < 2; ++pass) {
    double below = 0;
    std::size_t saturated = 0;
    for (const float x : numbers) {
      const auto size = static_cast<double>(std::abs(x));
      if (size >= magnitude)
        ++saturated;
      else
        below += size;
    }
    const double left = wanted - static_cast<double>(saturated);
    if (below == 0 || left <= 0 || below / left >= magnitude) break;
    magnitude = below / left;
  }
  return magnitude;
}

// The paper sorts, and takes numbers to p = 1 from the largest down as long as they are above m = (epsilon G + Q) / S, where S
// and Q are the sums of |g| and g^2 over the others, G that of g^2 over all. Taking one above m away makes m smaller, so all that
// are above it can go at once, pass by pass, and the end is the same.
double magnitude_by_variance(std::span<const float> numbers, double epsilon) {
  std::vector<float> left(numbers.size());
  double all = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    left[i] = std::abs(numbers[i]);
    all += static_cast<double>(left[i]) * static_cast<double>(left[i]);
  }
  for (;;) {
    double sum = 0, squares = 0;
    for (const float x : left) {
      sum += static_cast<double>(x);
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    if (sum == 0) return 0;
    const double magnitude = (epsilon * all + squares) / sum;
    const auto kept = std::remove_if(left.begin(), left.end(), [&](float x) { return static_cast<double>(x) > magnitude; });
    if (kept == left.end()) return magnitude;
    left.erase(kept, left.end());
  }
}

class Wangni final : public Compressor {
 public:
  Wangni(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kWangni), std::move(layers)),
        density_(settings.number("density")),
        epsilon_(settings.number("epsilon")) {}

 private:
  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    const double wanted = epsilon_ > 0 ? magnitude_by_variance(gradient, epsilon_) : magnitude_by_density(gradient, density_);
    const auto magnitude = static_cast<float>(std::min(wanted, static_cast<double>(std::numeric_limits<float>::max())));
    const Draws draws(key_of({step.seed, step.step, number_of(Kind::kWangni)}));
    std::vector<std::uint32_t> whole, drawn;
    std::vector<std::byte> signs;
    BitWriter bits(signs);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const float size = std::abs(gradient[i]);
      if (size == 0) continue;
      if (size >= magnitude) {
        whole.push_back(static_cast<std::uint32_t>(i));
      } else if (draws.unit(i) * static_cast<double>(magnitude) < static_cast<double>(size)) {
        drawn.push_back(static_cast<std::uint32_t>(i));
        bits.write(gradient[i] < 0 ? 1 : 0, 1);
      }
    }
    bits.finish();
    append(out, magnitude);
    append_sparse(out, whole, gradient);
    append_positions(out, drawn, gradient.size());
    append_all(out, std::span<const std::byte>(signs));
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    const auto magnitude = reader.take<float>();
    if (!magnitude || !std::isfinite(*magnitude) || std::signbit(*magnitude)) return corrupt("has a magnitude that is none");
    TIDELINE_CHECK_OK(take_sparse(reader, into));
    TIDELINE_TRY(const std::vector<std::uint32_t> positions, take_positions(reader, into.size()));
    BitReader bits(reader.left());
    for (const std::uint32_t position : positions) {
      const auto is_negative = bits.read(1);
      if (!is_negative) return corrupt("ends within its signs");
      if (into[position] != 0) return corrupt("has a number twice");
      into[position] = *is_negative != 0 ? -*magnitude : *magnitude;
    }
    if (bits.finish() != reader.left().size()) return corrupt("has something behind its last sign");
    return {};
  }

  double density_;
  double epsilon_;
};

}  // namespace

Made make_wangni(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Wangni>(std::move(layers), settings);
}

}  // namespace tideline::compress
