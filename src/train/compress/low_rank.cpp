// Structured updates of low rank: Konecny, McMahan, Yu, Richtarik, Suresh, Bacon, "Federated Learning: Strategies for Improving
// Communication Efficiency", 2016 (arXiv 1610.05492). H = A B with A (rows x rank) drawn anew for each sender and step and known
// to the receiver by its key, and B (rank x columns) learned and sent.
//
// A's columns are made orthonormal, so the B nearest to any H is A^T H, and confine() is H -> A A^T H: a sender that confines
// each of its small steps learns B alone. Layers whose smaller side is not above the rank (biases) are sent as they are.
//
// Body: key (8 bytes), rank (4 bytes), float32: for each layer B or the layer.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

// rank columns of `rows` numbers each, orthonormal: uniform draws, by Gram and Schmidt twice over. A column that depends on those
// before it is drawn again.
std::vector<double> basis(std::uint64_t key, std::size_t rows, std::size_t rank) {
  std::vector<double> columns(rows * rank);
  const Draws draws(key);
  std::uint64_t next = 0;
  for (std::size_t k = 0; k < rank;) {
    const std::span column(columns.data() + k * rows, rows);
    for (double& x : column) x = 2 * draws.unit(next++) - 1;
    const auto normalise = [&] {
      double squares = 0;
      for (const double x : column) squares += x * x;
      const double norm = std::sqrt(squares);
      if (norm < 1e-9) return false;
      for (double& x : column) x /= norm;
      return true;
    };
    bool is_new = normalise();
    for (int pass = 0; is_new && pass < 2; ++pass) {
      for (std::size_t j = 0; j < k; ++j) {
        const double* const other = columns.data() + j * rows;
        double dot = 0;
        for (std::size_t i = 0; i < rows; ++i) dot += column[i] * other[i];
        for (std::size_t i = 0; i < rows; ++i) column[i] -= dot * other[i];
      }
      is_new = normalise();
    }
    if (is_new) ++k;
  }
  return columns;
}

class LowRank final : public Compressor {
 public:
  LowRank(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kLowRank), std::move(layers)), rank_(static_cast<std::uint32_t>(settings.count("rank"))) {}

  bool is_structured() const override { return true; }
  void confine(std::span<float> update, const Step& step) const override {
    const std::uint64_t key = key_of_step(step);
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const auto numbers = update.subspan(start, layers()[l].length());
      if (is_factored(layers()[l])) {
        const std::vector<double> columns = basis(key_of({key, l}), layers()[l].rows, rank_);
        const std::vector<float> factor = project(layers()[l], columns, numbers);
        expand(layers()[l], columns, factor, numbers);
      }
      start += numbers.size();
    }
  }

 private:
  static std::uint64_t key_of_step(const Step& step) { return key_of({step.seed, step.step, number_of(Kind::kLowRank)}); }
  bool is_factored(const Layer& layer) const { return std::min(layer.rows, layer.columns) > rank_; }

  // A^T H.
  std::vector<float> project(const Layer& layer, const std::vector<double>& columns, std::span<const float> numbers) const {
    std::vector<float> factor(rank_ * layer.columns);
    std::vector<double> row(layer.columns);
    for (std::size_t k = 0; k < rank_; ++k) {
      std::fill(row.begin(), row.end(), 0.0);
      for (std::size_t i = 0; i < layer.rows; ++i) {
        const double a = columns[k * layer.rows + i];
        const float* const from = numbers.data() + i * layer.columns;
        for (std::size_t j = 0; j < layer.columns; ++j) row[j] += a * static_cast<double>(from[j]);
      }
      for (std::size_t j = 0; j < layer.columns; ++j) factor[k * layer.columns + j] = static_cast<float>(row[j]);
    }
    return factor;
  }

  // A B.
  void expand(const Layer& layer, const std::vector<double>& columns, std::span<const float> factor,
              std::span<float> into) const {
    std::vector<double> row(layer.columns);
    for (std::size_t i = 0; i < layer.rows; ++i) {
      std::fill(row.begin(), row.end(), 0.0);
      for (std::size_t k = 0; k < rank_; ++k) {
        const double a = columns[k * layer.rows + i];
        const float* const from = factor.data() + k * layer.columns;
        for (std::size_t j = 0; j < layer.columns; ++j) row[j] += a * static_cast<double>(from[j]);
      }
      for (std::size_t j = 0; j < layer.columns; ++j) into[i * layer.columns + j] = static_cast<float>(row[j]);
    }
  }

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    const std::uint64_t key = key_of_step(step);
    append(out, key);
    append(out, rank_);
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const auto numbers = gradient.subspan(start, layers()[l].length());
      start += numbers.size();
      if (!is_factored(layers()[l])) {
        append_all(out, numbers);
        continue;
      }
      const std::vector<float> factor = project(layers()[l], basis(key_of({key, l}), layers()[l].rows, rank_), numbers);
      if (std::any_of(factor.begin(), factor.end(), [](float x) { return !std::isfinite(x); }))
        return Error{ErrorCode::kInvalidArgument,
                     "[compress] a product of low-rank is beyond a float's range: take a smaller rate"};
      append_all(out, std::span(factor));
    }
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    const auto key = reader.take<std::uint64_t>();
    const auto rank = reader.take<std::uint32_t>();
    if (!key || !rank) return corrupt("ends before its key and rank");
    if (*rank != rank_) return corrupt(fmt::format("is of rank {}, expected {}", *rank, rank_));
    std::size_t sent = 0;
    for (const Layer& layer : layers()) sent += is_factored(layer) ? rank_ * layer.columns : layer.length();
    if (reader.left().size() != sent * sizeof(float)) return corrupt("has more or fewer bytes than its factors take");
    std::size_t start = 0;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const Layer& layer = layers()[l];
      const auto numbers = into.subspan(start, layer.length());
      start += numbers.size();
      std::vector<float> factor(is_factored(layer) ? rank_ * layer.columns : layer.length());
      const auto bytes = *reader.take_bytes(factor.size() * sizeof(float));
      std::memcpy(factor.data(), bytes.data(), bytes.size());
      if (is_factored(layer)) {
        expand(layer, basis(key_of({*key, l}), layer.rows, rank_), factor, numbers);
      } else {
        std::copy(factor.begin(), factor.end(), numbers.begin());
      }
      if (std::any_of(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); }))
        return corrupt("has numbers that are not finite, or whose product is not");
    }
    return {};
  }

  std::uint32_t rank_;
};

}  // namespace

Made make_low_rank(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<LowRank>(std::move(layers), settings);
}

}  // namespace tideline::compress
