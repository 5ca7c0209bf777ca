// price-swap and price-recut: never turn away what fits; trade places when it pays.
//
// price-swap: a task that fits is deployed with its cheapest k. One that does not may take the place of exactly one deployed
// task that makes room and costs more at the learned prices; the dearest such goes. The count never falls.
// price-recut adds two things. Before anyone is evicted, one deployed task may change its k (run deeper where the link is full,
// shallower where the processor is) so that the newcomer fits beside it; the change with the smallest rise in price is taken, and
// the count rises where price-swap's would stay. And ten times on the way to the horizon the prices are learned again, from the
// tasks that are deployed now and as many of the history as are still expected, and every deployed task moves to the k that is
// cheapest at them. One decision: O(servers + layers) when it fits; else a bounded scan of the tenants of one full server. Loses
// when evicting costs the user more than it is worth (--evictions-max 0 leaves only the recuts).
#include <algorithm>
#include <limits>
#include <tuple>

#include "schedule/online/families.h"
#include "schedule/online/prices.h"

namespace tideline::schedule {
namespace {

// Bounds on the work of one arrival, which keep it to tens of microseconds on any instance.
// k of the newcomer that are tried, cheapest first.
constexpr std::size_t kCutsMax = 4;
// Tenants looked at, in one search for a partner.
constexpr std::size_t kVisitsMax = 1500;
// Full feasibility checks of a change of k: later candidates are dearer ones.
constexpr std::size_t kRecutChecksMax = 8;
// A deployed task changes its k at a re-plan only for a gain of this many task prices: less is noise of the prices.
constexpr double kMoveGainMin = 0.01;

// A resource that the newcomer would overfill: by how much.
struct Excess {
  std::uint32_t server = 0;
  double bandwidth = 0;  // over 1; 0: not overfull
  double compute = 0;
};

class PriceSwap final : public OnlinePolicy {
 public:
  PriceSwap(const OnlineRequest& request, Multipliers prices, bool recuts)
      : deployment_(request.instance),
        history_(*request.history),
        horizon_(request.horizon),
        cancel_(request.cancel),
        prices_(std::move(prices)),
        price_(request.instance.tasks.size()),
        evictions_max_(request.evictions_max),
        recuts_(recuts) {}

