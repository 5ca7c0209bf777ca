#include "fleet/plan_fleet.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "fleet/plan_report.h"
#include "fleet/site_load.h"
#include "fleet/site_policies.h"
#include "schedule/queueing/queueing.h"

namespace tideline::fleet {
namespace {

using schedule::Grant;
using schedule::Instance;

// Loads of the cloud that are tried when it is full: the higher, the longer its queue.
constexpr double kCloudLoads[] = {0.1, 0.2, 0.4, 0.6, 0.8};
// Limits on a gateway's runs that are tried, as parts of the longest in a plan without: short runs let tasks in that are in a
// hurry, long ones leave more to the gateways.
constexpr double kRunParts[] = {1, 0.5, 0.25, 0.1, 0.02};
// The loads from the first plan's times this on need not be tried.
constexpr double kLoadMargin = 1.5;
// Limits on a gateway's runs that are tried for tasks that come later, times the longest that runs there.
constexpr double kLaterRuns[] = {1, 2, 8};
// A cut that may not be taken costs more than any limit allows.
constexpr double kClosed = 1e9;
// Rounds in which tasks are let in for which the data of others, who were refused, left no time.
constexpr int kMoreRounds = 3;

class Planning {
 public:
  Planning(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options)
      : fleet_(fleet), profiles_(profiles), options_(options), load_(fleet, profiles), policies_(fleet, options) {}

  Result<FleetPlan> plan() {
    if (options_.model != FleetModelKind::kPaper && options_.policy.starts_with("fixed"))
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[fleet] policy '{}' is one of the paper's model: with it write model: paper (--model paper)",
                               options_.policy)};
    TIDELINE_TRY(site_, site_instance(fleet_, profiles_));
    TIDELINE_TRY(schedule_, policies_.decide(site_, true));
    if (options_.model == FleetModelKind::kQueueing && !policies_.is_everywhere()) {
      TIDELINE_CHECK_OK(keep_on_real_nodes());
      TIDELINE_CHECK_OK(let_in_more());
    }
    return plan_report(fleet_, profiles_, options_, site_, schedule_, waits_);
  }

