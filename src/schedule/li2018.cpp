// The offline algorithm of Li, Ota and Dong (2018), as printed. Readings (docs/algorithms/li2018.md has the reasons):
// all or nothing over the servers of a task (A2), one k per task (A3), the other k nearest to k_max first, ties to the shallower
// (A10), argmax r * l kept although it may choose dominated cuts (A11). O(T log T + tasks * servers per task * layers).
#include <algorithm>
#include <numeric>

#include "schedule/greedy.h"

namespace tideline::schedule {

std::vector<std::uint32_t> tasks_by_largest_data(const Instance& instance) {
  std::vector<double> largest(instance.tasks.size(), 0);
  for (std::size_t j = 0; j < instance.tasks.size(); ++j)
    for (const Touch& touch : instance.touches_of(instance.tasks[j])) largest[j] = std::max(largest[j], touch.data_mb_s);
  std::vector<std::uint32_t> order(instance.tasks.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return largest[a] < largest[b]; });
  return order;
}

std::uint32_t li2018_first_choice(const TaskModel& model) {
  std::uint32_t best = 1;
  double best_product = -1;
  for (std::uint32_t k = 1; k <= model.layers.size(); ++k) {
    const double product = model.layers[k - 1].ratio * model.layers[k - 1].gflop_per_mb;
    if (product > best_product) {
      best = k;
      best_product = product;
    }
  }
  return best;
}

std::vector<std::uint32_t> li2018_try_order(const TaskModel& model) {
  std::vector<std::uint32_t> order(model.layers.size());
  std::iota(order.begin(), order.end(), 1u);
  const std::int64_t first = li2018_first_choice(model);
  // Stable, so that of two layers at the same distance the shallower comes first.
  std::stable_sort(order.begin(), order.end(),
                   [first](std::int64_t a, std::int64_t b) { return std::abs(a - first) < std::abs(b - first); });
  return order;
}

Result<Schedule> run_li2018(const Instance& instance, std::string_view, const PolicyOptions&) {
  std::vector<std::vector<Cut>> tries;
  for (const TaskModel& model : instance.models) {
    tries.emplace_back();
    for (const std::uint32_t k : li2018_try_order(model)) tries.back().push_back(cut_at(model, k));
  }
  Schedule schedule;
  schedule.layers.assign(instance.tasks.size(), 0);
  Room room(instance);
  for (const std::uint32_t j : tasks_by_largest_data(instance)) {
    const Task& task = instance.tasks[j];
    const auto& cuts = tries[task.model];
    const auto cut = std::find_if(cuts.begin(), cuts.end(), [&](const Cut& c) { return room.fits(task, c); });
    if (cut == cuts.end()) continue;
    room.take(task, *cut);
    schedule.layers[j] = cut->layers;
  }
  return schedule;
}

}  // namespace tideline::schedule
