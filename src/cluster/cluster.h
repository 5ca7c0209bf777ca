// Cluster: the nodes and links of cluster.yaml (docs/formats/cluster.md). A value.
//
//   version: 2
//   nodes:
//     - {name: camera, tier: device, address: 127.0.0.1:7411, threads: 1, slowdown: 8, memory: 512MB,
//        power: {compute: 3W, transmit: 1.2W, receive: 0.9W, idle: 0.4W}}
//     - {name: gateway, tier: edge, address: 127.0.0.1:7412, threads: 1, slowdown: 2}
//     - {name: server, tier: cloud, address: 127.0.0.1:7413, threads: 1}
//   links:
//     - {from: camera, to: gateway, bandwidth: 20Mbit/s, rtt: 4ms}
//     - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 20ms}
//     - {from: camera, to: server, bandwidth: 5Mbit/s, rtt: 40ms}
//   source: camera
//
// A graph: links join any two nodes. A request begins and ends at `source`, the first node unless the file says otherwise, and
// goes where links lead from there (cluster/routes.h). Version 1, which a file without `version` is, is the chain: links join
// each node to the next one, every neighbour has one, and tiers never go back. `bandwidth` is goodput: what an application gets
// for its bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

enum class NodeId : std::uint32_t {};
enum class Tier { kDevice, kEdge, kCloud };
std::string_view to_string(Tier tier);

// Watts; what the file leaves out is 0.
struct Power {
  double compute_w = 0;   // while it computes
  double transmit_w = 0;  // while its bytes are on a link
  double receive_w = 0;
  double idle_w = 0;  // all the time
  bool operator==(const Power&) const = default;
};

struct Node {
  std::string name;  // as in base/name.h, unique
  Tier tier = Tier::kDevice;
  std::string host;  // of `address`
  std::uint16_t port = 0;
  int threads = 1;
  std::optional<Bytes> memory_bytes;  // for parameters and activations of what it runs
  double slowdown = 1;                // emulated: measured compute time is stretched by this factor; 1 or more
  std::string profile;                // a *.profile.json measured on this node; empty: the one given on the command line
  std::optional<Power> power;         // none: its energy is not counted
  bool operator==(const Node&) const = default;
};

// A connection that `from` opens to `to`; bytes flow both ways over it, at two rates.
struct Link {
  NodeId from{};
  NodeId to{};
  double bytes_per_s = 0;       // from -> to
  double back_bytes_per_s = 0;  // to -> from; `bandwidth_back`, the same unless given
  Millis rtt{0};
  // `address` of the file: how `from` reaches `to` over this link. Empty: at the node's own address.
  std::string host;
  std::uint16_t port = 0;
  bool metered = true;  // its bytes count as upload
  bool operator==(const Link&) const = default;
};

struct Cluster {
  std::vector<Node> nodes;
  std::vector<Link> links;  // sorted by (from, to), at most one for each such pair; none from a node to itself
  NodeId source{0};
  bool operator==(const Cluster&) const = default;
};

// Of the node with that name; how many nodes there are, when none has it.
std::size_t node_index(const Cluster& cluster, std::string_view name);

// links[j] joins nodes[j] and nodes[j+1], and the source is the first: what version 1 can say but for the order of tiers.
bool is_chain(const Cluster& cluster);

// Every error names line and column. Also refused: a duplicate name or address, an unknown tier, negative or zero bandwidth,
// slowdown below 1, a second link between two nodes in one direction, a link from a node to itself; in version 1 also tiers that
// go back down the chain, a link between nodes that are not neighbours, neighbours without a link. Nodes that no link leads to
// are no error: unreached_nodes() of cluster/routes.h names them.
Result<Cluster> parse_cluster(std::string_view yaml, std::string_view name);
// Profiles lie beside the cluster file: relative ones are made relative to where the command was started.
Result<Cluster> load_cluster(const std::string& path);

// YAML that parse_cluster() reads as the same value; version 1 where that can say it. REQUIRES: a cluster that a file can hold.
std::string write_cluster(const Cluster& cluster);

}  // namespace tideline
