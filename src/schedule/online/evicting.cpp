// fifo and lbf: the paper's two baselines, which make room by evicting.
//
// Both try the paper's k, then the nearest others. What does not fit evicts: fifo the task that has been deployed longest, lbf
// the one with the largest bandwidth demand (at the server where it has most data), until the newcomer fits. One that would
// not fit on empty servers evicts nobody. Three readings of the paper's sentence:
//   :until      any deployed task may go, even one that shares no server with the newcomer (the text, read literally)
//   :relevant   only tasks that load a server on which the newcomer's preferred k does not fit
//   :nw         as :until, but the newcomer is turned away instead when it is itself the one with the largest demand
// O(log n) per eviction for :until and :nw, a scan of the tenants of the full servers for :relevant.
#include <algorithm>
#include <set>

#include "schedule/online/cuts.h"
#include "schedule/online/families.h"

namespace tideline::schedule {
namespace {

enum class Order { kOldest, kLargest };
enum class Scope { kUntil, kRelevant, kNotWorse };

class Evicting final : public OnlinePolicy {
 public:
  Evicting(const OnlineRequest& request, Order order, Scope scope)
      : deployment_(request.instance),
        cuts_(request.instance),
        order_(order),
        scope_(scope),
        evictions_max_(request.evictions_max),
        key_(request.instance.tasks.size()) {}

  Decision arrive(std::uint32_t task) override {
    const std::vector<std::uint32_t>& cuts = cuts_.order(deployment_.instance().tasks[task]);
    ++clock_;
    std::uint32_t k = first_that_fits(deployment_, task, deployment_.room_for(task), cuts);
    std::vector<Victim> victims;
    if (k == 0 && first_that_fits(deployment_, task, deployment_.room_when_empty(task), cuts) > 0) {
      while (k == 0 && victims.size() < evictions_max_) {
        const std::uint32_t victim = next_victim(task);
        if (victim == kNoLimit) break;
        victims.push_back({victim, deployment_.layers_of(victim)});
        forget(victim);
        deployment_.remove(victim);
        k = first_that_fits(deployment_, task, deployment_.room_for(task), cuts);
      }
    }
    if (k == 0) {
      // Not even so: nobody loses a place.
      for (auto victim = victims.rbegin(); victim != victims.rend(); ++victim) {
        deployment_.place(victim->task, victim->layers);
        queue_.insert({key_[victim->task], victim->task});
      }
      return {};
    }
    deployment_.place(task, k);
    key_[task] = order_ == Order::kOldest ? static_cast<double>(clock_) : -demand(task, k);
    queue_.insert({key_[task], task});
    Decision decision{.layers = k};
    for (const Victim& victim : victims) decision.evicted.push_back(victim.task);
    return decision;
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) == 0) return;
    forget(task);
    deployment_.remove(task);
  }

 private:
  struct Victim {
    std::uint32_t task;
    std::uint32_t layers;
  };

  double demand(std::uint32_t index, std::uint32_t k) const {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[index];
    double largest = 0;
    for (const Touch& touch : instance.touches_of(task))
      largest = std::max(largest, bandwidth_demand_mbit_s(instance, task, touch, k));
    return largest;
  }

  // kNoLimit: none.
  std::uint32_t next_victim(std::uint32_t newcomer) const {
    if (queue_.empty()) return kNoLimit;
    if (scope_ == Scope::kRelevant) return next_relevant(newcomer);
    const std::uint32_t first = queue_.begin()->second;
    if (scope_ == Scope::kNotWorse &&
        -queue_.begin()->first < demand(newcomer, cuts_.best(deployment_.instance().tasks[newcomer])))
      return kNoLimit;
    return first;
  }

  std::uint32_t next_relevant(std::uint32_t newcomer) const {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[newcomer];
    const Layer& cut = deployment_.layer(newcomer, cuts_.best(task));
    std::pair<double, std::uint32_t> first{0, kNoLimit};
    for (const Touch& touch : instance.touches_of(task)) {
      const UnitDemand unit = deployment_.unit_demand(task, touch);
      const bool is_full = deployment_.used_bandwidth(touch.server) + unit.bandwidth * cut.ratio > 1 + kUtilisationSlack ||
                           deployment_.used_compute(touch.server) + unit.compute * cut.gflop_per_mb > 1 + kUtilisationSlack;
      if (!is_full) continue;
      const auto [tasks, uses] = deployment_.tenants(touch.server);
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (uses[i].is_gone()) continue;
        const std::uint32_t tenant = tasks[i];
        const std::pair<double, std::uint32_t> candidate{key_[tenant], tenant};
        if (first.second == kNoLimit || candidate < first) first = candidate;
      }
    }
    return first.second;
  }

  void forget(std::uint32_t task) { queue_.erase({key_[task], task}); }

  Deployment deployment_;
  Li2018Cuts cuts_;
  Order order_;
  Scope scope_;
  std::uint32_t evictions_max_;
  std::uint64_t clock_ = 0;
  // Who goes first: the smallest key.
  std::vector<double> key_;
  std::set<std::pair<double, std::uint32_t>> queue_;
};

MadePolicy make_evicting(const OnlineRequest& request, Order order, Scope scope) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Evicting>(request, order, scope));
}

}  // namespace

MadePolicy make_fifo_until(const OnlineRequest& request) { return make_evicting(request, Order::kOldest, Scope::kUntil); }
MadePolicy make_fifo_relevant(const OnlineRequest& request) { return make_evicting(request, Order::kOldest, Scope::kRelevant); }
MadePolicy make_lbf_until(const OnlineRequest& request) { return make_evicting(request, Order::kLargest, Scope::kUntil); }
MadePolicy make_lbf_nw(const OnlineRequest& request) { return make_evicting(request, Order::kLargest, Scope::kNotWorse); }
MadePolicy make_lbf_relevant(const OnlineRequest& request) { return make_evicting(request, Order::kLargest, Scope::kRelevant); }

}  // namespace tideline::schedule
