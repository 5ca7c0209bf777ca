// price-swap and price-recut: never turn away what fits; trade places when it pays.
//
// price-swap: a task that fits is deployed with its cheapest k. One that does not may take the place of exactly one deployed
// task that makes room and costs more at the learned prices; the dearest such goes. The count never falls.
// price-recut adds two things. Before anyone is evicted, one deployed task may change its k (run deeper where the link is full,
// shallower where the processor is) so that the newcomer fits beside it; the change with the smallest rise in price is taken, and
// the count rises where price-swap's would stay. And ten times on the way to the horizon the prices are learned again, from the
// tasks that are deployed now and as many of the history as are still expected, and every deployed task moves to the k that is
// cheapest at them. Without a history both learn from the arrivals (history.h). One decision: O(servers + layers) when it fits;
// else a bounded search for a partner (partners.h). Loses when evicting costs the user more than it is worth
// (--evictions-max 0 leaves only the recuts).
#include <algorithm>
#include <compare>
#include <limits>

#include "schedule/online/families.h"
#include "schedule/online/history.h"
#include "schedule/online/partners.h"
#include "schedule/online/prices.h"
#include "schedule/room.h"

namespace tideline::schedule {
namespace {

// Bounds on the work of one arrival, which keep it to tens of microseconds on any instance.
// k of the newcomer that are tried, cheapest first.
constexpr std::size_t kCutsMax = 3;
// The search for partners, over all k tried.
constexpr SearchBudget kBudget{.visits = 4000, .partners = 150};
// Full feasibility checks of a change of k: later candidates are dearer ones.
constexpr std::size_t kRecutChecksMax = 4;
constexpr double kAny = std::numeric_limits<double>::infinity();
// A deployed task changes its k at a re-plan only for a gain of this many task prices: less is noise of the prices.
constexpr double kMoveGainMin = 0.01;

// Tasks still to come that a re-plan counts in: a bound on its time and memory, beyond which prices hardly change.
constexpr std::uint32_t kExpectedMax = 100'000;

struct Swap {
  double cost = 0;  // of the victim
  std::uint32_t victim = 0;
  std::uint32_t layers = 0;  // of the newcomer; 0: there is none
};

struct RecutCandidate {
  double rise = 0;  // in price, newcomer's cut included
  std::uint32_t tenant = 0;
  std::uint32_t tenant_layers = 0;
  std::uint32_t layers = 0;
  auto operator<=>(const RecutCandidate&) const = default;
};

// What a search reads of a deployed task, in half a cache line: on large instances the misses are what it costs.
struct alignas(32) Held {
  TaskPrice price;
  double cost = 0;  // of its k now
  std::uint32_t layers = 0;
  std::uint32_t model = 0;
};

class PriceSwap final : public OnlinePolicy {
 public:
  PriceSwap(const OnlineRequest& request, bool recuts)
      : deployment_(request.instance),
        partners_(deployment_),
        useful_cuts_(request.instance),
        history_(request),
        cancel_(request.cancel),
        prices_(history_.first_prices()),
        held_(request.instance.tasks.size()),
        evictions_max_(request.evictions_max),
        recuts_(recuts) {}

