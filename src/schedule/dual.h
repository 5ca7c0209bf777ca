// The best multipliers of the many-tasks problem: the Lagrangian dual, which is also the dual of its linear relaxation.
//
// With a price per unit of utilisation on each of the 2E resources, task j at cut k costs
//   cost_jk = sum_i lambda_b,i * demand_b / (V b_i) + lambda_c,i * demand_c / c_i,
// and for every lambda >= 0 no schedule deploys more than U(lambda) = sum(lambda) + sum_j max(0, 1 - min_k cost_jk) tasks.
//
// Method: a primal-dual interior-point method (Mehrotra's predictor and corrector, Gondzio's centrality
// correctors). A subgradient needs thousands of rounds and
// never knows when it is done; Newton's matrix of this problem has only 2E rows, whatever the number of tasks, because
// the part of a task lies in the span of two vectors (its data over the servers' bandwidths and over their compute) and its own
// constraint is eliminated by hand. About 20 iterations of O(tasks * servers per task^2 + E^3), on all threads.
//
// Pure function; thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/cancel.h"
#include "schedule/instance.h"
#include "schedule/room.h"

namespace tideline::schedule {

struct DualOptions {
  unsigned threads = 0;
  // Ends early with the best multipliers so far, whose bound is valid too.
  std::chrono::nanoseconds time_limit = std::chrono::hours(24);
  // Ends when U is within this share of the optimum of the linear relaxation (or within a ten-thousandth of a task).
  double gap = 1e-7;
  CancelToken cancel;
  // Per server, the part of each resource that may still be used (1: all), for re-planning; empty: all of everything.
  std::vector<double> bandwidth_left;
  std::vector<double> compute_left;
};

struct DualResult {
  Multipliers multipliers;
  // U(multipliers); with capacities left, the bound on the tasks of this instance within them.
  double upper_bound = 0;
  // The tasks' deployed shares in the linear relaxation, near enough for rounding: between 0 and 1.
  std::vector<float> share;
  int iterations = 0;
  bool converged = false;
};

// REQUIRES: validate(instance). At least one server and one task, or an all-zero answer.
DualResult solve_dual(const Instance& instance, const CutTable& cuts, const DualOptions& options);

// The prices of a task's data: cost_jk = ratio_k * of_output + gflop_per_mb_k * of_work.
struct TaskPrices {
  double of_output = 0;
  double of_work = 0;
  double cost(const Cut& cut) const { return cut.ratio * of_output + cut.gflop_per_mb * of_work; }
};

// Multipliers in the units of the constraints, ready for many tasks.
class PriceList {
 public:
  PriceList(const Instance& instance, const Multipliers& multipliers);
  TaskPrices of(const Instance& instance, const Task& task) const {
    TaskPrices prices;
    for (const Touch& touch : instance.touches_of(task)) {
      prices.of_output += price_[touch.server].per_mbit_s * touch.data_mb_s;
      prices.of_work += price_[touch.server].per_gflop_s * touch.data_mb_s;
    }
    prices.of_output *= 8 / task.latency_s;
    return prices;
  }
  // The position of the cheapest cut; `cuts` must not be empty.
  static std::uint32_t cheapest(const TaskPrices& prices, std::span<const Cut> cuts);

 private:
  struct Price {
    double per_mbit_s = 0;
    double per_gflop_s = 0;
  };
  std::vector<Price> price_;
};

}  // namespace tideline::schedule
