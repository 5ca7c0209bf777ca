// The best multipliers of the many-tasks problem: the Lagrangian dual, which is also the dual of its linear relaxation.
//
// With a price per unit of utilisation on each of the 2E resources, task j at cut k costs
//   cost_jk = sum_i lambda_b,i * demand_b / (V b_i) + lambda_c,i * demand_c / c_i,
// and for every lambda >= 0 no schedule deploys more than U(lambda) = sum(lambda) + sum_j max(0, 1 - min_k cost_jk) tasks.
//
// Up to some thousand tasks an interior-point method on all of them (interior_point.h). Above that, sifting: of a million tasks
// most are far too dear at any prices near the best ones. The prices of a sample say which; the method then solves the others
// alone, and U of all tasks at its prices, one pass, says how much the tasks left out could still add. While that is more than
// nothing, those that could are taken in. Every price on the way gives a valid bound.
//
// Pure functions; thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "base/cancel.h"
#include "schedule/instance.h"
#include "schedule/room.h"

namespace tideline::schedule {

struct DualOptions {
  unsigned threads = 0;
  // Ends early with the best multipliers so far, whose bound is valid too.
  std::chrono::nanoseconds time_limit = std::chrono::hours(24);
  // Ends when U is within this share of the optimum of the linear relaxation (sifting: within 1e-5 of it or this), or within so
  // many tasks of it: the bound is rounded down to whole tasks, digits beyond a ten-thousandth of one prove nothing more.
  double gap = 1e-7;
  double gap_tasks = 1e-4;
  // Tasks of the sample; three times as many are sifted. 0: 40 per server and at least 4000.
  std::size_t sample_size = 0;
  CancelToken cancel;
  // Per server, the part of each resource that may still be used (1: all), for re-planning; empty: all of everything.
  std::vector<double> bandwidth_left;
  std::vector<double> compute_left;
};

struct DualResult {
  Multipliers multipliers;
  // U(multipliers); with capacities left, the bound on the tasks of this instance within them.
  double upper_bound = 0;
  // Newton steps, and how many parts of the tasks were solved on the way (0: all tasks at once).
  int iterations = 0;
  int sifts = 0;
  bool converged = false;
};

// REQUIRES: validate(instance). At least one server and one task, or an all-zero answer.
DualResult solve_dual(const Instance& instance, const CutTable& cuts, const DualOptions& options);

}  // namespace tideline::schedule
