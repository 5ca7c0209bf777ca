#include <fmt/format.h>

#include "base/json.h"
#include "schedule/online/run.h"

namespace tideline::schedule {

std::vector<Event> all_arrive(const Instance& instance) {
  std::vector<Event> events;
  events.reserve(instance.tasks.size());
  for (std::uint32_t task = 0; task < instance.tasks.size(); ++task) events.push_back({Event::Kind::kArrive, task});
  return events;
}

Result<std::vector<Event>> parse_events(std::string_view text, std::string_view name, const Instance& instance) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(text, name));
  if (!document.is_array())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected an array of {{\"arrive\": task}} and {{\"depart\": task}}", name)};
  enum class State : std::uint8_t { kAway, kPresent, kGone };
  std::vector<State> states(instance.tasks.size(), State::kAway);
  std::vector<Event> events;
  events.reserve(document.size());
  for (std::size_t i = 0; i < document.size(); ++i) {
    JsonMap map(document[i], std::string(name), fmt::format("[{}]", i));
    const bool arrives = map.has("arrive");
    const std::string_view key = arrives ? "arrive" : "depart";
    if (instance.tasks.empty()) return map.error(key, "the instance has no tasks");
    TIDELINE_TRY(const std::int64_t task, map.integer(key, 0, static_cast<std::int64_t>(instance.tasks.size()) - 1));
    TIDELINE_CHECK_OK(map.finish());
    State& state = states[static_cast<std::size_t>(task)];
    if (arrives && state != State::kAway) return map.error(key, fmt::format("task {} has arrived before", task));
    if (!arrives && state != State::kPresent)
      return map.error(key,
                       fmt::format("task {} {}", task, state == State::kAway ? "has not arrived yet" : "has departed before"));
    state = arrives ? State::kPresent : State::kGone;
    events.push_back({arrives ? Event::Kind::kArrive : Event::Kind::kDepart, static_cast<std::uint32_t>(task)});
  }
  return events;
}

std::string write_events(const std::vector<Event>& events) {
  std::string text = "[";
  for (std::size_t i = 0; i < events.size(); ++i)
    text += fmt::format("{}{{\"{}\": {}}}", i == 0 ? "\n  " : ",\n  ",
                        events[i].kind == Event::Kind::kArrive ? "arrive" : "depart", events[i].task);
  return text + "\n]\n";
}

}  // namespace tideline::schedule
