// Figures of many requests as a few. Pure.
#pragma once

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

}  // namespace tideline
