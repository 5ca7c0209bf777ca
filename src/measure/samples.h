// What a few noisy timings of the same thing say. Pure; times in any one unit.
#pragma once

#include <vector>

namespace tideline {

// Linear between the two nearest. REQUIRES: !values.empty(), 0 <= q <= 1.
double quantile(std::vector<double> values, double q);
// REQUIRES: !values.empty().
double median_of(std::vector<double> values);
// The lower quartile: low enough that a neighbour's burst does not show, not the minimum, which says more about luck the more
// runs there are. REQUIRES: !samples.empty().
double typical(const std::vector<double>& samples);
// Half the distance between the quartiles. REQUIRES: !samples.empty().
double half_quartiles(const std::vector<double>& samples);
// Standard error of typical() over it. Of a quantile near the median, were the samples normal: 1.25 sigma / sqrt(n), sigma = 0.74
// of the distance between the quartiles. REQUIRES: !samples.empty().
double relative_error(const std::vector<double>& samples);
// `ratio` of two times of a reference as far as it is more than chance: dividing by noise would only add noise.
double real_drift(double ratio, double relative_error);

}  // namespace tideline
