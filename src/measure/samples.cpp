#include "measure/samples.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tideline {

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

double median_of(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double typical(const std::vector<double>& samples) { return quantile(samples, 0.25); }
double half_quartiles(const std::vector<double>& samples) { return (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2; }

double relative_error(const std::vector<double>& samples) {
  return 1.25 * 1.48 * half_quartiles(samples) / std::sqrt(static_cast<double>(samples.size())) /
         std::max(typical(samples), 1e-9);
}

double real_drift(double ratio, double relative_error) {
  const double drift = std::log(std::max(ratio, 1e-9));
  if (std::abs(drift) <= 2 * relative_error) return 1;
  return std::exp(drift * (1 - std::pow(2 * relative_error / drift, 2)));
}

}  // namespace tideline