  // The plan of exactly these tasks with exactly these cuts.
  Result<std::optional<FleetPlan>> plan_as(const Placement& placement) {
    waits_ = load_.waits_under(placement);
    if (waits_.cloud_wait_s.empty()) return std::optional<FleetPlan>();
    waits_.sends = running(placement, {});
    TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits_));
    TIDELINE_TRY(auto solved, solve(placement, {}));
    if (!solved) return std::optional<FleetPlan>();
    schedule_ = std::move(*solved);
    TIDELINE_TRY(const schedule::QueueingReduction all, reduce_queueing(site_.instance, policies_.queueing()));
    schedule_.choices.resize(placement.size());
    for (std::size_t n = 0; n < all.tasks.size(); ++n) schedule_.choices[all.tasks[n]] = all.choices[all.instance.tasks[n].model];
    TIDELINE_TRY(FleetPlan plan, plan_report(fleet_, profiles_, options_, site_, schedule_, waits_));
    plan.upper_bound.reset();
    return std::optional(std::move(plan));
  }

  // The same with the cuts of the open tasks still to be found: under limits on runs that what runs now leaves, or wider ones.
  Result<std::optional<Placement>> place(const Placement& placement, const std::vector<std::size_t>& open) {
    Placement closed = placement;
    for (const std::size_t j : open) closed[j].reset();
    const NodeUse use = load_.use_of(closed);
    for (const double times : kLaterRuns)
      for (const double load : kCloudLoads) {
        if (load < load_.cloud_load_max(use)) continue;
        SiteWaits waits = load_.waits_for(use, load, times == kLaterRuns[0]);
        for (std::size_t node = 0; node < fleet_.cluster.nodes.size(); ++node)
          if (fleet_.cluster.nodes[node].tier == Tier::kEdge)
            waits.longest_run_s[node] = load_.later_run_s(node, closed, open, times, kLaterRuns[std::size(kLaterRuns) - 1]);
        waits.sends = running(closed, open);
        TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits));
        TIDELINE_TRY(const auto solved, solve(closed, open));
        if (!solved) continue;
        Placement found = closed;
        for (const std::size_t j : open) found[j] = site_.blocks_of(j, solved->grants[j].layers);
        TIDELINE_TRY(const auto plan, plan_as(found));
        if (plan) return std::optional(std::move(found));
      }
    return std::optional<Placement>();
  }

 private:
  static std::vector<bool> running(const Placement& placement, const std::vector<std::size_t>& open) {
    std::vector<bool> runs;
    for (const auto& blocks : placement) runs.push_back(blocks.has_value());
    for (const std::size_t j : open) runs[j] = true;
    return runs;
  }

  // Slices for what runs, with its cuts, and for the open tasks with any; nothing when they do not all fit. On site_.
  Result<std::optional<SiteSchedule>> solve(const Placement& placement, const std::vector<std::size_t>& open) const {
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t j = 0; j < placement.size(); ++j)
      if (placement[j] || std::find(open.begin(), open.end(), j) != open.end()) wanted.push_back(j);
    SiteSchedule solved;
    solved.grants.resize(placement.size());
    solved.multipliers = {std::vector<double>(site_.instance.servers.size()), std::vector<double>(site_.instance.servers.size())};
    if (wanted.empty()) return std::optional(std::move(solved));
    Instance chosen = select_tasks(site_.instance, wanted);
    for (std::size_t n = 0; n < wanted.size(); ++n) {
      const auto& cut = placement[wanted[n]];
      if (!cut) continue;
      schedule::TaskModel pinned = chosen.models[chosen.tasks[n].model];
      const std::uint32_t layers = *cut == 0 ? 0 : *cut + 1 - site_.first_blocks[wanted[n]];
      for (std::uint32_t k = 0; k < pinned.rest_gflop_per_mb.size(); ++k)
        if (k != layers) pinned.rest_gflop_per_mb[k] = kClosed;
      chosen.tasks[n].model = static_cast<std::uint32_t>(chosen.models.size());
      chosen.models.push_back(std::move(pinned));
    }
    TIDELINE_TRY(const schedule::QueueingReduction reduction, reduce_queueing(chosen, policies_.queueing()));
    if (reduction.tasks.size() < wanted.size()) return std::optional<SiteSchedule>();
    TIDELINE_TRY(const std::vector<std::uint32_t> layers, run_one(reduction.instance, options_));
    for (std::size_t n = 0; n < layers.size(); ++n) {
      if (layers[n] == 0) return std::optional<SiteSchedule>();
      solved.grants[wanted[n]] = reduction.choices[reduction.instance.tasks[n].model][layers[n] - 1];
    }
    return std::optional(std::move(solved));
  }

  // Makes the plan again under limits on the runs of gateways, which everyone there may have to wait for, and under the waits of
  // a cloud at several loads, and keeps the best.
  Status keep_on_real_nodes() {
    const NodeUse first = load_.use_of(site_, schedule_);
    const SiteSchedule relaxed = schedule_;
    std::vector<std::uint32_t> best;
    for (const double part : kRunParts) {
      SiteWaits waits{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size()), {}};
      for (std::size_t node = 0; node < fleet_.cluster.nodes.size(); ++node) {
        const Tier tier = fleet_.cluster.nodes[node].tier;
        if (tier == Tier::kEdge) waits.longest_run_s[node] = load_.blocking(node, part * first.longest_s[node]);
        // What gateways may not run, the cloud must.
        if (tier == Tier::kCloud)
          waits.cloud_run_s[node] = std::max(kNothing, part < 1 ? load_.whole_run_s(node) : first.longest_s[node]);
      }
      const double fullest = part < 1 ? kCloudLoads[std::size(kCloudLoads) - 1] : load_.cloud_load_max(first);
      for (const double load : kCloudLoads) {
        if (load > kLoadMargin * fullest && !best.empty()) break;
        TIDELINE_CHECK_OK(try_waits(waits, load, relaxed, best));
        if (is_everything(best)) return {};
      }
    }
    return {};
  }

  // The same plan once more; it is kept when it admits more tasks of a higher priority than `best`, which then says so.
  Status try_waits(SiteWaits waits, double load, const SiteSchedule& relaxed, std::vector<std::uint32_t>& best) {
    const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
    for (const double run_s : waits.cloud_run_s) waits.cloud_wait_s.push_back(run_s * table.wait(load));
    TIDELINE_TRY(SiteInstance site, site_instance(fleet_, profiles_, waits));
    TIDELINE_TRY(SiteSchedule tried, policies_.decide(site, false));
    load_.unload_clouds(site, tried, load);
    std::map<std::int64_t, std::uint32_t, std::greater<>> by_priority;
    for (std::size_t j = 0; j < tried.grants.size(); ++j)
      by_priority[fleet_.tasks[j].priority] += tried.grants[j].admitted ? 1 : 0;
    std::vector<std::uint32_t> counts;
    for (const auto& [priority, count] : by_priority) counts.push_back(count);
    if (!best.empty() && counts <= best) return {};
    best = counts;
    tried.multipliers = relaxed.multipliers;
    tried.upper_bound = relaxed.upper_bound;
    schedule_ = std::move(tried);
    site_ = std::move(site);
    waits_ = std::move(waits);
    cloud_load_ = load;
    return {};
  }

  // Links from devices carry the data of tasks that run, and of no others: now that it is known which those are, the others are
  // asked once more beside their data alone. Who is let in must keep to its deadline with all that then run.
  Status let_in_more() {
    for (int round = 0; round < kMoreRounds; ++round) {
      const std::vector<bool> before = running_now();
      SiteWaits waits = waits_;
      waits.sends = before;
      TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits));
      waits_ = waits;
      if (std::find(before.begin(), before.end(), false) == before.end()) return {};
      TIDELINE_TRY(SiteSchedule tried, policies_.decide(site_, false));
      load_.unload_clouds(site_, tried, cloud_load_);
      TIDELINE_TRY(const bool is_better, keep_to_deadlines(before, tried, waits));
      if (!is_better) return {};
      tried.multipliers = schedule_.multipliers;
      tried.upper_bound = schedule_.upper_bound;
      schedule_ = std::move(tried);
    }
    waits_.sends = running_now();
    TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits_));
    return {};
  }

  std::vector<bool> running_now() const {
    std::vector<bool> runs;
    for (const Grant& grant : schedule_.grants) runs.push_back(grant.admitted);
    return runs;
  }

  // Takes those of the new ones from `tried` that would be late with the data of all. False when a task that ran before does not
  // any more, or would be late, or when none is left that is new.
  Result<bool> keep_to_deadlines(const std::vector<bool>& before, SiteSchedule& tried, SiteWaits waits) const {
    const schedule::WaitTable table = schedule::waits_of(policies_.queueing());
    while (true) {
      bool has_new = false;
      for (std::size_t j = 0; j < before.size(); ++j) {
        if (before[j] && !tried.grants[j].admitted) return false;
        has_new = has_new || (tried.grants[j].admitted && !before[j]);
        waits.sends[j] = tried.grants[j].admitted;
      }
      if (!has_new) return false;
      TIDELINE_TRY(const SiteInstance site, site_instance(fleet_, profiles_, waits));
      bool all_keep = true;
      for (std::size_t j = 0; j < before.size(); ++j) {
        if (!tried.grants[j].admitted) continue;
        const schedule::Task& task = site.instance.tasks[j];
        const double bound_s = times_of(site.instance, task, tried.grants[j], kMsPerSecond, table).bound_s();
        if (bound_s <= task.latency_s * (1 + 1e-9)) continue;
        if (before[j]) return false;
        tried.grants[j] = {};
        all_keep = false;
      }
      if (all_keep) return true;
    }
  }

  bool is_everything(const std::vector<std::uint32_t>& counts) const {
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0}) == fleet_.tasks.size();
  }

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
  const FleetPlanOptions& options_;
  const SiteLoad load_;
  const SitePolicies policies_;
  SiteInstance site_;
  SiteSchedule schedule_;
  SiteWaits waits_;
  double cloud_load_ = 0;  // of the clouds, under which schedule_ was made
};

}  // namespace

std::uint32_t FleetPlan::admitted() const {
  return static_cast<std::uint32_t>(std::count_if(tasks.begin(), tasks.end(), [](const FleetTaskPlan& t) { return t.admitted; }));
}

Placement placement_of(const FleetPlan& plan) {
  Placement placement;
  for (const FleetTaskPlan& task : plan.tasks) placement.push_back(task.admitted ? std::optional(task.blocks) : std::nullopt);
  return placement;
}

Result<std::optional<FleetPlan>> plan_as(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                         const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).plan_as(placement);
}

Result<std::optional<Placement>> place(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                       const std::vector<std::size_t>& open, const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).place(placement, open);
}

Result<FleetPlan> plan_fleet(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).plan();
}

}  // namespace tideline::fleet
