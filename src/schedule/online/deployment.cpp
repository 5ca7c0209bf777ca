#include "schedule/online/deployment.h"

#include <algorithm>
#include <limits>

namespace tideline::schedule {

Deployment::Deployment(const Instance& instance)
    : instance_(&instance),
      used_bandwidth_(instance.servers.size()),
      used_compute_(instance.servers.size()),
      tenants_(instance.servers.size()),
      place_of_touch_(instance.touches.size()),
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

void Deployment::place(std::uint32_t index, std::uint32_t layers) {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers);
  for (std::uint64_t at = task.first_touch; at < task.first_touch + task.touch_count; ++at) {
    const Touch& touch = instance_->touches[at];
    const UnitDemand unit = unit_demand(task, touch);
    used_bandwidth_[touch.server] += unit.bandwidth * cut.ratio;
    used_compute_[touch.server] += unit.compute * cut.gflop_per_mb;
    place_of_touch_[at] = static_cast<std::uint32_t>(tenants_[touch.server].size());
    tenants_[touch.server].push_back({.task = index, .touch = at, .unit = unit});
  }
  layers_[index] = layers;
  ++count_;
}

void Deployment::remove(std::uint32_t index) {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers_[index]);
  for (std::uint64_t at = task.first_touch; at < task.first_touch + task.touch_count; ++at) {
    const Touch& touch = instance_->touches[at];
    std::vector<Tenant>& tenants = tenants_[touch.server];
    const std::uint32_t place = place_of_touch_[at];
    const UnitDemand unit = tenants[place].unit;
    tenants[place] = tenants.back();
    place_of_touch_[tenants[place].touch] = place;
    tenants.pop_back();
    // An empty server uses exactly nothing: rounding does not gather over a long life.
    used_bandwidth_[touch.server] = tenants.empty() ? 0 : used_bandwidth_[touch.server] - unit.bandwidth * cut.ratio;
    used_compute_[touch.server] = tenants.empty() ? 0 : used_compute_[touch.server] - unit.compute * cut.gflop_per_mb;
  }
  layers_[index] = 0;
  --count_;
}

}  // namespace tideline::schedule
