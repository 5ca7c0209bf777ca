// price-history and price-relearn: admit a task iff it is worth its price.
//
// The Lagrangian multipliers of the offline problem are prices: a task whose cheapest k costs more than 1 takes the place of
// more than one other task of the history. price-history learns them once. price-relearn learns them again ten times on
// the way, for what is still free and for as many tasks as are still expected, which corrects its own errors on the way and
// spends what is left at the end; it has to be told how many arrivals to expect. Without a history it learns from the arrivals
// (history.h). Neither evicts.
// One decision: O(servers + layers). Loses when the history is unlike what comes; docs/algorithms/online.md.
#include <algorithm>

#include "schedule/online/families.h"
#include "schedule/online/history.h"
#include "schedule/online/prices.h"

namespace tideline::schedule {
namespace {

class PriceOnline final : public OnlinePolicy {
 public:
  PriceOnline(const OnlineRequest& request, bool relearns)
      : deployment_(request.instance),
        history_(request),
        prices_(history_.first_prices()),
        cancel_(request.cancel),
        relearns_(relearns) {}

  Decision arrive(std::uint32_t task) override {
    history_.add_arrival(task);
    const TaskPrice price = price_of(deployment_, prices_, task);
    const PricedCut cut = cheapest_that_fits(deployment_, task, price, deployment_.room_for(task));
    if (cut.layers == 0 || cut.price > 1) return {};
    deployment_.place(task, cut.layers);
    return {.layers = cut.layers};
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

  std::vector<Recut> replan() override {
    if (!relearns_ || !history_.is_due() || cancel_.cancelled()) return {};
    const std::size_t servers = deployment_.instance().servers.size();
    std::vector<double> free_bandwidth(servers);
    std::vector<double> free_compute(servers);
    for (std::uint32_t i = 0; i < servers; ++i) {
      free_bandwidth[i] = std::clamp(1 - deployment_.used_bandwidth(i), 0.0, 1.0);
      free_compute[i] = std::clamp(1 - deployment_.used_compute(i), 0.0, 1.0);
    }
    Instance room;
    prices_ = learn_prices(deployment_.instance(), history_.tasks(room), history_.to_come(), free_bandwidth, free_compute);
    return {};
  }

 private:
  Deployment deployment_;
  History history_;
  Multipliers prices_;
  CancelToken cancel_;
  bool relearns_;
};

MadePolicy make_price_online(const OnlineRequest& request, bool relearns) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<PriceOnline>(request, relearns));
}

}  // namespace

MadePolicy make_price_history(const OnlineRequest& request) { return make_price_online(request, false); }
MadePolicy make_price_relearn(const OnlineRequest& request) { return make_price_online(request, true); }

}  // namespace tideline::schedule
