#include "fleet/site_load.h"

#include <algorithm>

#include "schedule/queueing/queueing.h"

namespace tideline::fleet {
namespace {

// Fuller than that no plan loads a cloud.
constexpr double kCloudLoadMost = 0.8;

}  // namespace

NodeUse SiteLoad::use_of(const Placement& placement) const {
  NodeUse use{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size())};
  for (std::size_t j = 0; j < placement.size(); ++j)
    if (placement[j]) add_use(use, fleet_.tasks[j], *placement[j]);
  return use;
}

NodeUse SiteLoad::use_of(const SiteInstance& site, const SiteSchedule& schedule) const {
  NodeUse use{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size())};
  for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
    if (!schedule.grants[j].admitted) continue;
    add_use(use, fleet_.tasks[j], site.blocks_of(j, schedule.grants[j].layers));
  }
  return use;
}

SiteWaits SiteLoad::waits_for(const NodeUse& use, double load, bool as_now) const {
  SiteWaits waits{use.longest_s, std::vector<double>(use.load.size()), std::vector<double>(use.load.size())};
  const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
  for (std::size_t node = 0; node < use.load.size(); ++node) {
    if (fleet_.cluster.nodes[node].tier != Tier::kCloud) continue;
    const double run_s = as_now && use.longest_s[node] > 0 ? use.longest_s[node] : whole_run_s(node);
    waits.cloud_run_s[node] = std::max(kNothing, run_s);
    waits.cloud_wait_s[node] = waits.cloud_run_s[node] * table.wait(load);
  }
  return waits;
}

SiteWaits SiteLoad::waits_under(const Placement& placement) const {
  const NodeUse use = use_of(placement);
  if (cloud_load_max(use) > kCloudLoadMost) return {};
  SiteWaits waits = waits_for(use, 0, true);
  const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
  for (std::size_t node = 0; node < use.load.size(); ++node) {
    const Tier tier = fleet_.cluster.nodes[node].tier;
    // Who is alone on a gateway meets nobody.
    if (tier == Tier::kEdge && sources_at(node, placement) <= 1) waits.longest_run_s[node] = 0;
    if (tier != Tier::kCloud) continue;
    waits.cloud_run_s[node] = std::max(kNothing, use.longest_s[node]);
    waits.cloud_wait_s[node] = waits.cloud_run_s[node] * table.wait(use.load[node]);
  }
  return waits;
}

double SiteLoad::later_run_s(std::size_t gateway, const Placement& closed, const std::vector<std::size_t>& open, double times,
                             double times_most) const {
  double longest_s = use_of(closed).longest_s[gateway];
  if (longest_s > 0) return times * longest_s;
  // Nothing runs there yet: parts of the longest that may.
  for (const std::size_t j : open)
    for (const FleetSource& source : fleet_.tasks[j].sources) {
      const auto way = way_of(fleet_.cluster, source.node);
      if (way->gateway != gateway) continue;
      const auto count = static_cast<std::uint32_t>(profiles_.of[fleet_.tasks[j].model][gateway]->blocks.size());
      longest_s = std::max(longest_s, run_ms(fleet_, profiles_, fleet_.tasks[j].model, gateway, 0, count) / kMsPerSecond);
    }
  return std::max(kNothing, times * longest_s / times_most);
}

void SiteLoad::unload_clouds(const SiteInstance& site, SiteSchedule& schedule, double load) const {
  for (;;) {
    const NodeUse use = use_of(site, schedule);
    std::size_t full = fleet_.cluster.nodes.size();
    for (std::size_t node = 0; node < use.load.size(); ++node)
      if (fleet_.cluster.nodes[node].tier == Tier::kCloud && use.load[node] > load) full = node;
    if (full == fleet_.cluster.nodes.size()) return;
    double excess = use.load[full] - load;
    std::vector<std::pair<std::pair<std::int64_t, double>, std::size_t>> users;
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j)
      if (schedule.grants[j].admitted)
        if (const double own = cloud_load(site, schedule, j, full); own > 0)
          users.push_back({{fleet_.tasks[j].priority, -own}, j});
    std::sort(users.begin(), users.end());
    for (const auto& [order, j] : users) {
      if (excess <= 0) break;
      schedule.grants[j] = {};
      excess += order.second;
    }
  }
}

double SiteLoad::cloud_load(const SiteInstance& site, const SiteSchedule& schedule, std::size_t j, std::size_t cloud) const {
  const FleetTask& task = fleet_.tasks[j];
  const std::uint32_t blocks = site.blocks_of(j, schedule.grants[j].layers);
  double load = 0;
  for (const FleetSource& source : task.sources) {
    const auto way = way_of(fleet_.cluster, source.node);
    if (way->cloud != cloud) continue;
    const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
    load += task.rate_hz * source.share * run_ms(fleet_, profiles_, task.model, cloud, blocks, count) / kMsPerSecond;
  }
  return load;
}

double SiteLoad::cloud_load_max(const NodeUse& use) const {
  double fullest = 0;
  for (std::size_t node = 0; node < use.load.size(); ++node)
    if (fleet_.cluster.nodes[node].tier == Tier::kCloud) fullest = std::max(fullest, use.load[node]);
  return fullest;
}

double SiteLoad::whole_run_s(std::size_t cloud) const {
  double longest_s = 0;
  for (const FleetTask& task : fleet_.tasks)
    for (const FleetSource& source : task.sources) {
      const auto way = way_of(fleet_.cluster, source.node);
      if (way->cloud != cloud) continue;
      const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
      longest_s = std::max(longest_s, run_ms(fleet_, profiles_, task.model, cloud, 0, count) / kMsPerSecond);
    }
  return longest_s;
}

double SiteLoad::blocking(std::size_t gateway, double longest_s) const {
  std::size_t tasks = 0;
  double shortest_s = 0;  // of every model some first cut must stay possible
  for (const FleetTask& task : fleet_.tasks)
    for (const FleetSource& source : task.sources) {
      const auto way = way_of(fleet_.cluster, source.node);
      if (way->gateway != gateway) continue;
      ++tasks;
      const std::uint32_t kept = task.keep_on_source;
      shortest_s = std::max(shortest_s, run_ms(fleet_, profiles_, task.model, gateway, 0, kept) / kMsPerSecond);
    }
  if (tasks <= 1) return 0;
  return std::max({longest_s, shortest_s, kNothing});
}

void SiteLoad::add_use(NodeUse& use, const FleetTask& task, std::uint32_t blocks) const {
  for (const FleetSource& source : task.sources) {
    const auto way = way_of(fleet_.cluster, source.node);
    const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
    const auto add = [&](std::size_t node, double run_s) {
      use.load[node] += task.rate_hz * source.share * run_s;
      use.longest_s[node] = std::max(use.longest_s[node], run_s);
    };
    add(way->gateway, run_ms(fleet_, profiles_, task.model, way->gateway, 0, blocks) / kMsPerSecond);
    add(way->cloud, run_ms(fleet_, profiles_, task.model, way->cloud, blocks, count) / kMsPerSecond);
  }
}

std::size_t SiteLoad::sources_at(std::size_t gateway, const Placement& placement) const {
  std::size_t count = 0;
  for (std::size_t j = 0; j < placement.size(); ++j)
    for (const FleetSource& source : fleet_.tasks[j].sources)
      if (placement[j] && way_of(fleet_.cluster, source.node)->gateway == gateway) ++count;
  return count;
}

}  // namespace tideline::fleet
