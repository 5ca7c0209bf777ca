// Which k a policy tries, and in what order. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "schedule/online/deployment.h"

namespace tideline::schedule {

// k with the largest r_k * l_k, as Li et al. choose it; the shallower of equals.
std::uint32_t li2018_cut(const TaskModel& model);
// `preferred`, then the others nearest first, the shallower of two equally near: the reading A10 of "another k".
std::vector<std::uint32_t> nearest_first(std::uint32_t preferred, std::uint32_t layers);
// The first of `cuts` that the room holds; 0: none.
std::uint32_t first_that_fits(const Deployment& deployment, std::uint32_t task, const CutRoom& room,
                              const std::vector<std::uint32_t>& cuts);
// k with the smallest resulting utilisation among those that fit, the shallower of equals; 0: none.
std::uint32_t balanced_cut(const Deployment& deployment, std::uint32_t task);

// The paper's cuts of every model, worked out once.
class Li2018Cuts {
 public:
  explicit Li2018Cuts(const Instance& instance);
  std::uint32_t best(const Task& task) const { return order_[task.model].front(); }
  const std::vector<std::uint32_t>& order(const Task& task) const { return order_[task.model]; }

 private:
  std::vector<std::vector<std::uint32_t>> order_;
};

}  // namespace tideline::schedule
