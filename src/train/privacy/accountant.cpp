#include "train/privacy/accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tideline::train {
namespace {

// Small noise is best told by low orders, much noise by high ones; above these nothing realistic has its smallest value.
constexpr std::uint64_t kOrderMax = 512;

}  // namespace

double sampled_gaussian_rdp(double q, double z, std::uint64_t order) {
  const double alpha = static_cast<double>(order);
  if (q >= 1) return alpha / (2 * z * z);
  // Terms of up to e^(alpha^2 / 2 z^2): their logarithms are added.
  std::vector<double> terms;
  double largest = -std::numeric_limits<double>::infinity();
  for (std::uint64_t i = 0; i <= order; ++i) {
    const double k = static_cast<double>(i);
    const double binomial = std::lgamma(alpha + 1) - std::lgamma(k + 1) - std::lgamma(alpha - k + 1);
    terms.push_back(binomial + (alpha - k) * std::log1p(-q) + k * std::log(q) + (k * k - k) / (2 * z * z));
    largest = std::max(largest, terms.back());
  }
  double sum = 0;
  for (const double term : terms) sum += std::exp(term - largest);
  // Never below 0, whatever the rounding of a sum that is 1.
  return std::max(0.0, (largest + std::log(sum)) / (alpha - 1));
}

Accountant::Accountant(double q, double z, double delta, Conversion conversion) {
  for (std::uint64_t order = 2; order <= kOrderMax; ++order) {
    const double alpha = static_cast<double>(order);
    rdp_.push_back(sampled_gaussian_rdp(q, z, order));
    added_.push_back(conversion == Conversion::kMironov
                         ? -std::log(delta) / (alpha - 1)
                         : std::log((alpha - 1) / alpha) - (std::log(delta) + std::log(alpha)) / (alpha - 1));
  }
}

double Accountant::epsilon(std::uint64_t rounds) const {
  if (rounds == 0) return 0;
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < rdp_.size(); ++i) best = std::min(best, static_cast<double>(rounds) * rdp_[i] + added_[i]);
  return std::max(0.0, best);
}

}  // namespace tideline::train
