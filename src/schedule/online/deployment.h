// What is deployed at one moment and how much of every server it uses: the state that all online policies share.
//
// Not thread-safe. Keeps a reference to the instance, which must outlive it. Utilisations are fractions of V * b_i and of c_i.
// Because every demand of a task is a number of the server times a number of the layer, both questions of an arrival ("which
// layers fit", "what do they cost") take one pass over the task's servers, not one pass per layer.
#pragma once

#include <cstddef>
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

// What a deployed task uses of a server: shares of V * b_i and of c_i.
struct Use {
  double bandwidth = 0;
  double compute = 0;
  bool is_gone() const { return bandwidth < 0; }
};

class Deployment {
 public:
  // The deployed tasks of a server by rising number, and what each uses of it, side by side for a fast scan. A task that was
  // removed keeps its place for a while, with a use that is_gone(): closing every gap at once would move half of 25 lists.
  struct Tenants {
    std::span<const std::uint32_t> tasks;
    std::span<const Use> uses;
  };

  explicit Deployment(const Instance& instance);

  const Instance& instance() const { return *instance_; }
  std::uint32_t count() const { return count_; }
  // 0: not deployed.
  std::uint32_t layers_of(std::uint32_t task) const { return layers_[task]; }
  const std::vector<std::uint32_t>& layers() const { return layers_; }
  double used_bandwidth(std::uint32_t server) const { return used_bandwidth_[server]; }
  double used_compute(std::uint32_t server) const { return used_compute_[server]; }
  Tenants tenants(std::uint32_t server) const { return {.tasks = tenants_[server], .uses = uses_[server]}; }

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
  Use use_of(const UnitDemand& unit, const Layer& cut) const {
    return {.bandwidth = unit.bandwidth * cut.ratio, .compute = unit.compute * cut.gflop_per_mb};
  }
  void move_in(std::uint32_t server, std::uint32_t task, const Use& use);
  Use move_out(std::uint32_t server, std::uint32_t task);
  void close_gaps(std::uint32_t server);
  // Where the task is or belongs among the tenants of a server.
  std::size_t position(std::uint32_t server, std::uint32_t task) const;

  const Instance* instance_;
  std::vector<double> per_mb_bandwidth_;  // 8 / (V b_i)
  std::vector<double> per_mb_compute_;    // 1 / c_i
  std::vector<double> used_bandwidth_;
  std::vector<double> used_compute_;
  std::vector<std::vector<std::uint32_t>> tenants_;
  std::vector<std::vector<Use>> uses_;
  std::vector<std::uint32_t> gone_;  // per server, how many of its tenants
  std::vector<std::uint32_t> layers_;
  std::uint32_t count_ = 0;
};

}  // namespace tideline::schedule
