// price-history and price-relearn: admit a task iff it is worth its price.
//
// The Lagrangian multipliers of the offline problem are prices: a task whose cheapest k costs more than 1 takes the place of
// more than one other task of the history. price-history learns them once. price-relearn learns them again ten times on
// the way, for what is still free and for as many tasks as are still expected, which corrects its own errors on the way and
// spends what is left at the end; it has to be told how many arrivals to expect. Neither evicts.
// One decision: O(servers + layers). Loses when the history is unlike what comes; docs/algorithms/online.md.
#include <algorithm>

#include "schedule/online/families.h"
#include "schedule/online/prices.h"

namespace tideline::schedule {
namespace {

class PriceOnline final : public OnlinePolicy {
 public:
  PriceOnline(const OnlineRequest& request, Multipliers prices, bool relearns)
      : deployment_(request.instance),
        history_(*request.history),
        prices_(std::move(prices)),
        horizon_(request.horizon),
        cancel_(request.cancel),
        relearns_(relearns) {}

  Decision arrive(std::uint32_t task) override {
    ++arrived_;
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
    if (!relearns_ || arrived_ % relearn_period(horizon_) != 0 || cancel_.cancelled()) return {};
    const std::uint32_t left = horizon_ > arrived_ ? horizon_ - arrived_ : relearn_period(horizon_);
    const std::size_t servers = deployment_.instance().servers.size();
    std::vector<double> free_bandwidth(servers);
    std::vector<double> free_compute(servers);
    for (std::uint32_t i = 0; i < servers; ++i) {
      free_bandwidth[i] = std::clamp(1 - deployment_.used_bandwidth(i), 0.0, 1.0);
      free_compute[i] = std::clamp(1 - deployment_.used_compute(i), 0.0, 1.0);
    }
    prices_ = learn_prices(deployment_.instance(), history_, left, free_bandwidth, free_compute);
    return {};
  }

 private:
  Deployment deployment_;
  const Instance& history_;
  Multipliers prices_;
  std::uint32_t horizon_;
  CancelToken cancel_;
  bool relearns_;
  std::uint32_t arrived_ = 0;
};

MadePolicy make(const OnlineRequest& request, bool relearns) {
  Multipliers prices = learn_prices(request.instance, *request.history, request.horizon);
  return std::unique_ptr<OnlinePolicy>(std::make_unique<PriceOnline>(request, std::move(prices), relearns));
}

}  // namespace

MadePolicy make_price_history(const OnlineRequest& request) { return make(request, false); }
MadePolicy make_price_relearn(const OnlineRequest& request) { return make(request, true); }

}  // namespace tideline::schedule
