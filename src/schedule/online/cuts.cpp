#include "schedule/online/cuts.h"

#include <algorithm>
#include <cstdlib>

namespace tideline::schedule {

std::uint32_t li2018_cut(const TaskModel& model) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < model.layers.size(); ++k)
    if (model.layers[k].ratio * model.layers[k].gflop_per_mb > model.layers[best].ratio * model.layers[best].gflop_per_mb)
      best = k;
  return static_cast<std::uint32_t>(best + 1);
}

std::vector<std::uint32_t> nearest_first(std::uint32_t preferred, std::uint32_t layers) {
  std::vector<std::uint32_t> order(layers);
  for (std::uint32_t k = 0; k < layers; ++k) order[k] = k + 1;
  const auto distance = [&](std::uint32_t k) { return k < preferred ? preferred - k : k - preferred; };
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return distance(a) < distance(b); });
  return order;
}

std::uint32_t first_that_fits(const Deployment& deployment, std::uint32_t task, const CutRoom& room,
                              const std::vector<std::uint32_t>& cuts) {
  for (const std::uint32_t k : cuts)
    if (room.holds(deployment.layer(task, k))) return k;
  return 0;
}

std::uint32_t balanced_cut(const Deployment& deployment, std::uint32_t task) {
  const CutRoom room = deployment.room_for(task);
  const Instance& instance = deployment.instance();
  const std::size_t layers = instance.model_of(instance.tasks[task]).layers.size();
  std::uint32_t best = 0;
  double least = 0;
  for (std::uint32_t k = 1; k <= layers; ++k) {
    if (!room.holds(deployment.layer(task, k))) continue;
    const double utilisation = deployment.utilisation_after(task, k);
    if (best == 0 || utilisation < least) {
      best = k;
      least = utilisation;
    }
  }
  return best;
}

Li2018Cuts::Li2018Cuts(const Instance& instance) {
  for (const TaskModel& model : instance.models)
    order_.push_back(nearest_first(li2018_cut(model), static_cast<std::uint32_t>(model.layers.size())));
}

}  // namespace tideline::schedule
