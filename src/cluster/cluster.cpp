#include "cluster/cluster.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/address.h"
#include "base/energy.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include "base/yaml.h"
#include "platform/files.h"

namespace tideline {
namespace {

constexpr std::array<std::string_view, 3> kTierNames{"device", "edge", "cloud"};
// Above it a unit was mistaken.
constexpr double kWattsMax = 1e6;

Result<Tier> read_tier(const YamlNode& yaml) {
  TIDELINE_TRY(const std::string text, yaml.text());
  for (std::size_t i = 0; i < kTierNames.size(); ++i)
    if (text == kTierNames[i]) return static_cast<Tier>(i);
  const std::string_view near = nearest(text, kTierNames);
  return yaml.error(
      fmt::format("unknown tier '{}'; {}", printable(text),
                  near.empty() ? std::string("a tier is device, edge or cloud") : fmt::format("did you mean '{}'?", near)));
}

Result<Address> read_address(const YamlNode& yaml) {
  TIDELINE_TRY(const std::string text, yaml.text());
  auto address = parse_address(text);
  if (!address) return yaml.error(address.error().message);
  if (address->port == 0) return yaml.error(fmt::format("a port is 1 to 65535, found '{}'", printable(text)));
  return address;
}

Result<Power> read_power(const YamlNode& yaml) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  Power power;
  for (const auto& [key, to] : {std::pair{"compute", &power.compute_w}, std::pair{"transmit", &power.transmit_w},
                                std::pair{"receive", &power.receive_w}, std::pair{"idle", &power.idle_w}}) {
    const YamlNode value = map.optional(key);
    if (!value.present()) continue;
    TIDELINE_TRY(const std::string text, value.text());
    const auto watts = parse_watts(text);
    if (!watts) return value.error(watts.error().message);
    if (*watts > kWattsMax) return value.error(fmt::format("at most {}, found {}", format_watts(kWattsMax), text));
    *to = *watts;
  }
  TIDELINE_CHECK_OK(map.finish());
  return power;
}

Result<Node> read_node(const YamlNode& yaml, const std::vector<Node>& before, bool is_version_1) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  Node node;
  const YamlNode name = map.required("name");
  TIDELINE_TRY(node.name, name.text());
  if (!is_name(node.name)) return name.error(fmt::format("a name is {}, found '{}'", kNameRule, printable(node.name)));
  const YamlNode tier = map.required("tier");
  TIDELINE_TRY(node.tier, read_tier(tier));
  const YamlNode address = map.required("address");
  TIDELINE_TRY(const Address place, read_address(address));
  node.host = place.host;
  node.port = place.port;
  const YamlNode threads = map.optional("threads");
  TIDELINE_TRY(const std::int64_t thread_count, threads.integer_or(1));
  if (thread_count < 1 || thread_count > limits::kEngineThreadsMax)
    return threads.error(fmt::format("expected 1 to {} threads, found {}", limits::kEngineThreadsMax, thread_count));
  node.threads = static_cast<int>(thread_count);
  const YamlNode slowdown = map.optional("slowdown");
  TIDELINE_TRY(node.slowdown, slowdown.number_or(1.0));
  if (node.slowdown < 1 || node.slowdown > limits::kNodeSlowdownMax)
    return slowdown.error(fmt::format("expected a factor of 1 or more (a node cannot be made faster), found {}", node.slowdown));
  const YamlNode memory = map.optional("memory");
  if (memory.present()) {
    TIDELINE_TRY(const std::string text, memory.text());
    const auto bytes = parse_memory(text);
    if (!bytes) return memory.error(bytes.error().message + "; leave the key out for no limit");
    node.memory_bytes = *bytes;
  }
  TIDELINE_TRY(node.profile, map.optional("profile").text_or(""));
  if (const YamlNode power = map.optional("power"); power.present()) {
    TIDELINE_TRY(node.power, read_power(power));
  }
  TIDELINE_CHECK_OK(map.finish());

  for (const Node& other : before) {
    if (other.name == node.name) return name.error(fmt::format("the name '{}' appears twice", node.name));
    if (other.host == node.host && other.port == node.port)
      return address.error(fmt::format("'{}' already has the address {}:{}", other.name, node.host, node.port));
  }
  if (is_version_1 && !before.empty() && before.back().tier > node.tier)
    return tier.error(
        fmt::format("the tiers go back from {} to {}: nodes of version 1 stand in the order in which data moves, device, edge, "
                    "cloud (write version: 2 for any order)",
                    to_string(before.back().tier), to_string(node.tier)));
  return node;
}

Result<std::size_t> read_node_reference(const YamlNode& yaml, const std::vector<Node>& nodes) {
  TIDELINE_TRY(const std::string text, yaml.text());
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].name == text) return i;
    names.push_back(nodes[i].name);
  }
  const std::string_view near = nearest(text, names);
  return yaml.error(near.empty() ? fmt::format("no node is named '{}'", printable(text))
                                 : fmt::format("no node is named '{}'; did you mean '{}'?", printable(text), near));
}

