#include "schedule/online/partners.h"

#include <algorithm>

namespace tideline::schedule {
namespace {

double share(double excess, double use) { return excess > 0 ? excess / use : 0; }

}  // namespace

void PartnerSearch::find_excess(std::uint32_t newcomer, std::uint32_t layers) {
  const Instance& instance = deployment_.instance();
  const Task& task = instance.tasks[newcomer];
  const Layer& cut = deployment_.layer(newcomer, layers);
  excess_.clear();
  for (const Touch& touch : instance.touches_of(task)) {
    const UnitDemand unit = deployment_.unit_demand(task, touch);
    const double bandwidth = deployment_.used_bandwidth(touch.server) + unit.bandwidth * cut.ratio - 1 - kUtilisationSlack;
    const double compute = deployment_.used_compute(touch.server) + unit.compute * cut.gflop_per_mb - 1 - kUtilisationSlack;
    if (bandwidth > 0 || compute > 0) excess_.push_back({touch.server, std::max(0.0, bandwidth), std::max(0.0, compute)});
  }
  std::stable_sort(excess_.begin(), excess_.end(), [&](const Excess& a, const Excess& b) {
    return deployment_.tenants(a.server).tasks.size() < deployment_.tenants(b.server).tasks.size();
  });
}

// Most of those found are not on the other servers: their shares can wait.
void PartnerSearch::scan(const Excess& excess, std::size_t& visits_left) {
  const auto [tasks, uses] = deployment_.tenants(excess.server);
  const std::size_t count = std::min(visits_left, tasks.size());
  visits_left -= count;
  found_.resize(count + 1);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found_[kept] = tasks[i];
    kept += excess.relieved_by(uses[i]) ? 1 : 0;
  }
  found_.resize(kept);
}

// A walk and not a search: both lists are sorted, and its steps are what a processor foresees.
void PartnerSearch::keep_those_on(const Excess& excess) {
  const auto [tasks, uses] = deployment_.tenants(excess.server);
  std::size_t at = 0, kept = 0;
  for (const std::uint32_t task : found_) {
    while (at < tasks.size() && tasks[at] < task) ++at;
    if (at == tasks.size()) break;
    found_[kept] = task;
    kept += tasks[at] == task && excess.relieved_by(uses[at]) ? 1 : 0;
  }
  found_.resize(kept);
}

void PartnerSearch::add_shares(const Excess& excess) {
  const auto [tasks, uses] = deployment_.tenants(excess.server);
  std::size_t at = 0;
  for (Partner& partner : partners_) {
    while (tasks[at] < partner.task) ++at;
    partner.bandwidth_share = std::max(partner.bandwidth_share, share(excess.bandwidth, uses[at].bandwidth));
    partner.compute_share = std::max(partner.compute_share, share(excess.compute, uses[at].compute));
  }
}

std::span<const Partner> PartnerSearch::find(std::uint32_t newcomer, std::uint32_t layers, SearchBudget& budget) {
  find_excess(newcomer, layers);
  scan(excess_.front(), budget.visits);
  for (std::size_t e = 1; e < excess_.size() && !found_.empty(); ++e) keep_those_on(excess_[e]);
  if (found_.size() > budget.partners) found_.resize(budget.partners);
  budget.partners -= found_.size();
  partners_.clear();
  if (found_.empty()) return partners_;
  for (const std::uint32_t task : found_) partners_.push_back({.task = task});
  for (const Excess& excess : excess_) add_shares(excess);
  return partners_;
}

}  // namespace tideline::schedule
