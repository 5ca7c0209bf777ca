// What differential privacy a training run has given away so far: the accountant of the sampled Gaussian mechanism.
//
// Each round takes every worker with probability q, adds up updates that are at most C long, and adds normal noise of the
// standard deviation z * C to every number of the sum. One such round is (alpha, r)-RDP, and rounds add up (Mironov 2017,
// proposition 1):
//
//   r(alpha) = ln(sum over k of binomial(alpha, k) (1 - q)^(alpha - k) q^k exp((k^2 - k) / (2 z^2))) / (alpha - 1)
//
// at whole alpha >= 2 (Mironov, Talwar, Zhang 2019, section 3.3); alpha / (2 z^2) at q = 1. From RDP to (epsilon, delta), the
// smallest over all orders of one of:
//
//   epsilon = T r + ln(1 / delta) / (alpha - 1)                                              (Mironov 2017, proposition 3)
//   epsilon = T r + ln((alpha - 1) / alpha) - (ln delta + ln alpha) / (alpha - 1)             (Balle et al. 2020, theorem 21)
//
// The second is never larger, and is what reports say; tables of before 2020 have the first. Neighbours are two runs of which one
// has one worker more. Example: q = 256 / 60000, z = 1.1, 14063 rounds, delta = 1e-5: 3.01 by the first, at order 9.
// Pure functions; only whole orders are looked at, so that a bound may be up to half a percent above one with fractional orders.
#pragma once

#include <cstdint>
#include <vector>

namespace tideline::train {

// Of one round. REQUIRES: 0 < q <= 1, z > 0, order >= 2.
double sampled_gaussian_rdp(double q, double z, std::uint64_t order);

enum class Conversion : std::uint8_t { kMironov, kBalle };

// Of a run with the same q, z and delta in every round. A value.
//   Accountant(256.0 / 60000, 1.1, 1e-5).epsilon(14063)
class Accountant {
 public:
  // REQUIRES: as above, 0 < delta < 1.
  Accountant(double q, double z, double delta, Conversion conversion = Conversion::kBalle);
  // After so many rounds; 0 after none.
  double epsilon(std::uint64_t rounds) const;

 private:
  std::vector<double> rdp_;    // of one round, at orders 2, 3, ..
  std::vector<double> added_;  // by the conversion
};

}  // namespace tideline::train
