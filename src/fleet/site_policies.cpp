#include "fleet/site_policies.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "fleet/site_load.h"
#include "schedule/certify.h"
#include "schedule/dual.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"

namespace tideline::fleet {
namespace {

using schedule::Grant;
using schedule::Instance;

// The policy on the tasks of each priority, the highest first, in what those before have left.
Result<std::vector<std::uint32_t>> run_by_priority(const Instance& instance, const std::vector<std::int64_t>& priorities,
                                                   const FleetPlanOptions& options) {
  std::map<std::int64_t, std::vector<std::uint32_t>, std::greater<>> groups;
  for (std::uint32_t j = 0; j < instance.tasks.size(); ++j) groups[priorities[j]].push_back(j);
  if (groups.size() == 1) return run_one(instance, options);
  std::vector<std::uint32_t> layers(instance.tasks.size());
  std::vector<schedule::Server> left = instance.servers;
  for (const auto& [priority, tasks] : groups) {
    Instance group = select_tasks(instance, tasks);
    group.servers = left;
    TIDELINE_TRY(const std::vector<std::uint32_t> of_group, run_one(group, options));
    for (std::size_t n = 0; n < tasks.size(); ++n) {
      layers[tasks[n]] = of_group[n];
      if (of_group[n] == 0) continue;
      const schedule::Task& task = group.tasks[n];
      for (const schedule::Touch& touch : group.touches_of(task)) {
        schedule::Server& server = left[touch.server];
        server.bandwidth_mbit_s = std::max(
            kNothing, server.bandwidth_mbit_s - bandwidth_demand_mbit_s(group, task, touch, of_group[n]) / group.bandwidth_share);
        server.capacity_gflop_s =
            std::max(kNothing, server.capacity_gflop_s - compute_demand_gflop_s(group, task, touch, of_group[n]));
      }
    }
  }
  return layers;
}

}  // namespace

Result<std::vector<std::uint32_t>> run_one(const Instance& instance, const FleetPlanOptions& options) {
  if (schedule::find_online_policy(options.policy) != nullptr) {
    TIDELINE_TRY(
        const schedule::OnlineRun run,
        schedule::run_online(options.policy, {.instance = instance, .cancel = options.cancel}, schedule::all_arrive(instance)));
    return run.schedule.layers;
  }
  TIDELINE_TRY(const schedule::CheckedSchedule answer, schedule::run_policy(options.policy, instance,
                                                                            {.seed = options.seed,
                                                                             .time_limit = options.time_limit,
                                                                             .search_steps = options.search_steps,
                                                                             .threads = options.threads,
                                                                             .cancel = options.cancel}));
  return answer.schedule.layers;
}

Result<SiteSchedule> SitePolicies::decide(const SiteInstance& site, bool with_bound) const {
  if (is_everywhere()) return decide_everywhere(site);
  switch (options_.model) {
    case FleetModelKind::kPaper: return decide_paper(site, with_bound);
    case FleetModelKind::kExtended: return decide_extended(site, with_bound);
    case FleetModelKind::kQueueing: break;
  }
  return decide_queueing(site, with_bound);
}

bool SitePolicies::is_everywhere() const { return options_.policy == kAllEdge || options_.policy == kAllCloud; }

schedule::QueueingOptions SitePolicies::queueing() const {
  return {.arrivals = fleet_.periodic ? schedule::RequestArrivals::kPeriodic : schedule::RequestArrivals::kPoisson,
          .cloud_gflop_s = kMsPerSecond};
}

std::vector<std::int64_t> SitePolicies::priorities(const std::vector<std::uint32_t>& tasks) const {
  std::vector<std::int64_t> all;
  for (const std::uint32_t j : tasks) all.push_back(fleet_.tasks[j].priority);
  return all;
}

std::vector<std::uint32_t> SitePolicies::every_task() const {
  std::vector<std::uint32_t> all(fleet_.tasks.size());
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

SiteSchedule SitePolicies::decide_everywhere(const SiteInstance& site) const {
  SiteSchedule decided;
  const std::vector<double> none(site.instance.servers.size());
  decided.multipliers = {none, none};
  for (const schedule::Task& task : site.instance.tasks) {
    const auto& layers = site.instance.model_of(task).layers;
    Grant grant{.admitted = true, .layers = static_cast<std::uint32_t>(layers.size())};
    if (options_.policy == kAllCloud) grant.layers = task.raw_stays ? 1 : 0;
    grant.mbit_s_per_mb = 8 * (grant.layers == 0 ? 1 : layers[grant.layers - 1].ratio);
    grant.gflop_s_per_mb = grant.layers == 0 ? 0 : layers[grant.layers - 1].gflop_per_mb;
    decided.choices.push_back({grant});
    decided.grants.push_back(grant);
  }
  return decided;
}

schedule::Multipliers SitePolicies::prices(const Instance& instance) const {
  return schedule::solve_dual(instance, schedule::CutTable(instance), {.threads = options_.threads, .cancel = options_.cancel})
      .multipliers;
}

Result<SiteSchedule> SitePolicies::decide_paper(const SiteInstance& site, bool with_bound) const {
  const Instance& instance = site.instance;
  TIDELINE_TRY(const std::vector<std::uint32_t> layers, run_by_priority(instance, priorities(every_task()), options_));
  SiteSchedule decided;
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
    const schedule::Task& task = instance.tasks[j];
    std::vector<Grant>& choices = decided.choices.emplace_back();
    const auto& all = instance.model_of(task).layers;
    for (std::uint32_t k = 1; k <= all.size(); ++k)
      choices.push_back({.admitted = true,
                         .layers = k,
                         .mbit_s_per_mb = 8 * all[k - 1].ratio / task.latency_s,
                         .gflop_s_per_mb = all[k - 1].gflop_per_mb});
    decided.grants.push_back(layers[j] == 0 ? Grant{} : choices[layers[j] - 1]);
  }
  if (with_bound) {
    decided.multipliers = prices(instance);
    decided.upper_bound = schedule::bound_of(instance, decided.multipliers).upper_bound;
  }
  return decided;
}

Result<SiteSchedule> SitePolicies::decide_extended(const SiteInstance& site, bool with_bound) const {
  const schedule::ExtendedOptions extended{.cloud_gflop_s = kMsPerSecond};
  TIDELINE_TRY(const schedule::Reduction reduction, reduce_extended(site.instance, extended));
  TIDELINE_TRY(const std::vector<std::uint32_t> layers, run_by_priority(reduction.instance, priorities(every_task()), options_));
  SiteSchedule decided;
  for (std::size_t j = 0; j < layers.size(); ++j) {
    decided.choices.push_back(reduction.choices[reduction.instance.tasks[j].model]);
    decided.grants.push_back(layers[j] == 0 ? Grant{} : decided.choices.back()[layers[j] - 1]);
  }
  if (with_bound) {
    decided.multipliers = prices(reduction.instance);
    decided.upper_bound = bound_extended(site.instance, decided.multipliers, kMsPerSecond);
  }
  return decided;
}

Result<SiteSchedule> SitePolicies::decide_queueing(const SiteInstance& site, bool with_bound) const {
  TIDELINE_TRY(const schedule::QueueingReduction reduction, reduce_queueing(site.instance, queueing()));
  SiteSchedule decided;
  decided.grants.resize(site.instance.tasks.size());
  decided.choices.resize(site.instance.tasks.size());
  decided.multipliers = {std::vector<double>(site.instance.servers.size()), std::vector<double>(site.instance.servers.size())};
  if (reduction.tasks.empty()) return decided;
  TIDELINE_TRY(const std::vector<std::uint32_t> layers,
               run_by_priority(reduction.instance, priorities(reduction.tasks), options_));
  for (std::size_t n = 0; n < layers.size(); ++n) {
    const std::uint32_t j = reduction.tasks[n];
    decided.choices[j] = reduction.choices[reduction.instance.tasks[n].model];
    if (layers[n] > 0) decided.grants[j] = decided.choices[j][layers[n] - 1];
  }
  if (with_bound) {
    decided.multipliers = prices(reduction.instance);
    decided.upper_bound = bound_queueing(site.instance, decided.multipliers, queueing());
  }
  return decided;
}

}  // namespace tideline::fleet
