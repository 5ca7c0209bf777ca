#include "session/plan_figures.h"

#include <algorithm>
#include <deque>
#include <limits>

#include <fmt/format.h>

#include "base/energy.h"
#include "base/units.h"

namespace tideline {
namespace {

// As far from the source as links lead upwards, so that every link goes to a later column; where links lead round in circles,
// the fewest steps along links, whichever way. Nodes that nothing joins stand behind all others.
std::vector<std::uint32_t> columns_of(std::uint32_t nodes, std::uint32_t source,
                                      const std::vector<std::pair<std::uint32_t, std::uint32_t>>& links) {
  constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> columns(nodes, kNowhere);
  columns[source] = 0;
  bool is_settled = false;
  for (std::uint32_t round = 0; round <= nodes && !is_settled; ++round) {
    is_settled = true;
    for (const auto& [from, to] : links)
      if (columns[from] != kNowhere && (columns[to] == kNowhere || columns[to] <= columns[from])) {
        columns[to] = columns[from] + 1;
        is_settled = false;
      }
  }
  if (!is_settled) {
    columns.assign(nodes, kNowhere);
    columns[source] = 0;
    for (std::deque<std::uint32_t> open{source}; !open.empty(); open.pop_front())
      for (const auto& [from, to] : links)
        for (const auto& [here, there] : {std::pair(from, to), std::pair(to, from)})
          if (here == open.front() && columns[there] == kNowhere) {
            columns[there] = columns[here] + 1;
            open.push_back(there);
          }
  }
  std::uint32_t last = 0;
  for (const std::uint32_t column : columns)
    if (column != kNowhere) last = std::max(last, column);
  for (std::uint32_t& column : columns)
    if (column == kNowhere) column = last + 1;
  return columns;
}

std::string blocks_text(std::string_view what, std::size_t first, std::size_t last) {
  return first == last ? fmt::format("{} {}", what, first) : fmt::format("{}s {}-{}", what, first, last);
}

std::string bytes_text(double bytes) { return format_bytes(static_cast<Bytes>(std::max(0.0, bytes) + 0.5)); }

// What a link carries, both ways.
struct Carried {
  double bytes = 0;
  double back_bytes = 0;
  double ms = 0;
  double back_ms = 0;
  int calls = 0;
};

std::vector<std::string> link_lines(const Carried& carried, double bytes_per_s, double rtt_ms) {
  const std::string speed = fmt::format("{}, rtt {}", format_bandwidth(bytes_per_s), format_millis(Millis{rtt_ms}));
  if (carried.calls == 0) return {speed};
  return {fmt::format("up {}: {}", bytes_text(carried.bytes), format_millis(Millis{carried.ms})),
          fmt::format("back {}: {}", bytes_text(carried.back_bytes), format_millis(Millis{carried.back_ms})), speed};
}

void add_part(Shares& shares, std::string name, double value, bool is_link) {
  for (Shares::Part& part : shares.parts)
    if (part.name == name) {
      part.value += value;
      return;
    }
  shares.parts.push_back({std::move(name), value, is_link});
}

// The table without what a link takes, one way or both, so that a difference is what it took.
Table with_free_link(const Table& table, std::uint32_t link, bool up, bool back, bool rtt) {
  constexpr double kEndlessRate = 1e300;
  Table free = table;
  if (up) free.links[link].bytes_per_s = kEndlessRate;
  if (back) free.links[link].back_bytes_per_s = kEndlessRate;
  if (rtt) free.links[link].rtt_ms = 0;
  return free;
}

double latency_of(Table table, const TableWalk& walk) {
  table.keep_on_source = 0;
  const auto value = walk_value(table, walk);
  return value ? value->total.latency_ms : 0;
}

std::string link_name(const Table& table, std::uint32_t link) {
  return table.devices[table.links[link].from] + " - " + table.devices[table.links[link].to];
}

}  // namespace

double Shares::sum() const {
  double sum = 0;
  for (const Part& part : parts) sum += part.value;
  return sum;
}

report::SiteFigure site_figure(const Cluster& cluster, const Profile& of_model, const Plan& plan, const Estimate& estimate) {
  // A plan that leaves by an exit has the blocks of that exit; the cost model has refused one that the profile lacks.
  const auto of_exit = plan.exit && !of_model.exit ? at_exit(of_model, *plan.exit) : Result<Profile>(of_model);
  const Profile& profile = of_exit ? *of_exit : of_model;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ends;
  for (const Link& link : cluster.links)
    ends.emplace_back(static_cast<std::uint32_t>(link.from), static_cast<std::uint32_t>(link.to));
  const std::vector<std::uint32_t> columns =
      columns_of(static_cast<std::uint32_t>(cluster.nodes.size()), static_cast<std::uint32_t>(cluster.source), ends);
  report::SiteFigure figure{.title = fmt::format("{}: {} for a request", profile.model_name, format_millis(estimate.latency)),
                            .subtitle = fmt::format("{} computing, {} on the way; planned by {}", format_millis(estimate.compute),
                                                    format_millis(estimate.transfer), plan.planner)};
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i)
    figure.nodes.push_back({.name = cluster.nodes[i].name, .column = columns[i]});
  for (const std::string& name : plan.route)
    if (const std::size_t node = node_index(cluster, name); node < cluster.nodes.size()) figure.nodes[node].carries = true;
  for (const StageEstimate& stage : estimate.stages) {
    if (!stage.has_segment) continue;
    report::SiteNode& node = figure.nodes[node_index(cluster, stage.node)];
    node.runs = true;
    node.lines.push_back(blocks_text("block", stage.first_block, stage.last_block));
    node.lines.push_back(format_millis(stage.compute));
  }
  std::vector<Carried> carried(cluster.links.size());
  for (const HopEstimate& hop : estimate.hops) {
    Carried& link = carried[hop.link];
    ++link.calls;
    link.bytes += static_cast<double>(hop.bytes);
    link.back_bytes += static_cast<double>(hop.result_bytes);
    link.ms += hop.forward.count();
    link.back_ms += hop.back.count();
  }
  for (std::size_t i = 0; i < cluster.links.size(); ++i)
    figure.links.push_back({.from = ends[i].first,
                            .to = ends[i].second,
                            .lines = link_lines(carried[i], cluster.links[i].bytes_per_s, cluster.links[i].rtt.count()),
                            .carries = carried[i].calls > 0});
  return figure;
}

