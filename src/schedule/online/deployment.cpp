#include "schedule/online/deployment.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tideline::schedule {
namespace {

constexpr Use kGone{-1, -1};
// Gaps are closed when there are more than this many of them and they are this share of a server's tenants.
constexpr std::uint32_t kGapsMin = 16;
constexpr double kGapsMax = 0.25;

}  // namespace

Deployment::Deployment(const Instance& instance)
    : instance_(&instance),
      used_bandwidth_(instance.servers.size()),
      used_compute_(instance.servers.size()),
      tenants_(instance.servers.size()),
      uses_(instance.servers.size()),
      gone_(instance.servers.size()),
      layers_(instance.tasks.size()) {
  for (const Server& server : instance.servers) {
    per_mb_bandwidth_.push_back(8 / (instance.bandwidth_share * server.bandwidth_mbit_s));
    per_mb_compute_.push_back(1 / server.capacity_gflop_s);
  }
}

CutRoom Deployment::room_for(std::uint32_t index) const {
  const Task& task = instance_->tasks[index];
  CutRoom room{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  for (const Touch& touch : instance_->touches_of(task)) {
    const UnitDemand unit = unit_demand(task, touch);
    room.ratio = std::min(room.ratio, (1 + kUtilisationSlack - used_bandwidth_[touch.server]) / unit.bandwidth);
    room.gflop_per_mb = std::min(room.gflop_per_mb, (1 + kUtilisationSlack - used_compute_[touch.server]) / unit.compute);
  }
  return room;
}

CutRoom Deployment::room_when_empty(std::uint32_t index) const {
  const Task& task = instance_->tasks[index];
  CutRoom room{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  for (const Touch& touch : instance_->touches_of(task)) {
    const UnitDemand unit = unit_demand(task, touch);
    room.ratio = std::min(room.ratio, (1 + kUtilisationSlack) / unit.bandwidth);
    room.gflop_per_mb = std::min(room.gflop_per_mb, (1 + kUtilisationSlack) / unit.compute);
  }
  return room;
}

double Deployment::utilisation_after(std::uint32_t index, std::uint32_t layers) const {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers);
  double largest = 0;
  for (const Touch& touch : instance_->touches_of(task)) {
    const UnitDemand unit = unit_demand(task, touch);
    largest = std::max({largest, used_bandwidth_[touch.server] + unit.bandwidth * cut.ratio,
                        used_compute_[touch.server] + unit.compute * cut.gflop_per_mb});
  }
  return largest;
}

// Tasks mostly come in the order of their numbers, so the end is tried first.
std::size_t Deployment::position(std::uint32_t server, std::uint32_t task) const {
  const std::vector<std::uint32_t>& tenants = tenants_[server];
  if (tenants.empty() || tenants.back() < task) return tenants.size();
  return static_cast<std::size_t>(std::lower_bound(tenants.begin(), tenants.end(), task) - tenants.begin());
}

void Deployment::move_in(std::uint32_t server, std::uint32_t task, const Use& use) {
  const std::size_t at = position(server, task);
  if (at < tenants_[server].size() && tenants_[server][at] == task) {  // back in its gap
    uses_[server][at] = use;
    --gone_[server];
    return;
  }
  const auto offset = static_cast<std::ptrdiff_t>(at);
  tenants_[server].insert(tenants_[server].begin() + offset, task);
  uses_[server].insert(uses_[server].begin() + offset, use);
}

Use Deployment::move_out(std::uint32_t server, std::uint32_t task) {
  const Use use = std::exchange(uses_[server][position(server, task)], kGone);
  if (++gone_[server] > kGapsMin && gone_[server] > kGapsMax * static_cast<double>(tenants_[server].size())) close_gaps(server);
  return use;
}

void Deployment::close_gaps(std::uint32_t server) {
  std::vector<std::uint32_t>& tenants = tenants_[server];
  std::vector<Use>& uses = uses_[server];
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    if (uses[i].is_gone()) continue;
    tenants[kept] = tenants[i];
    uses[kept++] = uses[i];
  }
  tenants.resize(kept);
  uses.resize(kept);
  gone_[server] = 0;
}

void Deployment::place(std::uint32_t index, std::uint32_t layers) {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers);
  for (const Touch& touch : instance_->touches_of(task)) {
    const Use use = use_of(unit_demand(task, touch), cut);
    used_bandwidth_[touch.server] += use.bandwidth;
    used_compute_[touch.server] += use.compute;
    move_in(touch.server, index, use);
  }
  layers_[index] = layers;
  ++count_;
}

void Deployment::remove(std::uint32_t index) {
  for (const Touch& touch : instance_->touches_of(instance_->tasks[index])) {
    const Use use = move_out(touch.server, index);
    // An empty server uses exactly nothing: rounding does not gather over a long life.
    const bool is_empty = gone_[touch.server] == tenants_[touch.server].size();
    used_bandwidth_[touch.server] = is_empty ? 0 : used_bandwidth_[touch.server] - use.bandwidth;
    used_compute_[touch.server] = is_empty ? 0 : used_compute_[touch.server] - use.compute;
  }
  layers_[index] = 0;
  --count_;
}

void Deployment::recut(std::uint32_t index, std::uint32_t layers) {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers);
  for (const Touch& touch : instance_->touches_of(task)) {
    Use& use = uses_[touch.server][position(touch.server, index)];
    const Use after = use_of(unit_demand(task, touch), cut);
    used_bandwidth_[touch.server] += after.bandwidth - use.bandwidth;
    used_compute_[touch.server] += after.compute - use.compute;
    use = after;
  }
  layers_[index] = layers;
}

}  // namespace tideline::schedule