  Decision arrive(std::uint32_t task) override {
    ++arrived_;
    const TaskPrice price = price_of(deployment_, prices_, task);
    const PricedCut cut = cheapest_that_fits(deployment_, task, price, deployment_.room_for(task));
    if (cut.layers > 0) {
      place(task, cut.layers, price);
      return {.layers = cut.layers};
    }
    order_cuts(task, price);
    if (recuts_) {
      if (const Decision decision = recut_for(task, price); decision.layers > 0) return decision;
    }
    return evictions_max_ == 0 ? Decision{} : swap_for(task, price);
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

  std::vector<Recut> replan() override {
    if (!recuts_ || arrived_ == 0 || arrived_ % relearn_period(horizon_) != 0 || cancel_.cancelled()) return {};
    const Instance pool = expected_tasks();
    prices_ = learn_prices(deployment_.instance(), pool, static_cast<double>(pool.tasks.size()));
    for (std::uint32_t task = 0; task < price_.size(); ++task)
      if (deployment_.layers_of(task) > 0) price_[task] = price_of(deployment_, prices_, task);
    return move_to_cheapest_cuts();
  }

 private:
  // What is deployed now, and as many tasks of the history as are still to come.
  Instance expected_tasks() const {
    const Instance& instance = deployment_.instance();
    Instance pool{.bandwidth_share = instance.bandwidth_share, .servers = instance.servers, .models = instance.models};
    // The history may number its models differently.
    pool.models.insert(pool.models.end(), history_.models.begin(), history_.models.end());
    const auto add = [&pool](const Instance& from, std::uint32_t index, std::size_t first_model) {
      Task task = from.tasks[index];
      const auto touches = from.touches_of(task);
      task.first_touch = pool.touches.size();
      task.model += static_cast<std::uint32_t>(first_model);
      pool.touches.insert(pool.touches.end(), touches.begin(), touches.end());
      pool.tasks.push_back(task);
    };
    for (std::uint32_t task = 0; task < instance.tasks.size(); ++task)
      if (deployment_.layers_of(task) > 0) add(instance, task, 0);
    const std::uint32_t to_come = horizon_ > arrived_ ? horizon_ - arrived_ : relearn_period(horizon_);
    for (std::uint32_t i = 0; i < to_come; ++i)
      add(history_, static_cast<std::uint32_t>(i % history_.tasks.size()), instance.models.size());
    return pool;
  }

  std::vector<Recut> move_to_cheapest_cuts() {
    std::vector<Recut> moved;
    for (std::uint32_t task = 0; task < price_.size(); ++task) {
      const std::uint32_t before = deployment_.layers_of(task);
      if (before == 0) continue;
      deployment_.remove(task);
      const PricedCut cut = cheapest_that_fits(deployment_, task, price_[task], deployment_.room_for(task));
      const bool pays = cut.layers != 0 && price_[task].at(deployment_.layer(task, before)) - cut.price > kMoveGainMin;
      deployment_.place(task, pays ? cut.layers : before);
      if (pays) moved.push_back({task, cut.layers});
    }
    return moved;
  }

  void place(std::uint32_t task, std::uint32_t k, const TaskPrice& price) {
    deployment_.place(task, k);
    price_[task] = price;
  }

  // The newcomer's k that would fit on empty servers, cheapest first, into cuts_.
  void order_cuts(std::uint32_t task, const TaskPrice& price) {
    const CutRoom room = deployment_.room_when_empty(task);
    const std::vector<Layer>& layers = deployment_.instance().model_of(deployment_.instance().tasks[task]).layers;
    cuts_.clear();
    for (std::uint32_t k = 1; k <= layers.size(); ++k)
      if (room.holds(layers[k - 1])) cuts_.push_back({k, price.at(layers[k - 1])});
    std::stable_sort(cuts_.begin(), cuts_.end(), [](const PricedCut& a, const PricedCut& b) { return a.price < b.price; });
    if (cuts_.size() > kCutsMax) cuts_.resize(kCutsMax);
  }

  // Into excess_: the servers that the newcomer would overfill, those with the fewest tenants first.
  void find_excess(std::uint32_t index, std::uint32_t k) {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[index];
    const Layer& cut = deployment_.layer(index, k);
    excess_.clear();
    for (const Touch& touch : instance.touches_of(task)) {
      const UnitDemand unit = deployment_.unit_demand(task, touch);
      const double bandwidth = deployment_.used_bandwidth(touch.server) + unit.bandwidth * cut.ratio - 1 - kUtilisationSlack;
      const double compute = deployment_.used_compute(touch.server) + unit.compute * cut.gflop_per_mb - 1 - kUtilisationSlack;
      if (bandwidth > 0 || compute > 0) excess_.push_back({touch.server, std::max(0.0, bandwidth), std::max(0.0, compute)});
    }
    std::stable_sort(excess_.begin(), excess_.end(), [&](const Excess& a, const Excess& b) {
      return deployment_.tenants(a.server).size() < deployment_.tenants(b.server).size();
    });
  }

  // Calls `visit(tenant, relief)` for every tenant of all overfull servers, where `relief` is how much of its ratio and its
  // GFLOP/MB would have to go for the newcomer to fit. The lists are sorted alike, so one walk along them finds who is in all;
  // most walks end soon, as few tasks share two given servers.
  template <typename Visit>
  void for_each_partner(Visit&& visit) {
    cursors_.assign(excess_.size(), 0);
    for (const Deployment::Tenant& tenant : deployment_.tenants(excess_.front().server)) {
      if (visits_left_ == 0) return;
      --visits_left_;
      // Most are too small to help, whatever they do.
      if (!could_relieve(tenant, excess_.front())) continue;
      Layer relief = relief_of(tenant, excess_.front());
      bool is_in_all = true;
      for (std::size_t e = 1; e < excess_.size() && is_in_all; ++e) {
        const auto tenants = deployment_.tenants(excess_[e].server);
        while (cursors_[e] < tenants.size() && tenants[cursors_[e]].task < tenant.task) ++cursors_[e];
        if (cursors_[e] == tenants.size()) return;
        is_in_all = tenants[cursors_[e]].task == tenant.task && could_relieve(tenants[cursors_[e]], excess_[e]);
        if (!is_in_all) break;
        const Layer here = relief_of(tenants[cursors_[e]], excess_[e]);
        relief = {std::max(relief.ratio, here.ratio), std::max(relief.gflop_per_mb, here.gflop_per_mb)};
      }
      if (is_in_all) visit(tenant, relief);
    }
  }

  static bool could_relieve(const Deployment::Tenant& tenant, const Excess& excess) {
    return tenant.unit.bandwidth * tenant.held.ratio >= excess.bandwidth &&
           tenant.unit.compute * tenant.held.gflop_per_mb >= excess.compute;
  }

  static Layer relief_of(const Deployment::Tenant& tenant, const Excess& excess) {
    constexpr double kNone = -std::numeric_limits<double>::infinity();
    return {.ratio = excess.bandwidth > 0 ? excess.bandwidth / tenant.unit.bandwidth : kNone,
            .gflop_per_mb = excess.compute > 0 ? excess.compute / tenant.unit.compute : kNone};
  }

  Decision swap_for(std::uint32_t task, const TaskPrice& price) {
    visits_left_ = kVisitsMax;
    double dearest = 0;
    std::uint32_t victim = kNoLimit;
    std::uint32_t layers = 0;
    for (const PricedCut& cut : cuts_) {
      find_excess(task, cut.layers);
      for_each_partner([&](const Deployment::Tenant& tenant, const Layer& relief) {
        if (tenant.held.ratio < relief.ratio || tenant.held.gflop_per_mb < relief.gflop_per_mb) return;
        const double held_price = price_[tenant.task].at(tenant.held);
        if (held_price <= cut.price || held_price <= dearest) return;
        dearest = held_price;
        victim = tenant.task;
        layers = cut.layers;
      });
      // A cheaper k with a victim leaves more for those who come than a dearer one with a dearer victim.
      if (victim != kNoLimit) break;
    }
    if (victim == kNoLimit) return {};
    deployment_.remove(victim);
    place(task, layers, price);
    return {.layers = layers, .evicted = {victim}};
  }

  struct RecutCandidate {
    double rise = 0;  // in price, newcomer's cut included
    std::uint32_t tenant = 0;
    std::uint32_t tenant_layers = 0;
    std::uint32_t layers = 0;
  };

  Decision recut_for(std::uint32_t task, const TaskPrice& price) {
    candidates_.clear();
    visits_left_ = kVisitsMax;
    for (const PricedCut& cut : cuts_) {
      find_excess(task, cut.layers);
      for_each_partner([&](const Deployment::Tenant& tenant, const Layer& relief) { gather_recuts(tenant, relief, cut); });
    }
    const std::size_t checked = std::min(kRecutChecksMax, candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(checked), candidates_.end(),
                      [](const RecutCandidate& a, const RecutCandidate& b) {
                        return std::tie(a.rise, a.tenant, a.tenant_layers, a.layers) <
                               std::tie(b.rise, b.tenant, b.tenant_layers, b.layers);
                      });
    for (std::size_t i = 0; i < checked; ++i) {
      const RecutCandidate& candidate = candidates_[i];
      if (!fit_together(task, candidate)) continue;
      deployment_.recut(candidate.tenant, candidate.tenant_layers);
      place(task, candidate.layers, price);
      return {.layers = candidate.layers, .recut = {{candidate.tenant, candidate.tenant_layers}}};
    }
    return {};
  }

  // Whether the tenant with its other k and the newcomer fit on all servers of the tenant. On the newcomer's others they do:
  // those that were overfull are the tenant's too.
  bool fit_together(std::uint32_t newcomer, const RecutCandidate& candidate) const {
    const Instance& instance = deployment_.instance();
    const Task& tenant = instance.tasks[candidate.tenant];
    const Task& task = instance.tasks[newcomer];
    const Layer& before = deployment_.layer(candidate.tenant, deployment_.layers_of(candidate.tenant));
    const Layer& after = deployment_.layer(candidate.tenant, candidate.tenant_layers);
    const Layer& cut = deployment_.layer(newcomer, candidate.layers);
    const auto touches = instance.touches_of(task);
    std::size_t at = 0;
    for (const Touch& touch : instance.touches_of(tenant)) {
      const UnitDemand unit = deployment_.unit_demand(tenant, touch);
      double bandwidth = deployment_.used_bandwidth(touch.server) + unit.bandwidth * (after.ratio - before.ratio);
      double compute = deployment_.used_compute(touch.server) + unit.compute * (after.gflop_per_mb - before.gflop_per_mb);
      while (at < touches.size() && touches[at].server < touch.server) ++at;
      if (at < touches.size() && touches[at].server == touch.server) {
        const UnitDemand own = deployment_.unit_demand(task, touches[at]);
        bandwidth += own.bandwidth * cut.ratio;
        compute += own.compute * cut.gflop_per_mb;
      }
      if (bandwidth > 1 + kUtilisationSlack || compute > 1 + kUtilisationSlack) return false;
    }
    return true;
  }

  void gather_recuts(const Deployment::Tenant& tenant, const Layer& relief, const PricedCut& cut) {
    // What another k may ask for at most.
    const double ratio_max = tenant.held.ratio - relief.ratio;
    const double gflop_max = tenant.held.gflop_per_mb - relief.gflop_per_mb;
    if (ratio_max < 0 || gflop_max < 0) return;
    const std::vector<Layer>& layers = tenant.model->layers;
    for (std::uint32_t k = 1; k <= layers.size(); ++k) {
      const Layer& other = layers[k - 1];
      if (k == tenant.layers || other.ratio > ratio_max || other.gflop_per_mb > gflop_max) continue;
      const TaskPrice& price = price_[tenant.task];
      candidates_.push_back({price.at(other) - price.at(tenant.held) + cut.price, tenant.task, k, cut.layers});
    }
  }

  Deployment deployment_;
  const Instance& history_;
  std::uint32_t horizon_;
  CancelToken cancel_;
  Multipliers prices_;
  std::vector<TaskPrice> price_;  // of deployed tasks
  std::uint32_t evictions_max_;
  bool recuts_;
  std::uint32_t arrived_ = 0;
  std::size_t visits_left_ = 0;
  // Kept between arrivals for their memory only.
  std::vector<PricedCut> cuts_;
  std::vector<Excess> excess_;
  std::vector<std::size_t> cursors_;
  std::vector<RecutCandidate> candidates_;
};

MadePolicy make(const OnlineRequest& request, bool recuts) {
  Multipliers prices = learn_prices(request.instance, *request.history, request.horizon);
  return std::unique_ptr<OnlinePolicy>(std::make_unique<PriceSwap>(request, std::move(prices), recuts));
}

}  // namespace

MadePolicy make_price_swap(const OnlineRequest& request) { return make(request, false); }
MadePolicy make_price_recut(const OnlineRequest& request) { return make(request, true); }

}  // namespace tideline::schedule