report::SiteFigure site_figure(const Table& table, const TableWalk& walk) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ends;
  for (const TableLink& link : table.links) ends.emplace_back(link.from, link.to);
  const std::vector<std::uint32_t> columns = columns_of(table.device_count(), table.source, ends);
  const double latency = latency_of(table, walk);
  report::SiteFigure figure{.title = fmt::format("{} for a request", format_millis(Millis{latency})),
                            .subtitle = "what runs where, and what the links carry"};
  for (std::size_t i = 0; i < table.devices.size(); ++i) figure.nodes.push_back({.name = table.devices[i], .column = columns[i]});
  for (const std::uint32_t device : walk.route) figure.nodes[device].carries = true;
  for (std::size_t i = 0; i < walk.devices.size();) {
    const std::uint32_t device = walk.devices[i];
    std::size_t end = i;
    double ms = 0;
    for (; end < walk.devices.size() && walk.devices[end] == device; ++end) ms += table.runtime(table.order[end], device);
    report::SiteNode& node = figure.nodes[device];
    node.runs = true;
    const std::string& first = table.op_names[table.order[i]];
    node.lines.push_back(end - i == 1 ? first : fmt::format("{} .. {}", first, table.op_names[table.order[end - 1]]));
    node.lines.push_back(format_millis(Millis{ms}));
    i = end;
  }
  for (std::uint32_t i = 0; i < table.links.size(); ++i) {
    const TableLink& link = table.links[i];
    Carried carried{.calls = static_cast<int>(std::count(walk.links.begin(), walk.links.end(), i))};
    if (carried.calls > 0) {
      carried.ms = latency - latency_of(with_free_link(table, i, true, false, false), walk);
      carried.back_ms = latency - latency_of(with_free_link(table, i, false, true, false), walk);
      carried.bytes = carried.ms / 1e3 * link.bytes_per_s;
      carried.back_bytes = carried.back_ms / 1e3 * link.back_bytes_per_s;
    }
    figure.links.push_back({.from = link.from,
                            .to = link.to,
                            .lines = link_lines(carried, link.bytes_per_s, link.rtt_ms),
                            .carries = carried.calls > 0});
  }
  return figure;
}

Shares time_shares(const Estimate& estimate) {
  Shares shares;
  for (const StageEstimate& stage : estimate.stages) {
    const double ms = (stage.compute + stage.decode + stage.encode).count();
    if (stage.has_segment || ms > 0) add_part(shares, stage.node + " computes", ms, false);
    for (const HopEstimate& hop : estimate.hops)
      if (hop.at == stage.at) add_part(shares, hop.from + " - " + hop.to, hop.on_link().count(), true);
  }
  // Calls of places that only carry an answer on, which are no stages here.
  for (const HopEstimate& hop : estimate.hops)
    if (std::none_of(estimate.stages.begin(), estimate.stages.end(),
                     [&](const StageEstimate& stage) { return stage.at == hop.at; }))
      add_part(shares, hop.from + " - " + hop.to, hop.on_link().count(), true);
  return shares;
}

