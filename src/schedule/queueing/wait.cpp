#include "schedule/queueing/wait.h"

#include <algorithm>
#include <cmath>

namespace tideline::schedule {
namespace {

// Above it waits are hundreds of service times, and a load that is estimated a percent too low has none.
constexpr double kLoadMax = 0.98;
constexpr std::size_t kLoads = 981;

// The distribution of the number waiting in M/D/1, grown as far as it is asked for.
class WaitingCounts {
 public:
  explicit WaitingCounts(double rho) : rho_(rho), in_system_{1 - rho}, above_{1 - std::exp(-rho)} {}

  // P(at most m wait).
  double at_most(std::size_t m) {
    while (cumulative_.size() <= m) {
      const std::size_t n = cumulative_.size();
      cumulative_.push_back(n == 0 ? in_system(0) + in_system(1) : cumulative_.back() + in_system(n + 1));
    }
    return std::min(1.0, cumulative_[m]);
  }

 private:
  // P(n in the system), from the balance of steps up and down between n - 1 and n: positive terms only.
  double in_system(std::size_t n) {
    while (in_system_.size() <= n) {
      const std::size_t last = in_system_.size() - 1;
      double sum = in_system_[0] * above(last);
      for (std::size_t i = 1; i <= last; ++i) sum += in_system_[i] * above(last + 1 - i);
      in_system_.push_back(sum / std::exp(-rho_));
    }
    return in_system_[n];
  }

  // P(more than m arrive during a service): the tail of a Poisson distribution, summed from its own terms.
  double above(std::size_t m) {
    while (above_.size() <= m) {
      const double count = static_cast<double>(above_.size()) + 1;
      double term = std::exp(count * std::log(rho_) - rho_ - std::lgamma(count + 1));
      double sum = 0;
      for (double j = count + 1; term > 0 && term > 1e-18 * sum; j += 1) {
        sum += term;
        term *= rho_ / j;
      }
      above_.push_back(sum);
    }
    return above_[m];
  }

  double rho_;
  std::vector<double> in_system_;
  std::vector<double> above_;
  std::vector<double> cumulative_;
};

double wait_below(WaitingCounts& counts, double rho, double x) {
  const auto k = static_cast<std::size_t>(std::floor(x)) + 1;
  const double mean = rho * (static_cast<double>(k) - x);
  double weight = std::exp(-mean);
  double sum = 0;
  for (std::size_t j = 0; j < k; ++j) {
    sum += weight * counts.at_most(k - 1 - j);
    weight *= mean / (static_cast<double>(j) + 1);
  }
  return std::min(1.0, sum);
}

// The wait in service times that `late_share` of the requests exceed.
double wait_quantile(double rho, double late_share) {
  if (rho <= late_share) return 0;
  WaitingCounts counts(rho);
  double high = 1;
  while (wait_below(counts, rho, high) < 1 - late_share) high += 1;
  double low = high - 1;
  constexpr int kHalvings = 40;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (wait_below(counts, rho, middle) < 1 - late_share ? low : high) = middle;
  }
  return high;
}

}  // namespace

double md1_wait_below(double rho, double x) {
  if (rho <= 0) return 1;
  WaitingCounts counts(rho);
  return wait_below(counts, rho, x);
}

WaitTable WaitTable::periodic() { return {}; }

WaitTable WaitTable::poisson(double late_share) {
  WaitTable table;
  table.load_max_ = kLoadMax;
  for (std::size_t i = 0; i < kLoads; ++i) {
    const double rho = kLoadMax * static_cast<double>(i) / (kLoads - 1);
    // Never falling, also where the last digit of two quantiles says otherwise.
    const double wait = std::max(wait_quantile(rho, late_share), i == 0 ? 0 : table.waits_.back());
    table.waits_.push_back(wait);
    table.budgets_.push_back(rho * (1 + wait));
  }
  return table;
}

double WaitTable::wait(double rho) const {
  if (waits_.empty() || rho <= 0) return 0;
  const double at = rho / load_max_ * static_cast<double>(waits_.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), waits_.size() - 2);
  return waits_[i] + (at - static_cast<double>(i)) * (waits_[i + 1] - waits_[i]);
}

double WaitTable::load_within(double budget) const {
  if (budget <= 0) return 0;
  if (waits_.empty()) return std::min(budget, load_max_);
  if (budget >= budgets_.back()) return load_max_;
  const auto above = static_cast<std::size_t>(std::upper_bound(budgets_.begin(), budgets_.end(), budget) - budgets_.begin());
  const double step = load_max_ / static_cast<double>(waits_.size() - 1);
  const double low = step * static_cast<double>(above - 1);
  // load (1 + w + slope (load - low)) = budget between two entries: a square equation whose larger root is the answer.
  const double slope = (waits_[above] - waits_[above - 1]) / step;
  const double linear = 1 + waits_[above - 1] - slope * low;
  if (slope <= 0) return budget / linear;
  const double root = (std::sqrt(linear * linear + 4 * slope * budget) - linear) / (2 * slope);
  // Rounding must not promise more than wait() keeps.
  return std::clamp(root * (1 - 1e-12), low, low + step);
}

double WaitTable::longest(double rate, double u, double w, double limit) const {
  const double other = std::max(u, w);
  if (rate * other > load_max_) return 0;
  const double left = limit - u - w;
  if (!(left > 0)) return 0;
  const double shorter = left - other * wait(rate * other);
  if (shorter <= other) return std::max(0.0, shorter);
  return std::max(other, load_within(rate * left) / rate);
}

}  // namespace tideline::schedule
