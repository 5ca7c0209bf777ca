// Cluster: the nodes and links of cluster.yaml (docs/formats/cluster.md). A value.
//
//   nodes:
//     - {name: camera, tier: device, address: 127.0.0.1:7411, threads: 1, slowdown: 8, memory: 512MB}
//     - {name: gateway, tier: edge, address: 127.0.0.1:7412, threads: 1, slowdown: 2}
//     - {name: server, tier: cloud, address: 127.0.0.1:7413, threads: 1}
//   links:
//     - {from: camera, to: gateway, bandwidth: 20Mbit/s, rtt: 4ms}
//     - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 20ms}
//
// The nodes in file order are the chain along which the line moves: input is at the first, and there must be a link between
// neighbours. `bandwidth` is goodput: what an application gets for its bytes.
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

struct Node {
  std::string name;  // [A-Za-z0-9._-]{1,64}, unique
  Tier tier = Tier::kDevice;
  std::string host;  // of `address`
  std::uint16_t port = 0;
  int threads = 1;
  std::optional<Bytes> memory_bytes;  // for parameters and activations of what it runs
  double slowdown = 1;                // emulated: measured compute time is stretched by this factor; 1 or more
  std::string profile;                // a *.profile.json measured on this node; empty: the one given on the command line
  bool operator==(const Node&) const = default;
};

struct Link {
  NodeId from{};
  NodeId to{};
  double bytes_per_s = 0;       // from -> to
  double back_bytes_per_s = 0;  // to -> from; `bandwidth_back`, the same unless given
  Millis rtt{0};
  // `address` of the file: how `from` reaches `to` over this link. Empty: at the node's own address.
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const Link&) const = default;
};

struct Cluster {
  std::vector<Node> nodes;  // the chain
  std::vector<Link> links;  // links[j] joins nodes[j] and nodes[j+1]
  bool operator==(const Cluster&) const = default;
};

// Every error names line and column. Also refused: a duplicate name or address, an unknown tier, tiers that go back down the
// chain, a link between nodes that are not neighbours, neighbours without a link, negative or zero bandwidth, slowdown below 1.
Result<Cluster> parse_cluster(std::string_view yaml, std::string_view name);
Result<Cluster> load_cluster(const std::string& path);

}  // namespace tideline