Shares time_shares(const Table& table, const TableWalk& walk) {
  Shares shares;
  const auto value = walk_value(table, walk);
  if (!value) return shares;
  for (std::size_t position = 0; position < walk.route.size(); ++position) {
    const std::uint32_t device = walk.route[position];
    const std::string name = table.devices[device] + " computes";
    const bool is_new =
        std::none_of(shares.parts.begin(), shares.parts.end(), [&](const auto& part) { return part.name == name; });
    if (is_new && value->busy_ms[device] > 0) add_part(shares, name, value->busy_ms[device], false);
    if (position == walk.links.size()) break;
    const std::uint32_t link = walk.links[position];
    if (std::find(walk.links.begin(), walk.links.begin() + static_cast<std::ptrdiff_t>(position), link) !=
        walk.links.begin() + static_cast<std::ptrdiff_t>(position))
      continue;
    add_part(shares, link_name(table, link),
             value->total.latency_ms - latency_of(with_free_link(table, link, true, true, true), walk), true);
  }
  return shares;
}

Shares energy_shares(const Cluster& cluster, const Estimate& estimate) {
  Shares shares;
  for (const Node& node : cluster.nodes) {
    if (!node.power) continue;
    double busy = 0;
    double sends = 0;
    double receives = 0;
    for (const StageEstimate& stage : estimate.stages)
      if (stage.node == node.name) busy += (stage.decode + stage.compute + stage.encode).count();
    for (const HopEstimate& hop : estimate.hops) {
      if (hop.from == node.name) sends += hop.forward.count(), receives += hop.back.count();
      if (hop.to == node.name) sends += hop.back.count(), receives += hop.forward.count();
    }
    const Power& power = *node.power;
    add_part(shares, node.name + " computes", (power.compute_w - power.idle_w) * busy / 1e3, false);
    add_part(shares, node.name + " sends", (power.transmit_w - power.idle_w) * sends / 1e3, true);
    add_part(shares, node.name + " receives", (power.receive_w - power.idle_w) * receives / 1e3, true);
    add_part(shares, node.name + " idles", power.idle_w * estimate.latency.count() / 1e3, false);
  }
  return shares;
}

Shares energy_shares(const Table& table, const TableWalk& walk) {
  Shares shares;
  for (std::size_t device = 0; device < table.power.size(); ++device) {
    if (!table.power[device]) continue;
    const TablePower power = *table.power[device];
    // One term of the definition at a time.
    const auto alone = [&](const TablePower& only) {
      Table one = table;
      for (auto& other : one.power) other.reset();
      one.power[device] = only;
      const auto value = walk_value(one, walk);
      return value ? value->total.energy_j : 0;
    };
    const std::string& name = table.devices[device];
    add_part(shares, name + " computes", alone({.compute_w = power.compute_w - power.idle_w}), false);
    add_part(shares, name + " sends", alone({.transmit_w = power.transmit_w - power.idle_w}), true);
    add_part(shares, name + " receives", alone({.receive_w = power.receive_w - power.idle_w}), true);
    const double idle = power.idle_w;
    add_part(shares, name + " idles", alone({.compute_w = idle, .transmit_w = idle, .receive_w = idle, .idle_w = idle}), false);
  }
  return shares;
}

report::BarsFigure bars_figure(Objective objective, std::vector<BarOf> bars) {
  const bool is_energy = objective == Objective::kEnergy;
  report::BarsFigure figure{.title = is_energy ? "Where the energy goes" : "Where the time goes",
                            .subtitle = "of one request, for each candidate; * is the plan that was chosen",
                            .unit = is_energy ? "mJ" : "ms"};
  std::stable_sort(bars.begin(), bars.end(),
                   [](const BarOf& left, const BarOf& right) { return left.shares.sum() < right.shares.sum(); });
  std::vector<std::string> names;
  for (const BarOf& bar : bars)
    for (const Shares::Part& part : bar.shares.parts) {
      if (std::find(names.begin(), names.end(), part.name) != names.end()) continue;
      names.push_back(part.name);
      figure.parts.push_back({part.name, part.is_link});
    }
  for (BarOf& bar : bars) {
    report::Bar drawn{.name = std::move(bar.name), .values = std::vector<double>(names.size())};
    for (const Shares::Part& part : bar.shares.parts) {
      const auto at = std::find(names.begin(), names.end(), part.name) - names.begin();
      drawn.values[static_cast<std::size_t>(at)] = (is_energy ? 1e3 : 1) * part.value;
    }
    drawn.total = is_energy ? format_joules(bar.shares.sum()) : format_millis(Millis{bar.shares.sum()});
    drawn.why_not = std::move(bar.why_not);
    drawn.chosen = bar.chosen;
    figure.bars.push_back(std::move(drawn));
  }
  return figure;
}

}  // namespace tideline
