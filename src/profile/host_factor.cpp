#include "profile/host_factor.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline {
namespace {

// Below this the clock and the thread's wake-up are most of what is measured.
constexpr Millis kPredictedMin{0.05};
// Predictions are good to a few percent; a tenth is no reason to move anything.
constexpr double kNotable = 1.15;

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  return values[at];
}

struct Sum {
  std::string node;
  Millis predicted{0};
  double median_ms = 0;
  double low_ms = 0;   // lower quartiles
  double high_ms = 0;  // upper quartiles
};

}  // namespace

std::vector<HostFactor> host_factors(std::span<const StageTime> stages) {
  std::vector<Sum> sums;
  for (const StageTime& stage : stages) {
    if (stage.measured_ms.empty() || stage.predicted <= Millis(0)) continue;
    auto sum = std::find_if(sums.begin(), sums.end(), [&](const Sum& known) { return known.node == stage.node; });
    if (sum == sums.end()) sum = sums.insert(sums.end(), Sum{.node = stage.node});
    sum->predicted += stage.predicted;
    sum->median_ms += quantile(stage.measured_ms, 0.5);
    sum->low_ms += quantile(stage.measured_ms, 0.25);
    sum->high_ms += quantile(stage.measured_ms, 0.75);
  }
  std::vector<HostFactor> factors;
  for (const Sum& sum : sums) {
    if (sum.predicted < kPredictedMin || sum.median_ms <= 0) continue;
    HostFactor factor{.node = sum.node, .factor = sum.median_ms / sum.predicted.count()};
    // Three requests of four say the same.
    factor.is_notable = sum.low_ms >= kNotable * sum.predicted.count() || sum.high_ms * kNotable <= sum.predicted.count();
    factors.push_back(std::move(factor));
  }
  return factors;
}

std::string describe(const HostFactor& factor) {
  if (factor.factor >= 1) return fmt::format("{} is {:.2g} times slower than in the profile", factor.node, factor.factor);
  return fmt::format("{} is {:.2g} times faster than in the profile", factor.node, 1 / factor.factor);
}

}  // namespace tideline