  Decision arrive(std::uint32_t task) override {
    history_.add_arrival(task);
    const TaskPrice price = price_of(deployment_, prices_, task);
    const PricedCut cut = cheapest_that_fits(deployment_, task, price, deployment_.room_for(task));
    if (cut.layers > 0) {
      place(task, cut.layers, price);
      return {.layers = cut.layers};
    }
    order_cuts(task, price);
    look_for_ways(task);
    if (const Decision decision = recut(task, price); decision.layers > 0) return decision;
    return swap(task, price);
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

  std::vector<Recut> replan() override {
    const bool learns = recuts_ || !history_.is_given();
    if (!learns || !history_.is_due() || cancel_.cancelled()) return {};
    const Instance pool = expected_tasks();
    prices_ = learn_prices(deployment_.instance(), pool, static_cast<double>(pool.tasks.size()));
    for (std::uint32_t task = 0; task < held_.size(); ++task)
      if (deployment_.layers_of(task) > 0) hold(task, deployment_.layers_of(task), price_of(deployment_, prices_, task));
    return recuts_ ? move_to_cheapest_cuts() : std::vector<Recut>{};
  }

 private:
  // What is deployed now, and as many tasks of the history as are still to come, within reason.
  Instance expected_tasks() const {
    const Instance& instance = deployment_.instance();
    Instance pool{.bandwidth_share = instance.bandwidth_share, .servers = instance.servers, .models = instance.models};
    // The history may number its models differently.
    Instance room;
    const Instance& seen = history_.tasks(room);
    pool.models.insert(pool.models.end(), seen.models.begin(), seen.models.end());
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
    const std::uint32_t to_come = std::min(history_.to_come(), kExpectedMax);
    for (std::uint32_t i = 0; i < to_come; ++i)
      add(seen, static_cast<std::uint32_t>(i % seen.tasks.size()), instance.models.size());
    return pool;
  }

  std::vector<Recut> move_to_cheapest_cuts() {
    std::vector<Recut> moved;
    for (std::uint32_t task = 0; task < held_.size(); ++task) {
      const std::uint32_t before = deployment_.layers_of(task);
      if (before == 0) continue;
      const Held held = held_[task];
      deployment_.remove(task);
      const PricedCut cut = cheapest_that_fits(deployment_, task, held.price, deployment_.room_for(task));
      const bool pays = cut.layers != 0 && held.cost - cut.price > kMoveGainMin;
      place(task, pays ? cut.layers : before, held.price);
      if (pays) moved.push_back({task, cut.layers});
    }
    return moved;
  }

  void place(std::uint32_t task, std::uint32_t k, const TaskPrice& price) {
    deployment_.place(task, k);
    hold(task, k, price);
  }

  void hold(std::uint32_t task, std::uint32_t k, const TaskPrice& price) {
    held_[task] = {.price = price,
                   .cost = price.at(deployment_.layer(task, k)),
                   .layers = k,
                   .model = deployment_.instance().tasks[task].model};
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

  // Into swap_ and candidates_: the deployed tasks that could go, or change their k, for the newcomer at one of cuts_.
  void look_for_ways(std::uint32_t task) {
    swap_ = {};
    candidates_.clear();
    SearchBudget budget = kBudget;
    for (const PricedCut& cut : cuts_) {
      // A cheaper k with a victim leaves more for those who come than a dearer one with a dearer victim.
      const bool wants_victim = evictions_max_ > 0 && swap_.layers == 0;
      if (!wants_victim && !recuts_) return;
      for (const Partner& partner : partners_.find(task, cut.layers, budget)) {
        const Held& held = held_[partner.task];
        if (wants_victim && held.cost > cut.price && held.cost > swap_.cost)
          swap_ = {.cost = held.cost, .victim = partner.task, .layers = cut.layers};
        if (recuts_) gather_recuts(partner, held, cut);
      }
    }
  }

  // The ways in which the partner runs another k, into candidates_: the kRecutChecksMax with the smallest rise.
  void gather_recuts(const Partner& partner, const Held& held, const PricedCut& cut) {
    const Layer& now = deployment_.instance().models[held.model].layers[held.layers - 1];
    const double ratio_max = partner.bandwidth_share > 0 ? now.ratio * (1 - partner.bandwidth_share) : kAny;
    const double gflop_max = partner.compute_share > 0 ? now.gflop_per_mb * (1 - partner.compute_share) : kAny;
    for (const Cut& other : useful_cuts_.of_model(held.model)) {
      if (other.gflop_per_mb > gflop_max) return;
      if (other.ratio > ratio_max || other.layers == held.layers) continue;
      const double price = held.price.ratio_price * other.ratio + held.price.compute_price * other.gflop_per_mb;
      const RecutCandidate candidate{price - held.cost + cut.price, partner.task, other.layers, cut.layers};
      if (candidates_.size() == kRecutChecksMax) {
        if (!(candidate < candidates_.back())) continue;
        candidates_.pop_back();
      }
      candidates_.insert(std::upper_bound(candidates_.begin(), candidates_.end(), candidate), candidate);
    }
  }

  Decision swap(std::uint32_t task, const TaskPrice& price) {
    if (swap_.layers == 0) return {};
    deployment_.remove(swap_.victim);
    place(task, swap_.layers, price);
    return {.layers = swap_.layers, .evicted = {swap_.victim}};
  }

  Decision recut(std::uint32_t task, const TaskPrice& price) {
    for (const RecutCandidate& candidate : candidates_) {
      if (!fit_together(task, candidate)) continue;
      deployment_.recut(candidate.tenant, candidate.tenant_layers);
      hold(candidate.tenant, candidate.tenant_layers, held_[candidate.tenant].price);
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

  Deployment deployment_;
  PartnerSearch partners_;
  CutTable useful_cuts_;  // those that no other dominates
  History history_;
  CancelToken cancel_;
  Multipliers prices_;
  std::vector<Held> held_;  // of deployed tasks
  std::uint32_t evictions_max_;
  bool recuts_;
  // Of the arrival under way.
  std::vector<PricedCut> cuts_;
  Swap swap_;
  std::vector<RecutCandidate> candidates_;
};

MadePolicy make_price_swapping(const OnlineRequest& request, bool recuts) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<PriceSwap>(request, recuts));
}

}  // namespace

MadePolicy make_price_swap(const OnlineRequest& request) { return make_price_swapping(request, false); }
MadePolicy make_price_recut(const OnlineRequest& request) { return make_price_swapping(request, true); }

}  // namespace tideline::schedule
