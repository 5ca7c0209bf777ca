// A learner of a few numbers for tests: least squares, whose gradient anybody can write down, with one buffer that counts steps.
#pragma once

#include <random>
#include <vector>

#include "train/strategy/learner.h"

namespace tideline::train {

struct LeastSquares {
  std::vector<std::vector<float>> x;
  std::vector<float> y;

  // `n` samples of `d` features whose best weights are 1, 2, .. with some noise.
  static LeastSquares make(std::size_t n, std::size_t d, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    LeastSquares data;
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<float> row(d);
      float target = 0.1F * normal(random);
      for (std::size_t k = 0; k < d; ++k) {
        row[k] = normal(random);
        target += row[k] * static_cast<float>(k + 1);
      }
      data.x.push_back(row);
      data.y.push_back(target);
    }
    return data;
  }
  LeastSquares part(std::size_t first, std::size_t last) const {
    const auto at = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
    return {{x.begin() + at(first), x.begin() + at(last)}, {y.begin() + at(first), y.begin() + at(last)}};
  }
  // Mean over `rows` of the gradient of (x w - y)^2 / 2.
  std::vector<float> gradient(std::span<const float> w, std::span<const std::uint32_t> rows, double* loss = nullptr) const {
    std::vector<double> sums(w.size(), 0);
    for (const std::uint32_t row : rows) {
      double error = -static_cast<double>(y[row]);
      for (std::size_t k = 0; k < w.size(); ++k) error += static_cast<double>(x[row][k]) * static_cast<double>(w[k]);
      for (std::size_t k = 0; k < w.size(); ++k) sums[k] += error * static_cast<double>(x[row][k]);
      if (loss != nullptr) *loss += error * error / 2 / static_cast<double>(rows.size());
    }
    std::vector<float> mean;
    for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(rows.size())));
    return mean;
  }
};

class TestLearner : public Learner {
 public:
  explicit TestLearner(LeastSquares data, std::size_t features)
      : data_(std::move(data)), weights_(features, 0.0F), gradient_(features, 0.0F), buffer_(1, 0.0F) {}
  std::size_t samples() const override { return data_.y.size(); }
  std::span<float> parameters() override { return weights_; }
  std::span<const float> gradients() override { return gradient_; }
  std::span<float> buffers() override { return buffer_; }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t) override {
    Batch batch;
    gradient_ = data_.gradient(weights_, rows, &batch.loss);
    buffer_[0] += 1;
    return batch;
  }

 private:
  LeastSquares data_;
  std::vector<float> weights_, gradient_, buffer_;
};

}  // namespace tideline::train
