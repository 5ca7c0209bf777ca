// The paper's fixed mode: every task runs K layers on the edge (all of them when its model has fewer: A12), in the paper's order.
#include <algorithm>
#include <charconv>

#include "schedule/greedy.h"

namespace tideline::schedule {

Result<Schedule> run_fixed(const Instance& instance, std::string_view argument, const PolicyOptions&) {
  std::uint32_t fixed = 0;
  const auto [end, code] = std::from_chars(argument.data(), argument.data() + argument.size(), fixed);
  if (code != std::errc() || end != argument.data() + argument.size() || fixed == 0)
    return Error{ErrorCode::kInvalidArgument, "[schedule] fixed:K needs a number of layers of at least 1, such as fixed:2"};
  Schedule schedule;
  schedule.layers.assign(instance.tasks.size(), 0);
  Room room(instance);
  for (const std::uint32_t j : tasks_by_largest_data(instance)) {
    const Task& task = instance.tasks[j];
    const TaskModel& model = instance.model_of(task);
    const Cut cut = cut_at(model, std::min(fixed, static_cast<std::uint32_t>(model.layers.size())));
    if (!room.fits(task, cut)) continue;
    room.take(task, cut);
    schedule.layers[j] = cut.layers;
  }
  return schedule;
}

}  // namespace tideline::schedule
