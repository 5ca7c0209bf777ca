#include "schedule/price_list.h"

namespace tideline::schedule {

PriceList::PriceList(const Instance& instance, const Multipliers& multipliers) {
  price_.reserve(instance.servers.size());
  for (std::size_t i = 0; i < instance.servers.size(); ++i)
    price_.push_back({.per_mbit_s = multipliers.bandwidth[i] / (instance.bandwidth_share * instance.servers[i].bandwidth_mbit_s),
                      .per_gflop_s = multipliers.compute[i] / instance.servers[i].capacity_gflop_s});
}

std::uint32_t PriceList::cheapest(const TaskPrices& prices, std::span<const Cut> cuts) {
  std::uint32_t best = 0;
  for (std::uint32_t c = 1; c < cuts.size(); ++c)
    if (prices.cost(cuts[c]) < prices.cost(cuts[best])) best = c;
  return best;
}

}  // namespace tideline::schedule