Result<Link> read_link(const YamlNode& yaml, const std::vector<Node>& nodes, bool is_version_1) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  const YamlNode from = map.required("from");
  const YamlNode to = map.required("to");
  TIDELINE_TRY(const std::size_t from_index, read_node_reference(from, nodes));
  TIDELINE_TRY(const std::size_t to_index, read_node_reference(to, nodes));
  Link link;
  link.from = static_cast<NodeId>(from_index);
  link.to = static_cast<NodeId>(to_index);
  TIDELINE_TRY(link.bytes_per_s, map.required("bandwidth").bandwidth_bytes_per_s());
  const YamlNode back = map.optional("bandwidth_back");
  link.back_bytes_per_s = link.bytes_per_s;
  if (back.present()) {
    TIDELINE_TRY(link.back_bytes_per_s, back.bandwidth_bytes_per_s());
  }
  TIDELINE_TRY(link.rtt, map.required("rtt").duration_or(Millis{0}));
  const YamlNode address = map.optional("address");
  if (address.present()) {
    TIDELINE_TRY(const Address place, read_address(address));
    link.host = place.host;
    link.port = place.port;
  }
  TIDELINE_TRY(link.metered, map.optional("metered").boolean_or(true));
  TIDELINE_CHECK_OK(map.finish());
  if (from_index == to_index)
    return to.error(fmt::format("a link from '{}' to itself: a link joins two nodes", nodes[from_index].name));
  if (!is_version_1) return link;
  if (to_index + 1 == from_index)
    return from.error(
        fmt::format("links of version 1 point up the chain: write from: {}, to: {} (bandwidth_back is the way back), "
                    "or version: 2 for links between any two nodes",
                    nodes[to_index].name, nodes[from_index].name));
  if (from_index + 1 != to_index)
    return to.error(
        fmt::format("'{}' and '{}' are not neighbours in the list of nodes, and links of version 1 join each node to "
                    "the next one: write version: 2 for links between any two nodes",
                    nodes[from_index].name, nodes[to_index].name));
  return link;
}

bool is_before(const Link& left, const Link& right) { return std::pair(left.from, left.to) < std::pair(right.from, right.to); }

Status read_links(const YamlNode& yaml, const YamlNode& root, bool is_version_1, Cluster& cluster) {
  if (yaml.present()) {
    TIDELINE_TRY(const std::vector<YamlNode> list, yaml.list());
    if (list.size() > limits::kClusterLinksMax)
      return yaml.error(fmt::format("at most {} links, found {}", limits::kClusterLinksMax, list.size()));
    std::set<std::pair<NodeId, NodeId>> seen;
    for (const YamlNode& entry : list) {
      TIDELINE_TRY(Link link, read_link(entry, cluster.nodes, is_version_1));
      if (!seen.emplace(link.from, link.to).second)
        return entry.error(fmt::format("a second link from '{}' to '{}'", cluster.nodes[std::size_t(link.from)].name,
                                       cluster.nodes[std::size_t(link.to)].name));
      cluster.links.push_back(std::move(link));
    }
  }
  std::sort(cluster.links.begin(), cluster.links.end(), is_before);
  if (!is_version_1) return {};
  // Each link joins neighbours, no two the same: the first one missing is where the list is out of step.
  for (std::size_t i = 0; i + 1 < cluster.nodes.size(); ++i)
    if (i >= cluster.links.size() || std::size_t(cluster.links[i].from) != i)
      return (yaml.present() ? yaml : root)
          .error(fmt::format("no link from '{}' to '{}': neighbours need one", cluster.nodes[i].name, cluster.nodes[i + 1].name));
  return {};
}

}  // namespace

std::string_view to_string(Tier tier) { return kTierNames[static_cast<std::size_t>(tier)]; }

std::size_t node_index(const Cluster& cluster, std::string_view name) {
  std::size_t index = 0;
  while (index < cluster.nodes.size() && cluster.nodes[index].name != name) ++index;
  return index;
}

bool is_chain(const Cluster& cluster) {
  if (cluster.links.size() + 1 != cluster.nodes.size() || cluster.source != NodeId{0}) return false;
  for (std::size_t i = 0; i < cluster.links.size(); ++i)
    if (std::size_t(cluster.links[i].from) != i || std::size_t(cluster.links[i].to) != i + 1) return false;
  return true;
}

Result<Cluster> parse_cluster(std::string_view yaml, std::string_view name) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, name));
  TIDELINE_TRY(YamlMap map, root.map());
  const YamlNode version = map.optional("version");
  TIDELINE_TRY(const std::int64_t number, version.integer_or(1));
  if (number != 1 && number != 2) return version.error(fmt::format("this build reads versions 1 and 2, found {}", number));
  const bool is_version_1 = number == 1;
  const YamlNode nodes = map.required("nodes");
  const YamlNode links = map.optional("links");
  const YamlNode source = map.optional("source");
  TIDELINE_CHECK_OK(map.finish());
  TIDELINE_TRY(const std::vector<YamlNode> list, nodes.list());
  if (list.empty()) return nodes.error("a cluster has at least one node");
  const std::size_t nodes_max = is_version_1 ? limits::kPlanHopsMax : limits::kClusterNodesMax;
  if (list.size() > nodes_max) return nodes.error(fmt::format("at most {} nodes, found {}", nodes_max, list.size()));
  Cluster cluster;
  for (const YamlNode& entry : list) {
    TIDELINE_TRY(Node node, read_node(entry, cluster.nodes, is_version_1));
    cluster.nodes.push_back(std::move(node));
  }
  TIDELINE_CHECK_OK(read_links(links, root, is_version_1, cluster));
  if (source.present()) {
    if (is_version_1) return source.error("in version 1 the first node is the source: write version: 2 to name another");
    TIDELINE_TRY(const std::size_t index, read_node_reference(source, cluster.nodes));
    cluster.source = static_cast<NodeId>(index);
  }
  return cluster;
}

Result<Cluster> load_cluster(const std::string& path) {
  TIDELINE_TRY(const std::string text, read_file(path, limits::kYamlFileBytesMax));
  TIDELINE_TRY(Cluster cluster, parse_cluster(text, path));
  for (Node& node : cluster.nodes) {
    const std::filesystem::path profile(node.profile);
    if (!node.profile.empty() && profile.is_relative())
      node.profile = (std::filesystem::path(path).parent_path() / profile).string();
  }
  return cluster;
}

}  // namespace tideline
