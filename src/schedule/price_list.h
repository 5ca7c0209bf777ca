// Multipliers in the units of the constraints, ready to price many tasks.
//
// Both demands of a task on a server are its data times a number of the cut, so a task at cut k costs
//   cost_jk = ratio_k * of_output + gflop_per_mb_k * of_work
// with two numbers of the task, found in one walk over its servers. Values; thread-safe once made.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/instance.h"
#include "schedule/room.h"

namespace tideline::schedule {

// The prices of a task's data.
struct TaskPrices {
  double of_output = 0;
  double of_work = 0;
  double cost(const Cut& cut) const { return cut.ratio * of_output + cut.gflop_per_mb * of_work; }
};

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
