// The cost model: what a plan's requests will take, term by term. The only place with the formula; every planner and the
// simulator use it.
//
// Latency of one request over the cluster's chain of nodes 0..m-1 (after AAIoT, eq. 3, with a round trip for each hop):
//   sum over segments s on node n(s):    slowdown(n) * segment_time(profile(n), first(s), last(s))
// + sum over links j that are crossed:   rtt_j + cut_bytes_j / up_j + result_bytes / back_j + hop_overhead
// where cut_bytes_j are the bytes of the cut in force when link j is crossed, result_bytes those of the last cut, up and back the
// link's bandwidths. Links 0..last-1 are crossed when `last` is the highest node with a segment.
//
// Worked example: input 150,528 B, result 4,000 B, one link of 1.25e6 B/s with 4 ms round trip, everything on the far node in
// 10 ms: 10 + 4 + (150,528 + 4,000) / 1.25e6 s = 137.62 ms.
//
// Not modelled: waiting behind other requests, encodings other than raw, energy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "cluster/cluster.h"
#include "plan/plan.h"
#include "profile/profile.h"

namespace tideline {

struct CostInput {
  const Cluster* cluster = nullptr;
  std::vector<const Profile*> profiles;  // one for each node of the cluster
  // Fixed cost of one hop in the software: system calls, wake-ups, headers.
  Millis hop_overhead{0};
};

struct StageEstimate {
  std::string node;
  bool has_segment = false;
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  Millis compute{0};
  Bytes memory_bytes = 0;
  bool operator==(const StageEstimate&) const = default;
};

struct HopEstimate {
  std::string from;
  std::string to;
  Bytes bytes = 0;         // forward
  Bytes result_bytes = 0;  // back
  Millis rtt{0};
  Millis forward{0};  // bytes / bandwidth
  Millis back{0};
  Millis overhead{0};
  Millis total() const { return rtt + forward + back + overhead; }
  bool operator==(const HopEstimate&) const = default;
};

struct Estimate {
  Millis latency{0};
  Millis compute{0};
  Millis transfer{0};
  std::vector<StageEstimate> stages;  // one for each node up to the last one used
  std::vector<HopEstimate> hops;      // between them
  // Empty when the plan is feasible; otherwise why it is not ("camera: needs 620 MB, has 512 MB").
  std::string infeasible;
  bool operator==(const Estimate&) const = default;
};

// kInvalidArgument when the plan does not fit cluster, chain and profiles (unknown node, gaps, wrong order, another model).
Result<Estimate> estimate(const CostInput& input, const Plan& plan);

}  // namespace tideline
