// The regressions of Neurosurgeon (Y. Kang and others, "Neurosurgeon: Collaborative Intelligence Between the Cloud and Mobile
// Edge", ASPLOS 2017, section 4.1): one for each type of layer, linear or logarithmic in the features of that type
// (kernel_features.h), by least squares. Which of the two is chosen by their relative errors on every fifth sample, which is left
// out for that. Here a layer is a kernel, fused as the engine fuses, which the paper's are not: the baseline is not made to lose
// by that.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/kernel_features.h"
#include "profile/predictor.h"

namespace tideline {
namespace {

constexpr double kLayerMsMin = 1e-5;
constexpr std::size_t kLeftOut = 5;

struct Layer {
  std::vector<double> features;
  double ms = 0;
};

// w0 + w1 f1 + ..., of the features or of their logarithms and to the logarithm of the time.
class LayerRegression {
 public:
  LayerRegression(const std::vector<Layer>& layers, bool logarithmic) : logarithmic_(logarithmic) {
    const std::size_t n = layers.front().features.size() + 1;
    std::vector<std::vector<double>> matrix(n, std::vector<double>(n + 1));
    for (const Layer& layer : layers) {
      std::vector<double> row{1};
      for (const double feature : layer.features) row.push_back(logarithmic ? std::log(std::max(feature, 1e-6)) : feature);
      const double target = logarithmic ? std::log(layer.ms) : layer.ms;
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) matrix[i][j] += row[i] * row[j];
        matrix[i][n] += row[i] * target;
      }
    }
    weights_ = solved(std::move(matrix));
  }

  double predict(const std::vector<double>& features) const {
    double sum = weights_[0];
    for (std::size_t i = 0; i < features.size(); ++i)
      sum += weights_[i + 1] * (logarithmic_ ? std::log(std::max(features[i], 1e-6)) : features[i]);
    // A line may go below zero for small layers; time does not.
    return logarithmic_ ? std::exp(std::min(sum, 25.0)) : std::max(sum, 0.0);
  }

 private:
  // Gauss with the largest pivot; an unknown that nothing says anything of is 0.
  static std::vector<double> solved(std::vector<std::vector<double>> matrix) {
    const std::size_t n = matrix.size();
    std::vector<double> scale(n);
    for (std::size_t i = 0; i < n; ++i) scale[i] = std::sqrt(std::max(matrix[i][i], 1e-300));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) matrix[i][j] /= scale[i] * scale[j];
      matrix[i][n] /= scale[i];
    }
    for (std::size_t k = 0; k < n; ++k) {
      std::size_t pivot = k;
      for (std::size_t i = k + 1; i < n; ++i)
        if (std::abs(matrix[i][k]) > std::abs(matrix[pivot][k])) pivot = i;
      std::swap(matrix[k], matrix[pivot]);
      if (std::abs(matrix[k][k]) < 1e-12) continue;
      for (std::size_t i = 0; i < n; ++i) {
        if (i == k) continue;
        const double factor = matrix[i][k] / matrix[k][k];
        for (std::size_t j = k; j <= n; ++j) matrix[i][j] -= factor * matrix[k][j];
      }
    }
    std::vector<double> weights(n);
    for (std::size_t i = 0; i < n; ++i) weights[i] = std::abs(matrix[i][i]) < 1e-12 ? 0 : matrix[i][n] / matrix[i][i] / scale[i];
    return weights;
  }

  bool logarithmic_;
  std::vector<double> weights_;
};

double relative_error_of(const LayerRegression& regression, const std::vector<Layer>& layers) {
  double error = 0;
  for (const Layer& layer : layers) error += std::abs(regression.predict(layer.features) / layer.ms - 1);
  return error;
}

LayerRegression better_regression(const std::vector<Layer>& layers) {
  std::vector<Layer> seen;
  std::vector<Layer> left_out;
  for (std::size_t i = 0; i < layers.size(); ++i)
    (i % kLeftOut == 0 && layers.size() > kLeftOut ? left_out : seen).push_back(layers[i]);
  const bool logarithmic =
      relative_error_of(LayerRegression(seen, true), left_out) < relative_error_of(LayerRegression(seen, false), left_out);
  return LayerRegression(layers, logarithmic);
}

class Neurosurgeon : public Predictor {
 public:
  explicit Neurosurgeon(const Calibration& calibration) : overhead_(engine_overhead(calibration)) {
    std::map<std::string_view, std::vector<Layer>> types;
    for (const OperatorSample& sample : calibration.operators) {
      if (sample.kind == kEmptyKernelsKind) continue;
      for (const SampleKernel& kernel : settled_kernels(sample, overhead_))
        if (auto layer = layer_features_of(kernel))
          types[layer->type].push_back({std::move(layer->features), std::max(kernel.time.count(), kLayerMsMin)});
    }
    for (const auto& [type, layers] : types) regressions_.emplace(type, better_regression(layers));
  }

  std::string_view name() const override { return "neurosurgeon"; }
  Millis run_overhead(bool is_near) const override { return overhead_.run + (is_near ? Millis(0) : overhead_.start); }
  Millis kernel_time(const SampleKernel& kernel, KernelPlace, std::size_t) const override {
    const auto layer = layer_features_of(kernel);
    if (!layer || !regressions_.contains(layer->type)) return overhead_.kernel;
    return overhead_.kernel + Millis(regressions_.at(layer->type).predict(layer->features));
  }
  bool knows(const SampleKernel& kernel) const override {
    const auto layer = layer_features_of(kernel);
    return !layer || regressions_.contains(layer->type);
  }

 private:
  EngineOverhead overhead_;
  std::map<std::string_view, LayerRegression> regressions_;
};

}  // namespace

std::unique_ptr<Predictor> make_neurosurgeon(const Calibration& calibration) {
  return std::make_unique<Neurosurgeon>(calibration);
}

}  // namespace tideline
