// What emulates a site on this machine: where each worker is, as a link to the coordinator and a slower host, and the transport
// that paces such links.
//
// Every worker has a link of its own; workers on one node do not share it, and neither do routes that pass the same link.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "train/job/job.h"
#include "transport/transport.h"

namespace tideline::train {

struct WorkerPlace {
  LinkShape link;       // up: from the coordinator to the worker
  double slowdown = 1;  // its computing takes so many times as long; 1 or more
};

// The workers on the nodes of a cluster as share_workers() has them, seen from its source: along the route of the fewest links,
// with the bandwidth of its narrowest link in each direction, and all its round trips. kInvalidArgument also for a node that no
// link leads to.
Result<std::vector<WorkerPlace>> places_on(const Cluster& cluster, const Job& job);

// As one word of a command line, and back: "20:1e6:2e6:4000000" is a slowdown of 20, 1 MB/s up, 2 MB/s down, 4 ms there and back.
std::string to_word(const WorkerPlace& place);
Result<WorkerPlace> parse_place(const std::string& word);

// Calls to an address of the list go over a link of that shape; all others as `inner` carries them. `inner` outlives it.
std::unique_ptr<Transport> make_paced_transport(Transport& inner, const std::vector<std::pair<Address, LinkShape>>& links);

}  // namespace tideline::train
