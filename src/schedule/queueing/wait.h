// How long a request waits behind the earlier ones of its own task, when every station of its way serves the task at a rate that
// is reserved for it: the queueing theory of the queueing model (docs/algorithms/queueing.md).
//
// Stations in a row with constant service times S_1, S_2, ... and one stream of requests, first come first served: request n
// leaves the last at  max over m <= n of (a_m + sum S + (n - m) max S), so its time is sum S plus the wait at one station with
// the longest service time alone, in whatever order they stand (H. D. Friedman, Operations Research 13(1), 1965). That wait is 0
// for periodic arrivals while the load rho = rate * max S is at most 1, and for Poisson arrivals that of M/D/1, of which
//   P(W <= x S) = exp(-rho (k - x)) sum_{j<k} Q_{k-1-j} (rho (k - x))^j / j!      (k - 1 <= x < k)
// with Q_m the probability of at most m waiting requests (G. J. Franx, Operations Research Letters 29, 2001): a sum of positive
// terms. Values; thread-safe once made.
#pragma once

#include <vector>

namespace tideline::schedule {

// P(W <= x service times) of M/D/1 at load rho. REQUIRES: 0 <= rho < 1, x >= 0.
double md1_wait_below(double rho, double x);

class WaitTable {
 public:
  // Nobody waits up to a load of 1: periodic arrivals.
  static WaitTable periodic();
  // Waits that at most `late_share` of the requests exceed, for loads up to 0.98; in between tabulated and interpolated.
  static WaitTable poisson(double late_share);

  // In service times. REQUIRES: 0 <= rho <= load_max().
  double wait(double rho) const;
  double load_max() const { return load_max_; }

  // The longest service time v, at most load_max() / rate, with which requests at `rate` that are served `u` and `w` elsewhere
  // still end within `limit`: u + v + w + wait <= limit. 0 when there is none.
  double longest(double rate, double u, double w, double limit) const;

 private:
  // The largest load with load * (1 + wait) <= budget.
  double load_within(double budget) const;

  double load_max_ = 1;
  std::vector<double> waits_;    // at loads i * load_max / (size - 1); empty: none
  std::vector<double> budgets_;  // load * (1 + wait) there
};

}  // namespace tideline::schedule
