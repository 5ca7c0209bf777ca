#include "planner/problem.h"

#include <algorithm>
#include <limits>

namespace tideline {
namespace {

// fixed + bytes * per_byte is cost/cost.h's move_time.
void set_moves(double bytes_per_s, Millis rtt, Millis overhead, double& fixed_ms, double& ms_per_byte) {
  fixed_ms = move_time(0, bytes_per_s, rtt, overhead).count();
  ms_per_byte = move_time(1, bytes_per_s, Millis{0}, Millis{0}).count();
}

void set_times(const CostInput& cost, Problem& problem) {
  const std::size_t m = problem.nodes;
  const std::size_t n = problem.blocks;
  problem.time.resize(n * m);
  problem.start.resize((n + 1) * m);
  problem.end.resize((n + 1) * m);
  for (std::size_t node = 0; node < m; ++node) {
    const Profile& profile = *cost.profiles[problem.node_ids[node]];
    const double slowdown = cost.cluster->nodes[problem.node_ids[node]].slowdown;
    for (std::size_t cut = 0; cut <= n; ++cut) {
      problem.start[cut * m + node] = slowdown * (profile.segment_overhead + profile.cuts[cut].start).count();
      problem.end[cut * m + node] = slowdown * profile.cuts[cut].end.count();
      if (cut < n) problem.time[cut * m + node] = slowdown * profile.blocks[cut].time.count();
    }
  }
}

void set_memory(const CostInput& cost, Problem& problem) {
  const std::vector<Node>& nodes = cost.cluster->nodes;
  if (std::none_of(nodes.begin(), nodes.end(), [](const Node& node) { return node.memory_bytes.has_value(); })) return;
  for (const std::uint32_t id : problem.node_ids) {
    problem.memory.push_back(nodes[id].memory_bytes);
    problem.profiles.push_back(cost.profiles[id]);
  }
}

// Numbers the nodes by their first place, so that on a chain place j is node j, whatever the order of the file.
void renumber(std::size_t cluster_nodes, Problem& problem) {
  constexpr std::uint32_t kNone = 0xffffffffu;
  std::vector<std::uint32_t> number(cluster_nodes, kNone);
  for (Place& place : problem.places) {
    std::uint32_t& known = number[static_cast<std::size_t>(place.node)];
    if (known == kNone) {
      known = static_cast<std::uint32_t>(problem.node_ids.size());
      problem.node_ids.push_back(static_cast<std::uint32_t>(place.node));
    }
    place.node = NodeId{known};
  }
  problem.nodes = problem.node_ids.size();
}

}  // namespace

bool Problem::is_chain() const {
  for (std::size_t place = 1; place < places.size(); ++place)
    if (places[place].parent + 1 != place) return false;
  return true;
}

Result<Problem> make_problem(const PlanRequest& request) {
  const CostInput& cost = request.cost;
  const Cluster& cluster = *cost.cluster;
  TIDELINE_TRY(Routes routes, routes_of(cluster));
  const std::vector<CutProfile>& cuts = cost.profiles[0]->cuts;
  Problem problem{.blocks = cost.profiles[0]->blocks.size(), .places = std::move(routes.places)};
  renumber(cluster.nodes.size(), problem);
  for (const CutProfile& cut : cuts) problem.cut_bytes.push_back(static_cast<double>(cut.bytes));
  problem.result_bytes = cost.result_to == ResultTo::kNowhere ? 0 : problem.cut_bytes.back();
  problem.moves.resize(problem.places.size());
  for (std::size_t place = 1; place < problem.places.size(); ++place) {
    const Link& link = cluster.links[problem.places[place].link];
    Problem::Moves& moves = problem.moves[place];
    set_moves(link.bytes_per_s, link.rtt, cost.hop_overhead, moves.up_ms, moves.up_ms_per_byte);
    set_moves(link.back_bytes_per_s, link.rtt, cost.hop_overhead, moves.back_ms, moves.back_ms_per_byte);
  }
  set_times(cost, problem);
  set_memory(cost, problem);
  problem.may_come_back = request.walks == Walks::kAny;
  return problem;
}

Problem make_problem(const Table& table) {
  const std::size_t m = table.devices.size();
  Problem problem{.blocks = table.op_names.size(), .nodes = m};
  problem.result_bytes = table.result_bytes;
  problem.may_come_back = false;
  problem.moves.resize(m);
  for (std::uint32_t j = 0; j < m; ++j) {
    problem.node_ids.push_back(j);
    problem.places.push_back({.node = NodeId{j}, .parent = j == 0 ? 0 : j - 1, .link = j == 0 ? 0 : j - 1, .depth = j});
    if (j == 0) continue;
    const TableLink& link = table.links[j - 1];
    Problem::Moves& moves = problem.moves[j];
    set_moves(link.bytes_per_s, Millis{link.rtt_ms}, Millis{0}, moves.up_ms, moves.up_ms_per_byte);
    moves.back_ms = moves.up_ms;
    moves.back_ms_per_byte = moves.up_ms_per_byte;
  }
  problem.cut_bytes.reserve(problem.blocks + 1);
  problem.cut_bytes.push_back(table.input_bytes);
  problem.time.resize(problem.blocks * m);
  double* to = problem.time.data();
  for (const std::uint32_t op : table.order) {
    problem.cut_bytes.push_back(table.output_bytes[op]);
    const double* const from = &table.runtime_ms[std::size_t{op} * m];
    to = std::copy(from, from + m, to);
  }
  if (table.is_chain) return problem;
  std::vector<std::uint32_t> position(table.op_count());
  for (std::uint32_t i = 0; i < table.op_count(); ++i) position[table.order[i]] = i;
  problem.edges.emplace();
  for (const auto& [from, to_op] : table.edges) problem.edges->emplace_back(position[from], position[to_op]);
  std::sort(problem.edges->begin(), problem.edges->end());
  return problem;
}

// The smallest segment is the smallest difference between a later and an earlier sum: one pass for each node.
bool is_additive(const Problem& problem) {
  if (problem.start.empty()) return true;
  for (std::size_t node = 0; node < problem.nodes; ++node) {
    double most_before = -std::numeric_limits<double>::infinity();
    double before = 0;
    for (std::size_t cut = 1; cut <= problem.blocks; ++cut) {
      most_before = std::max(most_before, before - problem.start_ms(cut - 1, node));
      before += problem.time[(cut - 1) * problem.nodes + node];
      if (before + problem.end_ms(cut, node) < most_before) return false;
    }
  }
  return true;
}

bool fits_memory(const Problem& problem, std::span<const std::uint32_t> places) {
  if (problem.memory.empty()) return true;
  std::vector<Bytes> needs(problem.nodes, 0);
  for (std::size_t first = 0; first < places.size();) {
    std::size_t last = first;
    while (last + 1 < places.size() && places[last + 1] == places[first]) ++last;
    const std::size_t node = problem.node(places[first]);
    needs[node] +=
        segment_memory_bytes(*problem.profiles[node], static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last));
    first = last + 1;
  }
  for (std::size_t node = 0; node < problem.nodes; ++node)
    if (problem.memory[node] && needs[node] > *problem.memory[node]) return false;
  return true;
}

Walk walk_of(const std::vector<Place>& places, std::span<const std::uint32_t> place_of_block) {
  Walk walk{.positions = {0}};
  std::vector<std::uint32_t> up;
  const auto go_to = [&](std::uint32_t target) {
    up.clear();
    std::uint32_t at = walk.positions.back();
    for (std::uint32_t to = target; at != to;) {
      if (places[at].depth >= places[to].depth) {
        at = places[at].parent;
        walk.positions.push_back(at);
      } else {
        up.push_back(to);
        to = places[to].parent;
      }
    }
    walk.positions.insert(walk.positions.end(), up.rbegin(), up.rend());
  };
  for (const std::uint32_t place : place_of_block) {
    go_to(place);
    walk.position_of_block.push_back(static_cast<std::uint32_t>(walk.positions.size() - 1));
  }
  go_to(0);
  return walk;
}

}  // namespace tideline
