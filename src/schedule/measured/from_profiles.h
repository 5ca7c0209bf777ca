// A scheduling instance from measurements: models from *.profile.json files, servers from the edge nodes of a cluster file.
//
// Units: where the abstract instance counts GFLOP, this one counts milliseconds on the profiled host, which is what was measured:
//   ratio_k = bytes of cut k / bytes of the input,   gflop_per_mb_k = milliseconds of the segment of blocks 1..k per MB of input,
//   capacity = 1000 ms per second / slowdown of the node,   bandwidth = that of its uplink.
// Only profiles of the same host may be mixed. A cluster file is a chain, so it rarely has more than one edge node: `servers` of
// them are made, the edge nodes taking turns. Pure function; deterministic for a seed.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "cluster/cluster.h"
#include "profile/profile.h"
#include "schedule/instance.h"

namespace tideline::schedule {

struct MeasuredOptions {
  std::uint32_t servers = 50;
  std::uint32_t tasks = 1000;
  std::uint32_t servers_per_task = 1;
  std::uint64_t seed = 1;
  double latency_s = 0.2;
  double bandwidth_share = 0.8;
  // Inferences per second of a task, over all of its servers: uniform between these.
  double rate_min_hz = 0.1;
  double rate_max_hz = 1;
};

// kInvalidArgument when there is no profile or no edge node with an uplink, when the profiles are of different hosts, or for
// numbers out of range.
Result<Instance> instance_from_profiles(std::span<const Profile> profiles, const Cluster& cluster,
                                        const MeasuredOptions& options);

}  // namespace tideline::schedule
