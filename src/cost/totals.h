// Totals: what a plan's requests cost beside latency. The definition for programs on a cluster; docs/formats/table.md has the
// same one for tables.
//
//   energy   for each node with power numbers: (compute - idle) * its computing + (transmit - idle) * its bytes' time on links
//            + (receive - idle) * the same where it receives + idle * latency
//   period   between two results of a stream: the largest of one node's computing and of the bytes' time on one direction of one
//   link upload   bytes on metered links, results included
//
// Worked example: a camera with transmit 1 W, receive 0.5 W, idle 0.2 W sends 150,528 B at 1.25e6 B/s and gets 4,000 B back, the
// whole taking 137.6224 ms: (0.8 * 120.4224 + 0.3 * 3.2 + 0.2 * 137.6224) / 1000 = 0.12482 J.
//
// Not modelled: what a node takes for work between its threads and cores, radio tails, waiting behind other requests.
#pragma once

#include <string>
#include <vector>

#include "cost/cost.h"

namespace tideline {

struct Totals {
  double energy_j = 0;
  Millis period{0};
  double upload_bytes = 0;
  std::vector<double> node_energy_j;  // [node of the cluster]
  bool operator==(const Totals&) const = default;
};

// REQUIRES: an estimate of a program on that cluster.
Totals totals(const Cluster& cluster, const Estimate& estimate);
// The nodes whose energy is counted.
std::vector<std::string> energy_of(const Cluster& cluster);

}  // namespace tideline
