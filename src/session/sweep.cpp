#include "session/sweep.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "planner/table_walks.h"
#include "report/table.h"

namespace tideline {
namespace {

constexpr std::string_view kSweeping = "sweep";

// The node of each block.
std::vector<std::uint32_t> nodes_of(const Cluster& cluster, const Estimate& estimate) {
  std::vector<std::uint32_t> nodes;
  for (const StageEstimate& stage : estimate.stages) {
    if (!stage.has_segment) continue;
    std::uint32_t node = 0;
    while (cluster.nodes[node].name != stage.node) ++node;
    nodes.resize(stage.last_block + 1, node);
  }
  return nodes;
}

// A point of a table of version 2.
Result<report::SweepPoint> walk_point(const Table& table, const std::string& planner, const Control& control, std::string& used) {
  report::SweepPoint point{.single = std::vector<double>(table.devices.size(), std::nan(""))};
  TIDELINE_TRY(const WalkPlan plan, plan_walk(table, {}, planner, control.cancel));
  used = plan.planner;
  point.device = plan.walk.devices;
  point.value = plan.value.total.latency_ms;
  TIDELINE_TRY(const std::vector<WalkCandidate> list, walk_candidates(table, {}, control.cancel));
  for (const WalkCandidate& candidate : list)
    if (candidate.kind == WalkCandidate::Kind::kNative && candidate.infeasible.empty())
      point.single[candidate.index] = candidate.plan.value.total.latency_ms;
  return point;
}

}  // namespace

Result<std::vector<double>> sweep_bandwidths(const SweepRange& range) {
  if (!(range.from_bytes_per_s > 0) || !(range.from_bytes_per_s < range.to_bytes_per_s))
    return Error{ErrorCode::kInvalidArgument, "--from must be above 0 and below --to"};
  if (range.points < 2 || range.points > 10'000) return Error{ErrorCode::kInvalidArgument, "--points must be 2 to 10000"};
  std::vector<double> values;
  const double ratio = std::log(range.to_bytes_per_s / range.from_bytes_per_s) / (range.points - 1);
  for (int i = 0; i < range.points; ++i) values.push_back(range.from_bytes_per_s * std::exp(ratio * i));
  values.back() = range.to_bytes_per_s;
  return values;
}

Result<Sweep> sweep_table(Table table, const SweepRange& range, const std::string& planner, const Control& control) {
  TIDELINE_TRY(const std::vector<double> bandwidths, sweep_bandwidths(range));
  Sweep sweep{.devices = table.devices};
  for (const std::uint32_t op : table.order) sweep.layers.push_back(table.op_names[op]);
  table.exits.clear();  // every layer has a device
  for (const double bandwidth : bandwidths) {
    TIDELINE_CHECK_OK(control.check());
    for (TableLink& link : table.links) link.bytes_per_s = link.back_bytes_per_s = bandwidth;
    if (table.version == 2) {
      TIDELINE_TRY(report::SweepPoint point, walk_point(table, planner, control, sweep.planner));
      point.x = bandwidth;
      sweep.points.push_back(std::move(point));
      control.report({kSweeping, sweep.points.size(), bandwidths.size(), ""});
      continue;
    }
    TIDELINE_TRY(const TablePlan plan, plan_table(table, planner));
    sweep.planner = plan.planner;
    report::SweepPoint point{.x = bandwidth, .value = plan.value.latency_ms};
    for (const std::uint32_t op : table.order) point.device.push_back(plan.devices[op]);
    for (std::uint32_t device = 0; device < table.device_count(); ++device)
      point.single.push_back(native_table_plan(table, device).value.latency_ms);
    sweep.points.push_back(std::move(point));
    control.report({kSweeping, sweep.points.size(), bandwidths.size(), ""});
  }
  return sweep;
}

Result<Sweep> sweep_model(const Cluster& cluster, const std::vector<const Profile*>& profiles, const SweepRange& range,
                          const std::string& planner, const Control& control) {
  TIDELINE_TRY(const std::vector<double> bandwidths, sweep_bandwidths(range));
  Cluster changing = cluster;
  const PlanRequest request{.cost = {.cluster = &changing, .profiles = profiles}, .cancel = control.cancel};
  Sweep sweep;
  for (const Node& node : cluster.nodes) sweep.devices.push_back(node.name);
  for (const BlockProfile& block : profiles[0]->blocks) sweep.layers.push_back(block.name);
  for (const double bandwidth : bandwidths) {
    TIDELINE_CHECK_OK(control.check());
    for (Link& link : changing.links) link.bytes_per_s = link.back_bytes_per_s = bandwidth;
    TIDELINE_TRY(const PlanResult result, run_planner(request, planner));
    sweep.planner = result.plan.planner;
    report::SweepPoint point{
        .x = bandwidth, .device = nodes_of(changing, result.estimate), .value = result.estimate.latency.count()};
    TIDELINE_TRY(const std::vector<Candidate> list, candidates(request));
    point.single.assign(cluster.nodes.size(), std::nan(""));
    for (const Candidate& candidate : list)
      if (candidate.kind == Candidate::Kind::kNative && candidate.estimate.infeasible.empty())
        point.single[nodes_of(changing, candidate.estimate)[0]] = candidate.estimate.latency.count();
    sweep.points.push_back(std::move(point));
    control.report({kSweeping, sweep.points.size(), bandwidths.size(), ""});
  }
  return sweep;
}

std::vector<SweepStretch> stretches(const Sweep& sweep) {
  std::vector<SweepStretch> list;
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    if (i > 0 && sweep.points[i].device == sweep.points[i - 1].device)
      list.back().last = i;
    else
      list.push_back({i, i});
  }
  return list;
}

bool is_split(const report::SweepPoint& point) {
  return std::any_of(point.device.begin(), point.device.end(), [&](std::uint32_t device) { return device != point.device[0]; });
}

double best_single_ms(const report::SweepPoint& point) {
  double best = std::nan("");
  for (const double single : point.single) best = std::fmin(best, single);
  return best;
}

std::string describe_placement(const Sweep& sweep, const report::SweepPoint& point) {
  if (!is_split(point)) return "everything on " + sweep.devices[point.device[0]];
  std::string text;
  for (std::size_t first = 0; first < point.device.size();) {
    std::size_t last = first;
    while (last + 1 < point.device.size() && point.device[last + 1] == point.device[first]) ++last;
    text += fmt::format("{}{}: {}", text.empty() ? "" : " | ", sweep.devices[point.device[first]], sweep.layers[first]);
    if (last > first) text += " .. " + sweep.layers[last];
    first = last + 1;
  }
  return text;
}

std::string sweep_csv(const Sweep& sweep) {
  std::string csv = "bandwidth_bit_s,latency_ms,best_single_ms,is_split";
  for (const std::string& device : sweep.devices) csv += "," + report::csv_field("single_ms " + device);
  for (const std::string& layer : sweep.layers) csv += "," + report::csv_field("device of " + layer);
  csv += "\n";
  const auto number = [](double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : std::string(); };
  for (const report::SweepPoint& point : sweep.points) {
    csv +=
        fmt::format("{:.9g},{},{},{}", point.x * 8, number(point.value), number(best_single_ms(point)), is_split(point) ? 1 : 0);
    for (const double single : point.single) csv += "," + number(single);
    for (const std::uint32_t device : point.device) csv += "," + report::csv_field(sweep.devices[device]);
    csv += "\n";
  }
  return csv;
}

}  // namespace tideline
