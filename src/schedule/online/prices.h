// Prices of utilisation learned from tasks seen before, and what a task costs at them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "schedule/online/deployment.h"

namespace tideline::schedule {

// The Lagrangian multipliers of the offline problem whose tasks are `history`, thinned or thickened to `arrivals` of them (by
// scaling the capacities with the inverse), on what is free: shares of V * b_i and c_i in [0, 1], one per server; empty: all.
// The servers of `servers_of` are used, those of `history` are ignored. Deterministic. Cost: one run of the dual solver on one
// thread, about 0.1 s for 1,000 tasks on 50 servers. REQUIRES: history.tasks is not empty.
Multipliers learn_prices(const Instance& servers_of, const Instance& history, double arrivals,
                         const std::vector<double>& free_bandwidth = {}, const std::vector<double>& free_compute = {});

// What a task costs at k layers: ratio_price * r_k + compute_price * l_k. One pass over its servers.
struct TaskPrice {
  double ratio_price = 0;
  double compute_price = 0;
  double at(const Layer& layer) const { return ratio_price * layer.ratio + compute_price * layer.gflop_per_mb; }
};
TaskPrice price_of(const Deployment& deployment, const Multipliers& prices, std::uint32_t task);

struct PricedCut {
  std::uint32_t layers = 0;  // 0: none
  double price = 0;
};
// The cheapest k that the room holds; the shallower of equals.
PricedCut cheapest_that_fits(const Deployment& deployment, std::uint32_t task, const TaskPrice& price, const CutRoom& room);

}  // namespace tideline::schedule
