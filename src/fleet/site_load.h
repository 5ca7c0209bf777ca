// What tasks do to the nodes of a site beside their shares, and what requests may so have to wait for there: a run that has begun
// is not interrupted, and a cloud is one queue for all (plan_fleet.h). Pure; thread-safe. Refers to the fleet and its profiles.
#pragma once

#include <cstddef>
#include <vector>

#include "fleet/plan_fleet.h"
#include "fleet/site.h"

namespace tideline::fleet {

// A capacity or a time of nothing is no number of an instance.
inline constexpr double kNothing = 1e-9;

// By node: the mean load in cores, and the longest of the runs in seconds.
struct NodeUse {
  std::vector<double> load;
  std::vector<double> longest_s;
};

class SiteLoad {
 public:
  SiteLoad(const Fleet& fleet, const FleetProfiles& profiles) : fleet_(fleet), profiles_(profiles) {}

  // What the tasks of a placement do to nodes.
  NodeUse use_of(const Placement& placement) const;
  NodeUse use_of(const SiteInstance& site, const SiteSchedule& schedule) const;
  // What requests may meet when clouds are loaded so, and their runs stay as they are or (not `as_now`) may be as long as any.
  SiteWaits waits_for(const NodeUse& use, double load, bool as_now) const;
  // Exactly what they may meet; empty where a cloud is too full.
  SiteWaits waits_under(const Placement& placement) const;
  double later_run_s(std::size_t gateway, const Placement& closed, const std::vector<std::size_t>& open, double times,
                     double times_most) const;
  // Takes tasks from a schedule until no cloud is fuller than `load`: of the lowest priority first, of those the largest.
  void unload_clouds(const SiteInstance& site, SiteSchedule& schedule, double load) const;
  double cloud_load(const SiteInstance& site, const SiteSchedule& schedule, std::size_t j, std::size_t cloud) const;
  double cloud_load_max(const NodeUse& use) const;
  // The longest that any task's whole model takes on a cloud.
  double whole_run_s(std::size_t cloud) const;
  // The longest run of another task that requests at a gateway may meet. One task alone meets none.
  double blocking(std::size_t gateway, double longest_s) const;

 private:
  void add_use(NodeUse& use, const FleetTask& task, std::uint32_t blocks) const;
  std::size_t sources_at(std::size_t gateway, const Placement& placement) const;

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
};

}  // namespace tideline::fleet
