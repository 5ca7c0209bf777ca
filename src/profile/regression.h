// How long a kernel takes, from kernels that were measured: a roofline for all of them, and what their neighbours differ from it
// by. docs/algorithms/calibration.md explains it.
//
//   ln t(x) = ln r(x) + g(x),   r = a + b * flops + c * memory   (a, b, c not negative)
//
// r is fitted to relative errors. g is a Gaussian process on the logarithms of the features, of mean zero, with a Matern kernel
// of smoothness 3/2 and a scale for each feature; only the nearest 48 samples are asked. So t is never negative, is near what was
// measured nearby, and returns to the roofline far from everything that was. Scales and noise are chosen by leave-one-out errors.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace tideline {

struct RegressionPoint {
  double flops = 0;
  double memory_ms = 0;       // of its bytes alone, were there nothing to compute
  std::vector<double> place;  // as many for each point of a regression
  double ms = 0;              // over zero
  std::size_t group = 0;      // points of one group are left out together
};

class Regression {
 public:
  static constexpr std::size_t kNoGroup = std::numeric_limits<std::size_t>::max();

  // Deterministic. REQUIRES: !points.empty(), places of one length. O(points) memory; about a second for some thousands of
  // points.
  explicit Regression(std::vector<RegressionPoint> points);

  // In milliseconds; over zero. `without`: as if the points of this group were not there (the roofline and the scales stay).
  double predict(const RegressionPoint& at, std::size_t without = kNoGroup) const;
  std::size_t size() const { return points_.size(); }

 private:
  double roofline(const RegressionPoint& at) const;
  // ln of predicted over roofline, from the points up to `count`.
  double residual(const RegressionPoint& at, std::size_t without, std::size_t count) const;
  void fit_roofline();
  void choose_scales();
  double held_out_error(std::size_t count) const;

  std::vector<RegressionPoint> points_;
  std::vector<double> residuals_;  // of each point
  double mean_ = 0;                // of them
  double roof_[3] = {0, 0, 0};
  std::vector<double> inverse_scale_;  // of each feature
  double noise_ = 0.03;                // variance, over that of the process
};

}  // namespace tideline
