// Figures of many requests as a few. Pure.
#pragma once

#include <cstddef>
#include <vector>

namespace tideline {

struct Percentiles {
  double median = 0;
  double p90 = 0;
  double p99 = 0;
};
// Nearest-rank percentiles. REQUIRES: !values.empty().
Percentiles percentiles(std::vector<double> values);
// REQUIRES: !values.empty().
double median(std::vector<double> values);
// The positions of the middle half of the values, at least one. Means over them are as steady as medians, and those of parts add
// up to those of sums, as medians do not. REQUIRES: !values.empty().
std::vector<std::size_t> middle_half(const std::vector<double>& values);

}  // namespace tideline
