#include "cost/totals.h"

#include <algorithm>

namespace tideline {

Totals totals(const Cluster& cluster, const Estimate& estimate) {
  const std::size_t nodes = cluster.nodes.size();
  Totals result;
  std::vector<double> busy_ms(nodes);
  std::vector<double> sends_ms(nodes);
  std::vector<double> receives_ms(nodes);
  std::vector<double> up_ms(cluster.links.size());
  std::vector<double> back_ms(cluster.links.size());
  for (const StageEstimate& stage : estimate.stages)
    busy_ms[node_index(cluster, stage.node)] += (stage.decode + stage.compute + stage.encode).count();
  for (const HopEstimate& hop : estimate.hops) {
    const std::size_t from = node_index(cluster, hop.from);
    const std::size_t to = node_index(cluster, hop.to);
    sends_ms[from] += hop.forward.count();
    receives_ms[to] += hop.forward.count();
    sends_ms[to] += hop.back.count();
    receives_ms[from] += hop.back.count();
    up_ms[hop.link] += hop.forward.count();
    back_ms[hop.link] += hop.back.count();
    if (cluster.links[hop.link].metered)
      result.upload_bytes += static_cast<double>(hop.bytes) + static_cast<double>(hop.result_bytes);
  }
  double largest = 0;
  for (const auto* loads : {&busy_ms, &up_ms, &back_ms})
    for (const double load : *loads) largest = std::max(largest, load);
  result.period = Millis{largest};
  double all = 0;
  for (std::size_t node = 0; node < nodes; ++node) {
    double millijoules = 0;
    if (const auto& power = cluster.nodes[node].power)
      millijoules = (power->compute_w - power->idle_w) * busy_ms[node] + (power->transmit_w - power->idle_w) * sends_ms[node] +
                    (power->receive_w - power->idle_w) * receives_ms[node] + power->idle_w * estimate.latency.count();
    result.node_energy_j.push_back(millijoules / 1e3);
    all += millijoules;
  }
  result.energy_j = all / 1e3;
  return result;
}

std::vector<std::string> energy_of(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const Node& node : cluster.nodes)
    if (node.power) names.push_back(node.name);
  return names;
}

}  // namespace tideline
