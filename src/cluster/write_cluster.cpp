#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "cluster/cluster.h"

namespace tideline {
namespace {

// Double-quoted, so that any text a file can hold comes back as it was.
std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte == 0x7f)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result + "\"";
}

std::string address(const std::string& host, std::uint16_t port) {
  return in_quotes(host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port));
}

bool tiers_rise(const std::vector<Node>& nodes) {
  return std::is_sorted(nodes.begin(), nodes.end(), [](const Node& left, const Node& right) { return left.tier < right.tier; });
}

}  // namespace

std::string write_cluster(const Cluster& cluster) {
  const auto name = [&](NodeId node) { return in_quotes(cluster.nodes[std::size_t(node)].name); };
  const bool is_version_1 = is_chain(cluster) && tiers_rise(cluster.nodes) && cluster.nodes.size() <= limits::kPlanHopsMax;
  std::string yaml = fmt::format("version: {}\nnodes:\n", is_version_1 ? 1 : 2);
  for (const Node& node : cluster.nodes) {
    yaml += fmt::format("  - {{name: {}, tier: {}, address: {}, threads: {}, slowdown: {}", in_quotes(node.name),
                        to_string(node.tier), address(node.host, node.port), node.threads, node.slowdown);
    if (node.memory_bytes) yaml += fmt::format(", memory: {}B", *node.memory_bytes);
    if (!node.profile.empty()) yaml += fmt::format(", profile: {}", in_quotes(node.profile));
    if (const auto& power = node.power)
      yaml += fmt::format(", power: {{compute: {}W, transmit: {}W, receive: {}W, idle: {}W}}", power->compute_w,
                          power->transmit_w, power->receive_w, power->idle_w);
    yaml += "}\n";
  }
  if (!cluster.links.empty()) yaml += "links:\n";
  for (const Link& link : cluster.links) {
    yaml += fmt::format("  - {{from: {}, to: {}, bandwidth: {}B/s, bandwidth_back: {}B/s, rtt: {}ms", name(link.from),
                        name(link.to), link.bytes_per_s, link.back_bytes_per_s, link.rtt.count());
    if (!link.host.empty()) yaml += fmt::format(", address: {}", address(link.host, link.port));
    if (!link.metered) yaml += ", metered: false";
    yaml += "}\n";
  }
  if (cluster.source != NodeId{0}) yaml += fmt::format("source: {}\n", name(cluster.source));
  return yaml;
}

}  // namespace tideline
