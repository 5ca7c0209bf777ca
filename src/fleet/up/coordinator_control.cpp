// What a coordinator does for those who ask it.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "fleet/up/coordinator.h"

namespace tideline::fleet {

Result<std::string> Coordinator::submit(const ControlRequest& request) {
  Fleet all = setup_.fleet;
  all.tasks.clear();
  // The name of a task that was removed is free.
  for (const auto& task : tasks_)
    if (!task->removed) all.tasks.push_back(task->task);
  TIDELINE_TRY(const std::vector<FleetTask> asked, parse_tasks(request.task, "the task", all));
  if (asked.size() > limits::kControlTasksMax || tasks_.size() + asked.size() > limits::kCoordinatedTasksMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[fleet] at most {} tasks at once and {} in all: give each part of the site a coordinator of its own",
                    limits::kControlTasksMax, limits::kCoordinatedTasksMax)};
  const ReadmitLimits limits{.moves = request.moves, .evictions = request.evictions};
  std::string answers;
  std::string first_refusal;
  for (const FleetTask& each : asked) {
    TIDELINE_CHECK_OK(watch(each));
    if (look(true)) reconcile(setup_.readmit);
    Reachable now = reachable();
    Placement placement(now.tasks.size());
    for (std::size_t e = 0; e < now.tasks.size(); ++e)
      if (tasks_[now.tasks[e]]->runner) placement[e] = tasks_[now.tasks[e]]->blocks;
    std::string why = first_refusal;
    Result<Readmission> in = Readmission{};
    for (const FleetSource& source : each.sources)
      if (seen_.broken.contains({.source = source.node, .node = source.node}) || !way_of(now.fleet.cluster, source.node))
        why = fmt::format("its source '{}' or the gateway of it does not answer", setup_.fleet.cluster.nodes[source.node].name);
    // In place of one that was removed and had the name, or behind all others.
    const auto slot = static_cast<std::size_t>(
        std::find_if(tasks_.begin(), tasks_.end(), [&](const auto& task) { return task->task.name == each.name; }) -
        tasks_.begin());
    if (why.empty()) {
      now.fleet.tasks.push_back(each);
      now.tasks.push_back(slot);
      placement.push_back(std::nullopt);
      in = readmit(now.fleet, setup_.profiles, placement, placement.size() - 1, limits, quick_search());
      // What could not run at all is an error of who asks.
      if (!in && asked.size() == 1) return in.error();
      why = in ? in->why : in.error().message;
      // The others of a group are like it.
      if (!in || !in->admitted) first_refusal = why;
    }
    nlohmann::json said{{"name", each.name}, {"admitted", in && in->admitted}, {"why", nullptr}, {"cut", nullptr}};
    if (in && in->admitted) {
      auto task = std::make_unique<Task>();
      task->task = each;
      task->number = next_number_;
      next_number_ += each.sources.size();
      nlohmann::json spec = nlohmann::json::parse(request.task, nullptr, false);
      spec.erase("count");
      spec["name"] = each.name;
      task->spec = spec.dump();
      task->tally = std::make_unique<TaskTally>(TaskCounters{});
      if (slot == tasks_.size())
        tasks_.push_back(std::move(task));
      else
        tasks_[slot] = std::move(task);
      for (const std::size_t e : in->evicted) {
        tasks_[now.tasks[e]]->runner.reset();
        tasks_[now.tasks[e]]->why = fmt::format("put off for '{}'", each.name);
      }
      apply(now, *in->plan);
      said["cut"] = tasks_[slot]->plan.cut;
      // It has its place, and is put there as soon as its nodes let it.
      if (tasks_[slot]->state != TaskState::kRunning) said["why"] = tasks_[slot]->why;
      for (const auto& [kind, which] : {std::pair{"moved", &in->moved}, {"evicted", &in->evicted}})
        for (const std::size_t e : *which) said[kind].push_back(now.fleet.tasks[e].name);
    } else {
      said["why"] = why;
    }
    for (const char* kind : {"moved", "evicted"})
      if (!said.contains(kind)) said[kind] = nlohmann::json::array();
    answers += (answers.empty() ? "" : ",") + said.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
  TIDELINE_CHECK_OK(save());
  return fmt::format("{{\"tasks\":[{}]}}", answers);
}

Result<std::string> Coordinator::remove(const std::string& name) {
  const auto found =
      std::find_if(tasks_.begin(), tasks_.end(), [&](const auto& task) { return !task->removed && task->task.name == name; });
  if (found == tasks_.end()) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("[fleet] no task is named '{}'; `tideline fleet status -o json` lists them", name)};
  }
  (*found)->runner.reset();
  if (is_in_file((*found)->task.name)) {
    (*found)->removed = true;
    (*found)->spec.clear();
    (*found)->blocks.reset();
  } else {
    tasks_.erase(found);
  }
  reconcile(setup_.readmit);
  TIDELINE_CHECK_OK(save());
  return nlohmann::json{{"removed", name}}.dump();
}

std::string Coordinator::answer(std::string_view line) {
  try {
    const auto request = parse_control(line);
    return request ? answer_to(*request) : write_answer(request.error());
  } catch (const std::exception&) {
    return write_answer(Error{ErrorCode::kOverloaded, "[fleet] out of memory or threads; try again later"});
  }
}

std::string Coordinator::answer_to(const ControlRequest& request) {
  switch (request.command) {
    case ControlCommand::kStatus:
      // Nothing is told that a crash could take back.
      if (const Status saved = save(); !saved) return write_answer(saved.error());
      return write_answer(status_json());
    case ControlCommand::kSubmit: return write_answer(submit(request));
    case ControlCommand::kRemove: return write_answer(remove(request.name));
    case ControlCommand::kDown: break;
  }
  ending_ = true;
  return write_answer(nlohmann::json{{"ending", true}}.dump());
}

}  // namespace tideline::fleet
