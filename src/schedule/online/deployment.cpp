#include "schedule/online/deployment.h"

#include <algorithm>
#include <limits>

namespace tideline::schedule {

Deployment::Deployment(const Instance& instance)
    : instance_(&instance),
      used_bandwidth_(instance.servers.size()),
      used_compute_(instance.servers.size()),
      tenants_(instance.servers.size()),
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

namespace {

// Where `task` is or belongs. Tasks mostly come in the order of their numbers, so the end is tried first.
std::vector<Deployment::Tenant>::iterator position(std::vector<Deployment::Tenant>& tenants, std::uint32_t task) {
  if (tenants.empty() || tenants.back().task < task) return tenants.end();
  return std::lower_bound(tenants.begin(), tenants.end(), task,
                          [](const Deployment::Tenant& tenant, std::uint32_t wanted) { return tenant.task < wanted; });
}

}  // namespace

void Deployment::place(std::uint32_t index, std::uint32_t layers) {
  const Task& task = instance_->tasks[index];
  const TaskModel& model = instance_->model_of(task);
  const Layer& cut = model.layers[layers - 1];
  for (const Touch& touch : instance_->touches_of(task)) {
    const UnitDemand unit = unit_demand(task, touch);
    used_bandwidth_[touch.server] += unit.bandwidth * cut.ratio;
    used_compute_[touch.server] += unit.compute * cut.gflop_per_mb;
    std::vector<Tenant>& tenants = tenants_[touch.server];
    tenants.insert(position(tenants, index), {.task = index, .layers = layers, .unit = unit, .held = cut, .model = &model});
  }
  layers_[index] = layers;
  ++count_;
}

void Deployment::remove(std::uint32_t index) {
  const Task& task = instance_->tasks[index];
  const Layer& cut = layer(index, layers_[index]);
  for (const Touch& touch : instance_->touches_of(task)) {
    std::vector<Tenant>& tenants = tenants_[touch.server];
    tenants.erase(position(tenants, index));
    const UnitDemand unit = unit_demand(task, touch);
    // An empty server uses exactly nothing: rounding does not gather over a long life.
    used_bandwidth_[touch.server] = tenants.empty() ? 0 : used_bandwidth_[touch.server] - unit.bandwidth * cut.ratio;
    used_compute_[touch.server] = tenants.empty() ? 0 : used_compute_[touch.server] - unit.compute * cut.gflop_per_mb;
  }
  layers_[index] = 0;
  --count_;
}

void Deployment::recut(std::uint32_t index, std::uint32_t layers) {
  const Task& task = instance_->tasks[index];
  const Layer& before = layer(index, layers_[index]);
  const Layer& after = layer(index, layers);
  for (const Touch& touch : instance_->touches_of(task)) {
    const UnitDemand unit = unit_demand(task, touch);
    used_bandwidth_[touch.server] += unit.bandwidth * (after.ratio - before.ratio);
    used_compute_[touch.server] += unit.compute * (after.gflop_per_mb - before.gflop_per_mb);
    Tenant& tenant = *position(tenants_[touch.server], index);
    tenant.layers = layers;
    tenant.held = after;
  }
  layers_[index] = layers;
}

}  // namespace tideline::schedule
