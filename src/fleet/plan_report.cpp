#include "fleet/plan_report.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "fleet/site_load.h"
#include "fleet/site_policies.h"

namespace tideline::fleet {
namespace {

using schedule::Grant;

class Report {
 public:
  Report(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options, const SiteInstance& site,
         const SiteSchedule& schedule, const SiteWaits& waits)
      : fleet_(fleet), profiles_(profiles), options_(options), site_(site), schedule_(schedule), waits_(waits) {}

  Result<FleetPlan> report() {
    FleetPlan plan{.policy = options_.policy, .model = options_.model};
    if (!policies_.is_everywhere()) plan.upper_bound = std::min(schedule_.upper_bound, static_cast<double>(fleet_.tasks.size()));
    plan.waits = waits_;
    const schedule::WaitTable table = schedule::waits_of(policies_.queueing());
    std::vector<double> mbit_s(site_.gateways.size()), cores(site_.gateways.size());
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      if (!schedule_.grants[j].admitted) {
        plan.tasks.push_back(refused_task(j));
        continue;
      }
      TIDELINE_TRY(FleetTaskPlan task, admitted_task(j, table));
      for (const FleetShare& share : task.shares) {
        const auto i = static_cast<std::size_t>(std::find(site_.gateways.begin(), site_.gateways.end(), share.gateway) -
                                                site_.gateways.begin());
        mbit_s[i] += share.mbit_s;
        cores[i] += share.cores;
      }
      plan.tasks.push_back(std::move(task));
    }
    for (std::size_t i = 0; i < site_.gateways.size(); ++i) {
      const double bandwidth = site_.instance.servers[i].bandwidth_mbit_s;
      plan.resources.push_back({true, site_.uplinks[i], link_name(site_.uplinks[i]), bandwidth, mbit_s[i],
                                schedule_.multipliers.bandwidth[i] / bandwidth});
      plan.resources.push_back({false, site_.gateways[i], fleet_.cluster.nodes[site_.gateways[i]].name, 1, cores[i],
                                schedule_.multipliers.compute[i]});
    }
    const NodeUse use = load_.use_of(site_, schedule_);
    for (std::size_t node = 0; node < use.load.size(); ++node)
      if (fleet_.cluster.nodes[node].tier == Tier::kCloud && use.load[node] > 0)
        plan.resources.push_back({false, node, fleet_.cluster.nodes[node].name, 1, use.load[node], 0});
    return plan;
  }

 private:
  std::string link_name(std::size_t link) const {
    const Link& each = fleet_.cluster.links[link];
    return fmt::format("{} -> {}", fleet_.cluster.nodes[static_cast<std::size_t>(each.from)].name,
                       fleet_.cluster.nodes[static_cast<std::size_t>(each.to)].name);
  }

  // Tasks of one group ask the same.
  Result<Millis> alone_once(const FleetTask& task, const FleetSource& source, std::uint32_t blocks) {
    const auto key = std::tuple(task.model, source.node, blocks);
    if (const auto known = alone_.find(key); known != alone_.end()) return known->second;
    TIDELINE_TRY(const Millis time, alone(fleet_, profiles_, task, source, blocks));
    return alone_[key] = time;
  }

  Result<FleetTaskPlan> admitted_task(std::size_t j, const schedule::WaitTable& table) {
    const FleetTask& task = fleet_.tasks[j];
    const Grant& grant = schedule_.grants[j];
    const schedule::Task& entry = site_.instance.tasks[j];
    FleetTaskPlan plan{.admitted = true, .blocks = site_.blocks_of(j, grant.layers)};
    for (const FleetSource& source : task.sources) {
      TIDELINE_TRY(const Way way, way_of(fleet_.cluster, source.node));
      const Profile& profile = *profiles_.of[task.model][way.gateway];
      plan.cut = cut_name(profile, plan.blocks);
      const double data = entry.rate_hz * static_cast<double>(profile.cuts.front().bytes) / 1e6;
      plan.shares.push_back({.gateway = way.gateway,
                             .uplink = way.uplink,
                             .mbit_s = grant.mbit_s_per_mb * data,
                             .cores = grant.gflop_s_per_mb * data / kMsPerSecond});
      const auto add_node = [&](std::size_t node) {
        if (std::find(plan.nodes.begin(), plan.nodes.end(), node) == plan.nodes.end()) plan.nodes.push_back(node);
      };
      if (plan.blocks > 0) add_node(way.gateway);
      if (plan.blocks < profile.blocks.size()) {
        add_node(way.cloud);
        plan.cloud_cores += load_.cloud_load(site_, schedule_, j, way.cloud);
      }
      TIDELINE_TRY(const Millis time, alone_once(task, source, plan.blocks));
      plan.predicted = std::max(plan.predicted.value_or(Millis(0)), time);
    }
    if (options_.model == FleetModelKind::kQueueing && !policies_.is_everywhere())
      plan.bound = Millis(kMsPerSecond * times_of(site_.instance, entry, grant, kMsPerSecond, table).bound_s());
    return plan;
  }

  FleetTaskPlan refused_task(std::size_t j) const {
    FleetTaskPlan plan;
    const FleetTask& task = fleet_.tasks[j];
    const auto way = way_of(fleet_.cluster, task.sources.front().node);
    if (schedule_.choices[j].empty()) {
      plan.why = fmt::format(
          "its deadline of {} is too short beside the others: {} of it go for round trips, the way from its source and what it "
          "may "
          "meet on {}, and in {} a request may wait {}",
          format_millis(task.deadline), format_millis(Millis(kMsPerSecond * site_.instance.tasks[j].fixed_s)),
          fleet_.cluster.nodes[way->gateway].name, fleet_.cluster.nodes[way->cloud].name,
          format_millis(Millis(kMsPerSecond * (waits_.cloud_wait_s.empty() ? 0 : waits_.cloud_wait_s[way->cloud]))));
      return plan;
    }
    const Shortage shortage = shortage_of(fleet_, site_, schedule_, j);
    plan.needs = shortage.needs;
    plan.why = shortage.needs.empty()
                   ? fmt::format("no room that policy '{}' found beside the others, in {} either", options_.policy,
                                 fleet_.cluster.nodes[way->cloud].name)
                   : why_refused(shortage.needs, cut_name(*profiles_.of[task.model][way->gateway], shortage.blocks));
    return plan;
  }

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
  const FleetPlanOptions& options_;
  const SiteInstance& site_;
  const SiteSchedule& schedule_;
  const SiteWaits& waits_;
  const SiteLoad load_{fleet_, profiles_};
  const SitePolicies policies_{fleet_, options_};
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t>, Millis> alone_;
};

}  // namespace

Result<FleetPlan> plan_report(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options,
                              const SiteInstance& site, const SiteSchedule& schedule, const SiteWaits& waits) {
  return Report(fleet, profiles, options, site, schedule, waits).report();
}

}  // namespace tideline::fleet
