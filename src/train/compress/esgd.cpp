// eSGD: Tao and Li, "eSGD: Communication Efficient Distributed Deep Learning on the Edge", HotEdge 2018, as its abstract and the
// book chapter describe it (the page says what is read into it):
//
//   u = m u + g      r += u      S: as it was, with H += gain on it, if the loss has fallen; else drawn by the weights H without
//   putting back      send r on S      r = 0 on S
//
// S has exactly n - round(drop n) numbers, at least one. Each number is drawn with a key of -log(uniform) / H, and the least keys
// are taken (Efraimidis and Spirakis 2006).
//
// Body: positions and a float32 for each (bytes.h).
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

constexpr float kNoLoss = std::numeric_limits<float>::max();

class Esgd final : public Compressor {
 public:
  Esgd(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kEsgd), layers,
                   {numbers_of(layers), numbers_of(layers), numbers_of(layers), numbers_of(layers), 1}),
        gain_(static_cast<float>(settings.number("gain"))),
        momentum_(static_cast<float>(settings.number("momentum"))) {
    const auto dropped = static_cast<std::size_t>(std::llround(settings.number("drop") * static_cast<double>(numbers())));
    count_ = std::min(numbers(), std::max<std::size_t>(1, numbers() - dropped));
    std::fill(weights().begin(), weights().end(), 1.0F);
    memory_[4][0] = kNoLoss;
  }

 private:
  std::vector<float>& residual() { return memory_[0]; }
  std::vector<float>& velocity() { return memory_[1]; }
  std::vector<float>& weights() { return memory_[2]; }
  std::vector<float>& chosen() { return memory_[3]; }  // 1: in S; all 0 before the first step

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    if (!step.loss || !std::isfinite(*step.loss))
      return Error{ErrorCode::kInvalidArgument, "[compress] esgd needs the loss of each step, a finite number"};
    std::vector<float> moved(numbers());
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = momentum_ * velocity()[i] + gradient[i];
    TIDELINE_TRY(residual(), sum_of(residual(), moved));
    velocity() = std::move(moved);
    float& loss = memory_[4][0];
    const bool stays = *step.loss < loss && loss != kNoLoss;
    loss = std::min(*step.loss, std::nextafter(kNoLoss, 0.0F));
    if (stays) {
      for (std::size_t i = 0; i < numbers(); ++i)
        weights()[i] = std::min(weights()[i] + gain_ * chosen()[i], std::numeric_limits<float>::max());
    } else {
      draw(Draws(key_of({step.seed, step.step, number_of(Kind::kEsgd)})));
    }
    std::vector<std::uint32_t> positions;
    positions.reserve(count_);
    for (std::size_t i = 0; i < numbers(); ++i)
      if (chosen()[i] != 0) positions.push_back(static_cast<std::uint32_t>(i));
    append_sparse(out, positions, residual());
    for (const std::uint32_t position : positions) residual()[position] = 0;
    return {};
  }

  void draw(const Draws& draws) {
    std::vector<float> keys(numbers());
    for (std::size_t i = 0; i < keys.size(); ++i)
      keys[i] = static_cast<float>(-std::log1p(-draws.unit(i)) / static_cast<double>(weights()[i]));
    std::vector<std::uint32_t> order(numbers());
    std::iota(order.begin(), order.end(), 0U);
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count_) - 1, order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : a < b; });
    std::fill(chosen().begin(), chosen().end(), 0.0F);
    for (std::size_t k = 0; k < count_; ++k) chosen()[order[k]] = 1;
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    if (const auto count = number_at_start(body); count != count_) return corrupt("does not have as many numbers as esgd sends");
    TIDELINE_CHECK_OK(take_sparse(reader, into));
    if (!reader.left().empty()) return corrupt("has something behind its last number");
    return {};
  }
  static std::uint64_t number_at_start(std::span<const std::byte> body) {
    return Reader(body).take<std::uint32_t>().value_or(UINT32_MAX);
  }

  bool is_memory(const std::vector<std::vector<float>>& memory) const override {
    const auto& marks = memory[3];
    const auto marked = static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1.0F));
    const auto others = static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 0.0F));
    const bool has_loss = memory[4][0] != kNoLoss;
    return marked + others == marks.size() && marked == (has_loss ? count_ : 0) &&
           std::all_of(memory[2].begin(), memory[2].end(), [](float weight) { return weight >= 1; });
  }

  std::size_t count_ = 0;  // of numbers sent
  float gain_;
  float momentum_;
};

}  // namespace

Made make_esgd(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Esgd>(std::move(layers), settings);
}

}  // namespace tideline::compress
