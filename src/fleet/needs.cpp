#include <algorithm>

#include <fmt/format.h>

#include "fleet/plan_fleet.h"

namespace tideline::fleet {
namespace {

std::string link_name(const Cluster& cluster, std::size_t link) {
  return fmt::format("{} -> {}", cluster.nodes[static_cast<std::size_t>(cluster.links[link].from)].name,
                     cluster.nodes[static_cast<std::size_t>(cluster.links[link].to)].name);
}

}  // namespace

Shortage shortage_of(const Fleet& fleet, const SiteInstance& site, const SiteSchedule& schedule, std::size_t task) {
  std::vector<double> mbit_s, work;
  for (const schedule::Server& server : site.instance.servers) {
    mbit_s.push_back(server.bandwidth_mbit_s);
    work.push_back(server.capacity_gflop_s);
  }
  for (std::size_t j = 0; j < schedule.grants.size(); ++j)
    for (const schedule::Touch& touch : site.instance.touches_of(site.instance.tasks[j])) {
      if (!schedule.grants[j].admitted) continue;
      mbit_s[touch.server] -= schedule.grants[j].mbit_s_per_mb * touch.data_mb_s;
      work[touch.server] -= schedule.grants[j].gflop_s_per_mb * touch.data_mb_s;
    }
  Shortage least;
  double least_over = 0;
  for (const schedule::Grant& grant : schedule.choices[task]) {
    Shortage found{.needs = {}, .blocks = site.blocks_of(task, grant.layers)};
    double over = 0;
    const auto add = [&](std::string what, std::string unit, double needs, double free, double capacity) {
      free = std::max(0.0, free);
      if (needs <= free * (1 + 1e-9)) return;
      over = std::max(over, (needs - free) / capacity);
      found.needs.push_back({std::move(what), std::move(unit), needs, free});
    };
    for (const schedule::Touch& touch : site.instance.touches_of(site.instance.tasks[task])) {
      const std::size_t i = touch.server;
      add(link_name(fleet.cluster, site.uplinks[i]), "Mbit/s", grant.mbit_s_per_mb * touch.data_mb_s, mbit_s[i],
          site.instance.servers[i].bandwidth_mbit_s);
      add(fleet.cluster.nodes[site.gateways[i]].name, "cores", grant.gflop_s_per_mb * touch.data_mb_s / kMsPerSecond,
          work[i] / kMsPerSecond, site.instance.servers[i].capacity_gflop_s / kMsPerSecond);
    }
    if (found.needs.empty()) continue;  // there is room now: the policy did not find it, or the cloud has none
    if (least.needs.empty() || over < least_over) {
      least = std::move(found);
      least_over = over;
    }
  }
  return least;
}

std::string why_refused(const std::vector<FleetNeed>& needs, const std::string& cut) {
  std::string text = fmt::format("no room: cut at {} it would need ", cut);
  const char* comma = "";
  for (const FleetNeed& need : needs) {
    text += fmt::format("{}{:.3g} {} of {}, where {:.3g} are free", comma, need.needs, need.unit, need.what, need.free);
    comma = ", and ";
  }
  return text;
}

}  // namespace tideline::fleet
