// Room: what is left on each server while a policy places tasks, and which cuts of a task still fit.
//
// Both demands of a task on a server are its data times something that depends on the cut alone. So with the cuts that no
// other cut beats in both demands, in order (output falls, work rises), those that fit form an interval, found in
// one walk over the task's servers that ends as soon as none is left. Values; not thread-safe.
//
//   const CutTable cuts(instance);
//   Room room(instance);
//   const CutRange fitting = room.fitting(task, cuts.of(task));
//   if (!fitting.empty()) room.take(task, cuts.of(task)[fitting.first]);
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/instance.h"

namespace tideline::schedule {

// A policy may fill a resource up to this share over its capacity, a tenth of what the checker allows: demands that add up to a
// capacity exactly must not fail on the last bit.
inline constexpr double kFitTolerance = 1e-10;

// What running `layers` layers costs per MB/s of data: gflop_per_mb GFLOP/s, and 8 * ratio / Q Mbit/s.
struct Cut {
  double ratio = 0;
  double gflop_per_mb = 0;
  std::uint32_t layers = 0;
};

inline Cut cut_at(const TaskModel& model, std::uint32_t layers) {
  const Layer& layer = model.layers[layers - 1];
  return {.ratio = layer.ratio, .gflop_per_mb = layer.gflop_per_mb, .layers = layers};
}

// The cuts of a model that no other cut dominates (at least as good in both demands; of equal ones the shallowest stays), by
// rising work and so by falling ratio. Leaving out the others never costs a task: any schedule that uses one can swap it.
std::vector<Cut> pareto_cuts(const TaskModel& model);

// pareto_cuts of every model of an instance.
class CutTable {
 public:
  explicit CutTable(const Instance& instance);
  std::span<const Cut> of(const Task& task) const { return of_model(task.model); }
  std::span<const Cut> of_model(std::uint32_t model) const {
    return std::span(cuts_).subspan(first_[model], first_[model + 1] - first_[model]);
  }
  std::size_t cuts_max() const { return cuts_max_; }

 private:
  std::vector<Cut> cuts_;
  std::vector<std::size_t> first_;
  std::size_t cuts_max_ = 0;
};

// Positions [first, end) in a task's cuts.
struct CutRange {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  bool empty() const { return first >= end; }
};

class Room {
 public:
  struct Left {
    double bandwidth_mbit_s = 0;
    double compute_gflop_s = 0;
  };

  // Everything is free. Keeps a reference to the instance.
  explicit Room(const Instance& instance);

  bool fits(const Task& task, const Cut& cut) const {
    const double mbit_per_mb = 8 * cut.ratio / task.latency_s;
    for (const Touch& touch : instance_->touches_of(task)) {
      const Left& left = left_[touch.server];
      if (touch.data_mb_s * mbit_per_mb > left.bandwidth_mbit_s || touch.data_mb_s * cut.gflop_per_mb > left.compute_gflop_s)
        return false;
    }
    return true;
  }

  // Which of `cuts` fit. REQUIRES: the order of pareto_cuts.
  CutRange fitting(const Task& task, std::span<const Cut> cuts) const;

  void take(const Task& task, const Cut& cut) { change(task, cut, -1); }
  void give_back(const Task& task, const Cut& cut) { change(task, cut, +1); }

  const Left& left(std::uint32_t server) const { return left_[server]; }
  const Instance& instance() const { return *instance_; }

 private:
  void change(const Task& task, const Cut& cut, double sign) {
    const double mbit_per_mb = sign * 8 * cut.ratio / task.latency_s;
    const double gflop_per_mb = sign * cut.gflop_per_mb;
    for (const Touch& touch : instance_->touches_of(task)) {
      left_[touch.server].bandwidth_mbit_s += touch.data_mb_s * mbit_per_mb;
      left_[touch.server].compute_gflop_s += touch.data_mb_s * gflop_per_mb;
    }
  }

  const Instance* instance_;
  std::vector<Left> left_;
};

}  // namespace tideline::schedule
