#include "train/run/arrivals.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tideline::train {
namespace {

double median_of(std::vector<double> values) {
  const std::size_t half = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(half), values.end());
  const double upper = values[half];
  if (values.size() % 2 == 1) return upper;
  return (*std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(half)) + upper) / 2;
}

}  // namespace

std::size_t quorum_of(double part, std::size_t asked) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(part * static_cast<double>(asked) - 1e-9)));
}

std::chrono::nanoseconds close_after(std::span<const std::chrono::nanoseconds> times, double spread) {
  std::vector<double> values;
  for (const auto time : times) values.push_back(static_cast<double>(time.count()));
  const double median = median_of(values);
  for (double& value : values) value = std::abs(value - median);
  const double mad = std::max(median_of(values), median / 20);
  constexpr double kLongest = 1e18;  // thirty years
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(median + spread * mad, kLongest)));
}

}  // namespace tideline::train
