#include "profile/regression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace tideline {
namespace {

constexpr std::size_t kNeighbours = 48;
// Beyond these the regressions of a long calibration would take minutes, and know no more.
constexpr std::size_t kPointsMax = 4000;
constexpr std::size_t kTunePoints = 1200;
constexpr std::size_t kTuneTries = 160;
constexpr double kScaleStart = 1.5;  // octaves
constexpr std::array kScales{0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0};
constexpr std::array kNoises{0.003, 0.01, 0.03, 0.1, 0.3};
constexpr int kSweeps = 2;
// The engine's profiler counts in microseconds.
constexpr double kStepMs = 0.002;
// Kernels this short are not worth bending the others for.
constexpr double kShortMs = 0.01;

double matern(double distance2) {
  const double d = std::sqrt(3 * distance2);
  return (1 + d) * std::exp(-d);
}

// Solves (K + diag) w = y in place: Cholesky of a small symmetric positive definite matrix, row by row.
void solve_positive(std::vector<double>& k, std::vector<double>& y) {
  const std::size_t n = y.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = k[i * n + j];
      for (std::size_t m = 0; m < j; ++m) sum -= k[i * n + m] * k[j * n + m];
      k[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / k[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t m = 0; m < i; ++m) y[i] -= k[i * n + m] * y[m];
    y[i] /= k[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t m = i + 1; m < n; ++m) y[i] -= k[m * n + i] * y[m];
    y[i] /= k[i * n + i];
  }
}

}  // namespace

Regression::Regression(std::vector<RegressionPoint> points) : points_(std::move(points)) {
  TIDELINE_CHECK(!points_.empty());
  for (const RegressionPoint& point : points_) TIDELINE_CHECK(point.place.size() == points_[0].place.size() && point.ms > 0);
  if (points_.size() > kPointsMax) {
    std::vector<RegressionPoint> some;
    for (std::size_t i = 0; i < kPointsMax; ++i) some.push_back(std::move(points_[i * points_.size() / kPointsMax]));
    points_ = std::move(some);
  }
  fit_roofline();
  for (const RegressionPoint& point : points_) residuals_.push_back(std::log(point.ms / roofline(point)));
  std::vector<double> sorted = residuals_;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
  mean_ = sorted[sorted.size() / 2];
  for (double& residual : residuals_) residual -= mean_;
  // What is the same in all of them says nothing of kernels in which it is not.
  for (std::size_t i = 0; i < points_[0].place.size(); ++i) {
    const bool varies = std::any_of(points_.begin(), points_.end(),
                                    [&](const RegressionPoint& point) { return point.place[i] != points_[0].place[i]; });
    inverse_scale_.push_back(varies ? 1 / kScaleStart : 0);
  }
  choose_scales();
}

double Regression::roofline(const RegressionPoint& at) const {
  return std::max(roof_[0] + roof_[1] * at.flops + roof_[2] * at.memory_ms, 1e-6);
}

// Least squares of relative errors with three unknowns that are not negative: the unknowns in turn, until they stay.
void Regression::fit_roofline() {
  double gram[3][3] = {};
  double right[3] = {};
  for (const RegressionPoint& point : points_) {
    const double row[3] = {1 / point.ms, point.flops / point.ms, point.memory_ms / point.ms};
    for (int i = 0; i < 3; ++i) {
      right[i] += row[i];
      for (int j = 0; j < 3; ++j) gram[i][j] += row[i] * row[j];
    }
  }
  for (int step = 0; step < 2000; ++step)
    for (int i = 0; i < 3; ++i) {
      if (gram[i][i] <= 0) continue;
      double left = right[i];
      for (int j = 0; j < 3; ++j)
        if (j != i) left -= gram[i][j] * roof_[j];
      roof_[i] = std::max(0.0, left / gram[i][i]);
    }
  // Work beyond all bounds is damage: then all of them take what the first one does.
  if (!std::isfinite(roof_[0] + roof_[1] + roof_[2])) {
    roof_[0] = points_[0].ms;
    roof_[1] = roof_[2] = 0;
  }
}

double Regression::residual(const RegressionPoint& at, std::size_t without, std::size_t count) const {
  struct Near {
    double distance2;
    std::size_t point;
  };
  const std::size_t dims = inverse_scale_.size();
  const auto distance2 = [&](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < dims; ++i) {
      const double d = (a[i] - b[i]) * inverse_scale_[i];
      sum += d * d;
    }
    return sum;
  };
  std::vector<Near> near;
  near.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    if (points_[i].group != without || without == kNoGroup) near.push_back({distance2(points_[i].place, at.place), i});
  if (near.empty()) return 0;
  const std::size_t n = std::min(kNeighbours, near.size());
  const auto closer = [](const Near& a, const Near& b) {
    return a.distance2 != b.distance2 ? a.distance2 < b.distance2 : a.point < b.point;
  };
  std::nth_element(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(n - 1), near.end(), closer);
  std::vector<double> k(n * n);
  std::vector<double> weights(n);
  for (std::size_t i = 0; i < n; ++i) {
    const RegressionPoint& point = points_[near[i].point];
    weights[i] = residuals_[near[i].point];
    for (std::size_t j = 0; j < i; ++j) k[i * n + j] = matern(distance2(point.place, points_[near[j].point].place));
    const double step = kStepMs / point.ms;
    k[i * n + i] = 1 + noise_ + step * step;
  }
  solve_positive(k, weights);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += matern(near[i].distance2) * weights[i];
  return sum;
}

double Regression::held_out_error(std::size_t count) const {
  const std::size_t tries = std::min(kTuneTries, count);
  double error = 0;
  double weights = 0;
  for (std::size_t i = 0; i < tries; ++i) {
    const std::size_t at = i * count / tries;
    const double weight = points_[at].ms / (points_[at].ms + kShortMs);
    error += weight * std::abs(residual(points_[at], points_[at].group, count) - residuals_[at]);
    weights += weight;
  }
  return error / std::max(weights, 1e-12);
}

// One after another, each at the best of a few values.
void Regression::choose_scales() {
  const std::size_t count = std::min(points_.size(), kTunePoints);
  if (count < 8) return;
  double best = held_out_error(count);
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (double& inverse : inverse_scale_) {
      if (inverse == 0) continue;
      double kept = inverse;
      for (const double scale : kScales) {
        inverse = 1 / scale;
        const double error = held_out_error(count);
        if (error < best * 0.999) {
          best = error;
          kept = inverse;
        }
      }
      inverse = kept;
    }
    double kept = noise_;
    for (const double noise : kNoises) {
      noise_ = noise;
      const double error = held_out_error(count);
      if (error < best * 0.999) {
        best = error;
        kept = noise;
      }
    }
    noise_ = kept;
  }
}

double Regression::predict(const RegressionPoint& at, std::size_t without) const {
  TIDELINE_CHECK(at.place.size() == inverse_scale_.size());
  return roofline(at) * std::exp(mean_ + residual(at, without, points_.size()));
}

}  // namespace tideline
