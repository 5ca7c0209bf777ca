#include "session/statistics.h"

#include <algorithm>
#include <cmath>

namespace tideline {

Percentiles percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto rank = [&](double p) {
    const auto at = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
    return values[std::clamp<std::size_t>(at, 1, values.size()) - 1];
  };
  return {median(values), rank(0.90), rank(0.99)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace tideline
