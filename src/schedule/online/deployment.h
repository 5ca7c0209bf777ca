// What is deployed at one moment and how much of every server it uses: the state that all online policies share.
//
// Not thread-safe. Keeps a reference to the instance, which must outlive it. Utilisations are fractions of V * b_i and of c_i.
// Because every demand of a task is a number of the server times a number of the layer, both questions of an arrival ("which
// layers fit", "what do they cost") take one pass over the task's servers, not one pass per layer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/instance.h"

namespace tideline::schedule {

// Utilisations are sums of many doubles: what is over 1 by less than this is rounding.
inline constexpr double kUtilisationSlack = 1e-10;

// The layers of a task that fit are those with ratio <= `ratio` and gflop_per_mb <= `gflop_per_mb`.
struct CutRoom {
  double ratio = 0;
  double gflop_per_mb = 0;
  bool holds(const Layer& layer) const { return layer.ratio <= ratio && layer.gflop_per_mb <= gflop_per_mb; }
};

// Utilisation that one unit of ratio (bandwidth) and one GFLOP/MB (compute) of a task cause on one of its servers.
struct UnitDemand {
  double bandwidth = 0;
  double compute = 0;
};

class Deployment {
 public:
  // A deployed task, seen from one of its servers: all that a search for room reads, side by side.
  struct Tenant {
    std::uint32_t task = 0;
    std::uint32_t layers = 0;
    UnitDemand unit;
    Layer held;  // layers of model
    const TaskModel* model = nullptr;
  };

  explicit Deployment(const Instance& instance);

  const Instance& instance() const { return *instance_; }
  std::uint32_t count() const { return count_; }
  // 0: not deployed.
  std::uint32_t layers_of(std::uint32_t task) const { return layers_[task]; }
  const std::vector<std::uint32_t>& layers() const { return layers_; }
  double used_bandwidth(std::uint32_t server) const { return used_bandwidth_[server]; }
  double used_compute(std::uint32_t server) const { return used_compute_[server]; }
  // By rising task.
  std::span<const Tenant> tenants(std::uint32_t server) const { return tenants_[server]; }

  UnitDemand unit_demand(const Task& task, const Touch& touch) const {
    return {.bandwidth = touch.data_mb_s * per_mb_bandwidth_[touch.server] / task.latency_s,
            .compute = touch.data_mb_s * per_mb_compute_[touch.server]};
  }
  const Layer& layer(std::uint32_t task, std::uint32_t layers) const {
    return instance_->model_of(instance_->tasks[task]).layers[layers - 1];
  }

  CutRoom room_for(std::uint32_t task) const;
  // As if nothing were deployed.
  CutRoom room_when_empty(std::uint32_t task) const;
  bool fits(std::uint32_t task, std::uint32_t layers) const { return room_for(task).holds(layer(task, layers)); }
  // The largest utilisation over the task's servers and both resources, were it placed so.
  double utilisation_after(std::uint32_t task, std::uint32_t layers) const;

  // REQUIRES: not deployed; fits().
  void place(std::uint32_t task, std::uint32_t layers);
  // REQUIRES: deployed.
  void remove(std::uint32_t task);
  // Changes the k of a deployed task. REQUIRES: it still fits everywhere.
  void recut(std::uint32_t task, std::uint32_t layers);

 private:
  const Instance* instance_;
  std::vector<double> per_mb_bandwidth_;  // 8 / (V b_i)
  std::vector<double> per_mb_compute_;    // 1 / c_i
  std::vector<double> used_bandwidth_;
  std::vector<double> used_compute_;
  std::vector<std::vector<Tenant>> tenants_;
  std::vector<std::uint32_t> layers_;
  std::uint32_t count_ = 0;
};

}  // namespace tideline::schedule
