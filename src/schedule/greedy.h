// The greedy policies: one pass over the tasks, never taking anything back. Pure functions; see policy.h for the signature.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "schedule/instance.h"
#include "schedule/policy.h"
#include "schedule/room.h"

namespace tideline::schedule {

// The paper's order: tasks by their largest d_ij, smallest first; of equal ones the first in the file.
std::vector<std::uint32_t> tasks_by_largest_data(const Instance& instance);

// The paper's k_max: the layer that maximises r_k * l_k, the shallowest of equal ones. 1-based.
std::uint32_t li2018_first_choice(const TaskModel& model);
// All layers of a model in the order in which the paper's algorithm tries them: k_max, then by distance to it, the shallower
// first.
std::vector<std::uint32_t> li2018_try_order(const TaskModel& model);

// The fitting cut after which the fullest of the task's resources is least full (position in `cuts`; cuts.size(): none fits).
std::uint32_t balanced_choice(const Room& room, const Task& task, std::span<const Cut> cuts);

Result<Schedule> run_li2018(const Instance& instance, std::string_view argument, const PolicyOptions& options);
Result<Schedule> run_fixed(const Instance& instance, std::string_view argument, const PolicyOptions& options);
Result<Schedule> run_balanced(const Instance& instance, std::string_view argument, const PolicyOptions& options);

}  // namespace tideline::schedule
