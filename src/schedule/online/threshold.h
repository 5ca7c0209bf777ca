// The admission thresholds of Li et al. as printed, and the one they seem to mean. Pure functions.
#pragma once

namespace tideline::schedule {

// Zhou, Chakrabarty and Lukose's threshold for the online knapsack with values of 1: a task that needs the fraction w of a
// capacity of which z is used is admitted iff w <= zcl_threshold(z). It falls from e * w_max at z = 0 (all pass) to w_min at
// z = 1 (none but the smallest passes). w_min and w_max: the extremes of the tasks seen before.
//   zcl_threshold(0, 0.01, 0.1) = 0.2718...,  zcl_threshold(1, 0.01, 0.1) = 0.01
double zcl_threshold(double used_fraction, double w_min, double w_max);

// The formula printed in the paper: (B_min e / B_max)^c * (B_max e). The paper puts the server's remaining capacity in the
// exponent.
double li2018_threshold(double exponent, double b_min, double b_max);

}  // namespace tideline::schedule
