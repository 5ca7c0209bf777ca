#include "schedule/online/prices.h"

#include <algorithm>

#include "schedule/dual.h"

namespace tideline::schedule {
namespace {

// A capacity of nothing has no price; a millionth of it is as good as nothing.
constexpr double kFreeMin = 1e-6;
// Prices need no certificate: a bound within a ten-thousandth is far below the noise of the sample.
constexpr double kGap = 1e-4;

}  // namespace

Multipliers learn_prices(const Instance& servers_of, const Instance& history, double arrivals,
                         const std::vector<double>& free_bandwidth, const std::vector<double>& free_compute) {
  Instance sample = history;
  sample.servers = servers_of.servers;
  sample.bandwidth_share = servers_of.bandwidth_share;
  const double scale = static_cast<double>(history.tasks.size()) / std::max(1.0, arrivals);
  // One thread: the same prices on every machine.
  DualOptions options{.threads = 1, .gap = kGap};
  for (std::size_t i = 0; i < sample.servers.size(); ++i) {
    options.bandwidth_left.push_back(scale * std::max(kFreeMin, free_bandwidth.empty() ? 1 : free_bandwidth[i]));
    options.compute_left.push_back(scale * std::max(kFreeMin, free_compute.empty() ? 1 : free_compute[i]));
  }
  return solve_dual(sample, CutTable(sample), options).multipliers;
}

TaskPrice price_of(const Deployment& deployment, const Multipliers& prices, std::uint32_t index) {
  const Instance& instance = deployment.instance();
  const Task& task = instance.tasks[index];
  TaskPrice price;
  for (const Touch& touch : instance.touches_of(task)) {
    const UnitDemand unit = deployment.unit_demand(task, touch);
    price.ratio_price += prices.bandwidth[touch.server] * unit.bandwidth;
    price.compute_price += prices.compute[touch.server] * unit.compute;
  }
  return price;
}

PricedCut cheapest_that_fits(const Deployment& deployment, std::uint32_t index, const TaskPrice& price, const CutRoom& room) {
  const std::vector<Layer>& layers = deployment.instance().model_of(deployment.instance().tasks[index]).layers;
  PricedCut cheapest;
  for (std::uint32_t k = 1; k <= layers.size(); ++k) {
    if (!room.holds(layers[k - 1])) continue;
    const double cost = price.at(layers[k - 1]);
    if (cheapest.layers == 0 || cost < cheapest.price) cheapest = {k, cost};
  }
  return cheapest;
}

}  // namespace tideline::schedule
