// A fleet as an instance of the scheduling problem (schedule/instance.h), and back. Pure functions; thread-safe.
//
// Servers are the gateways, in the order of the cluster's nodes: the bandwidth of their uplink, and a processor of 1000
// milliseconds per second, so that work is in milliseconds of that gateway and not in GFLOP. A request of a task carries the
// model's whole input, at any of its gateways; with several, each has room for the task's full rate. The cloud works 1000
// milliseconds per second too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cost/cost.h"
#include "fleet/fleet.h"
#include "fleet/profiles.h"
#include "plan/plan.h"
#include "schedule/instance.h"

namespace tideline::fleet {

inline constexpr double kMsPerSecond = 1000;

// What requests may have to wait for on real nodes besides their own task's, by node of the cluster, in seconds; 0 everywhere:
// nothing. A run that has begun is not interrupted.
struct SiteWaits {
  std::vector<double> longest_run_s;  // of a gateway: of any other task's; runs that are longer are not allowed. 0: no limit
  std::vector<double> cloud_run_s;    // of the cloud: the same
  std::vector<double> cloud_wait_s;   // in the cloud, before a request's turn
  std::vector<bool> sends;            // by task: those whose data share the links from devices; empty: all
};

struct SiteInstance {
  schedule::Instance instance;
  std::vector<std::size_t> gateways;        // by server: its node
  std::vector<std::size_t> uplinks;         // by server: its link
  std::vector<std::uint32_t> first_blocks;  // by task: blocks that its model's first layer stands for
  // Of the model, for so many layers of the instance.
  std::uint32_t blocks_of(std::size_t task, std::uint32_t layers) const {
    return layers == 0 ? 0 : first_blocks[task] + layers - 1;
  }
};

// REQUIRES: check_profiles(). kInvalidArgument for a task that keeps more blocks than its model has; kInfeasible, naming the
// task, for a deadline below the latency that the task has alone on the site, and for a rate above what its nodes compute.
Result<SiteInstance> site_instance(const Fleet& fleet, const FleetProfiles& profiles, const SiteWaits& waits = {});

// Milliseconds of a node for blocks first .. last - 1 of a model; 0 for none.
double run_ms(const Fleet& fleet, const FleetProfiles& profiles, std::size_t model, std::size_t node, std::uint32_t first,
              std::uint32_t last);
// The plan of a task's requests from one of its sources with so many blocks on the gateway.
Plan plan_of(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task, const FleetSource& source,
             std::uint32_t blocks);
// What such a request takes alone on the site: cost/cost.h. kInfeasible when its blocks do not fit their nodes.
Result<Estimate> estimate_alone(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task,
                                const FleetSource& source, std::uint32_t blocks);
Result<Millis> alone(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task, const FleetSource& source,
                     std::uint32_t blocks);
// The block whose output crosses, "the input", or "the output" when nothing goes to the cloud.
std::string cut_name(const Profile& profile, std::uint32_t blocks);

}  // namespace tideline::fleet
