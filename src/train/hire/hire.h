// Hired: the workers of a job on the nodes of a cluster, started by the daemons there (`tideline node --train DIR`).
//
// A resource that holds a connection to each of those daemons: the workers end with it, and with their daemon. Not thread-safe.
// `transport` outlives it.
//
//   TIDELINE_TRY(const auto hired, hire_workers(*tcp, cluster, job, cancel));
//   run_training(job, {.transport = *tcp, .workers = hired->addresses(), ...});
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "cluster/cluster.h"
#include "train/job/job.h"
#include "transport/channel.h"

namespace tideline::train {

// Which workers are where: numbers `first` to `first + count - 1` on one node.
struct NodeShare {
  std::size_t node = 0;  // of the cluster
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const NodeShare&) const = default;
};
// The job's nodes, one worker each; or, where it has a number, that many in equal parts over all nodes of the cluster, in its
// order. kInvalidArgument for a node that the cluster has not, naming it, and for more workers than a node may have.
Result<std::vector<NodeShare>> share_workers(const Cluster& cluster, const Job& job);

class Hired {
 public:
  // Of worker 0, 1, ...
  const std::vector<Address>& addresses() const { return addresses_; }
  // "worker 2 on gateway", "workers 0 to 4 on camera".
  const std::vector<std::string>& places() const { return places_; }

 private:
  friend Result<std::unique_ptr<Hired>> hire_workers(Transport&, const Cluster&, const Job&, const CancelToken&);
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<Address> addresses_;
  std::vector<std::string> places_;
};

// All nodes start theirs at the same time. What a node says against it, with its name before it: kUnsupported from one that does
// not train; kDisconnected from one that is not there; kNotFound when another node listens there. kCancelled.
Result<std::unique_ptr<Hired>> hire_workers(Transport& transport, const Cluster& cluster, const Job& job,
                                            const CancelToken& cancel);

}  // namespace tideline::train
