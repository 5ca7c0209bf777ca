#include "schedule/instance.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"

namespace tideline::schedule {

Instance select_tasks(const Instance& instance, std::span<const std::uint32_t> tasks) {
  Instance part{.bandwidth_share = instance.bandwidth_share,
                .servers = instance.servers,
                .server_names = instance.server_names,
                .models = instance.models,
                .tasks = {},
                .touches = {}};
  part.tasks.reserve(tasks.size());
  for (const std::uint32_t j : tasks) {
    if (!instance.task_names.empty()) part.task_names.push_back(instance.task_names[j]);
    Task task = instance.tasks[j];
    const auto touches = instance.touches_of(task);
    task.first_touch = part.touches.size();
    part.touches.insert(part.touches.end(), touches.begin(), touches.end());
    part.tasks.push_back(task);
  }
  return part;
}

double rest_gflop_per_mb(const TaskModel& model, std::uint32_t layers) {
  if (!model.rest_gflop_per_mb.empty()) return model.rest_gflop_per_mb[layers];
  return model.layers.back().gflop_per_mb - (layers == 0 ? 0 : model.layers[layers - 1].gflop_per_mb);
}

double bandwidth_demand_mbit_s(const Instance& instance, const Task& task, const Touch& touch, std::uint32_t layers) {
  return 8 * touch.data_mb_s * instance.model_of(task).layers[layers - 1].ratio / task.latency_s;
}

double compute_demand_gflop_s(const Instance& instance, const Task& task, const Touch& touch, std::uint32_t layers) {
  return touch.data_mb_s * instance.model_of(task).layers[layers - 1].gflop_per_mb;
}

namespace {

// Builds "name: element: message" only when something is wrong: the checks run over tens of millions of numbers.
struct Checker {
  std::string_view name;

  Error error(std::string_view element, std::string_view message) const {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}: {}", name, element, message)};
  }
  Error number(std::string_view element, double value, bool zero_allowed) const {
    if (!std::isfinite(value)) return error(element, fmt::format("must be a finite number, not {}", value));
    if (value < 0 || (value == 0 && !zero_allowed))
      return error(element, fmt::format("{} is too small; it must be {} 0", value, zero_allowed ? "at least" : "above"));
    if (value == 0 || value > limits::kInstanceNumberMax)
      return error(element, fmt::format("{} is too large; it must be at most {:g}", value, limits::kInstanceNumberMax));
    return error(element, fmt::format("{} is too small; it must be at least {:g}", value, limits::kInstanceNumberMin));
  }
};

bool is_positive(double value) { return value >= limits::kInstanceNumberMin && value <= limits::kInstanceNumberMax; }
bool is_positive_or_zero(double value) { return value == 0 || is_positive(value); }

Status validate_servers(const Instance& instance, const Checker& check) {
  if (instance.servers.empty()) return check.error("servers", "at least one server is required");
  if (instance.servers.size() > limits::kInstanceServersMax)
    return check.error("servers", fmt::format("more than {}", limits::kInstanceServersMax));
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const Server& server = instance.servers[i];
    if (!is_positive(server.bandwidth_mbit_s))
      return check.number(fmt::format("servers[{}].bandwidth_mbit_s", i), server.bandwidth_mbit_s, false);
    if (!is_positive(server.capacity_gflop_s))
      return check.number(fmt::format("servers[{}].capacity_gflop_s", i), server.capacity_gflop_s, false);
  }
  return {};
}

Status validate_models(const Instance& instance, const Checker& check) {
  for (std::size_t m = 0; m < instance.models.size(); ++m) {
    const TaskModel& model = instance.models[m];
    if (model.layers.empty()) return check.error(fmt::format("models[{}].layers", m), "at least one layer is required");
    if (model.layers.size() > limits::kInstanceLayersMax)
      return check.error(fmt::format("models[{}].layers", m), fmt::format("more than {}", limits::kInstanceLayersMax));
    if (!model.rest_gflop_per_mb.empty() && model.rest_gflop_per_mb.size() != model.layers.size() + 1)
      return check.error(fmt::format("models[{}].rest_gflop_per_mb", m),
                         fmt::format("expected {} numbers, for 0 layers on the edge up to all, found {}", model.layers.size() + 1,
                                     model.rest_gflop_per_mb.size()));
    for (std::size_t k = 0; k < model.rest_gflop_per_mb.size(); ++k)
      if (!is_positive_or_zero(model.rest_gflop_per_mb[k]))
        return check.number(fmt::format("models[{}].rest_gflop_per_mb[{}]", m, k), model.rest_gflop_per_mb[k], true);
    for (std::size_t k = 0; k < model.layers.size(); ++k) {
      const Layer& layer = model.layers[k];
      if (!is_positive_or_zero(layer.ratio))
        return check.number(fmt::format("models[{}].layers[{}].ratio", m, k), layer.ratio, true);
      if (!is_positive_or_zero(layer.gflop_per_mb))
        return check.number(fmt::format("models[{}].layers[{}].gflop_per_mb", m, k), layer.gflop_per_mb, true);
      if (k > 0 && layer.gflop_per_mb < model.layers[k - 1].gflop_per_mb)
        return check.error(fmt::format("models[{}].layers[{}].gflop_per_mb", m, k),
                           fmt::format("{} is below the {} of the layer before; the value is cumulative over layers 1..k",
                                       layer.gflop_per_mb, model.layers[k - 1].gflop_per_mb));
    }
  }
  return {};
}

Status validate_task(const Instance& instance, std::size_t j, const Checker& check) {
  const Task& task = instance.tasks[j];
  if (task.model >= instance.models.size())
    return check.error(fmt::format("tasks[{}].model", j),
                       fmt::format("there is no model {}; the file has {}", task.model, instance.models.size()));
  if (!is_positive(task.latency_s)) return check.number(fmt::format("tasks[{}].latency_s", j), task.latency_s, false);
  if (!is_positive(task.rate_hz)) return check.number(fmt::format("tasks[{}].rate_hz", j), task.rate_hz, false);
  if (!is_positive_or_zero(task.fixed_s)) return check.number(fmt::format("tasks[{}].fixed_s", j), task.fixed_s, true);
  if (task.touch_count == 0)
    return check.error(fmt::format("tasks[{}].data_mb_s", j), "a task needs at least one server with data");
  if (task.first_touch > instance.touches.size() || task.touch_count > instance.touches.size() - task.first_touch)
    return check.error(fmt::format("tasks[{}].data_mb_s", j), "points outside the list of servers");
  std::uint64_t next_server = 0;
  for (const Touch& touch : instance.touches_of(task)) {
    if (touch.server >= instance.servers.size())
      return check.error(fmt::format("tasks[{}].data_mb_s.{}", j, touch.server),
                         fmt::format("there is no server {}; the file has {}", touch.server, instance.servers.size()));
    if (touch.server < next_server)
      return check.error(fmt::format("tasks[{}].data_mb_s.{}", j, touch.server), "the server appears twice or out of order");
    if (!is_positive(touch.data_mb_s))
      return check.number(fmt::format("tasks[{}].data_mb_s.{}", j, touch.server), touch.data_mb_s, false);
    next_server = std::uint64_t{touch.server} + 1;
  }
  return {};
}

}  // namespace

Status validate(const Instance& instance, std::string_view name) {
  const Checker check{name};
  if (!(instance.bandwidth_share > 0 && instance.bandwidth_share <= 1))
    return check.error("bandwidth_share", fmt::format("{} is outside (0, 1]", instance.bandwidth_share));
  if (instance.bandwidth_share < limits::kInstanceNumberMin)
    return check.number("bandwidth_share", instance.bandwidth_share, false);
  TIDELINE_CHECK_OK(validate_servers(instance, check));
  TIDELINE_CHECK_OK(validate_models(instance, check));
  if (instance.tasks.size() > limits::kInstanceTasksMax)
    return check.error("tasks", fmt::format("more than {}", limits::kInstanceTasksMax));
  const auto is_partly_named = [](const std::vector<std::string>& names, std::size_t count) {
    return !names.empty() && (names.size() != count || std::find(names.begin(), names.end(), "") != names.end());
  };
  if (is_partly_named(instance.server_names, instance.servers.size()))
    return check.error("servers", "either every server has a name or none");
  if (is_partly_named(instance.task_names, instance.tasks.size()))
    return check.error("tasks", "either every task has a name or none");
  if (instance.touches.size() > limits::kInstanceTouchesMax)
    return check.error("tasks", fmt::format("more than {} task-server pairs", limits::kInstanceTouchesMax));
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) TIDELINE_CHECK_OK(validate_task(instance, j, check));
  return {};
}

namespace {

std::string json_quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

// By hand and not through a JSON tree: a tree of a large instance takes ten times the file's size. `{}` of a double is the
// shortest text that reads back as the same number.
std::string write_instance(const Instance& instance) {
  fmt::memory_buffer out;
  const auto put = std::back_inserter(out);
  fmt::format_to(put, "{{\n  \"bandwidth_share\": {},\n  \"servers\": [", instance.bandwidth_share);
  const char* separator = "\n    ";
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const Server& server = instance.servers[i];
    fmt::format_to(put, "{}{{", separator);
    if (!instance.server_names.empty()) fmt::format_to(put, "\"name\": {}, ", json_quoted(instance.server_names[i]));
    fmt::format_to(put, "\"bandwidth_mbit_s\": {}, \"capacity_gflop_s\": {}}}", server.bandwidth_mbit_s, server.capacity_gflop_s);
    separator = ",\n    ";
  }
  fmt::format_to(put, "\n  ],\n  \"models\": [");
  separator = "\n    ";
  for (const TaskModel& model : instance.models) {
    fmt::format_to(put, "{}{{\"name\": {}, \"layers\": [", separator, json_quoted(model.name));
    const char* comma = "";
    for (const Layer& layer : model.layers) {
      fmt::format_to(put, "{}{{\"ratio\": {}, \"gflop_per_mb\": {}}}", comma, layer.ratio, layer.gflop_per_mb);
      comma = ", ";
    }
    fmt::format_to(put, "]");
    if (!model.rest_gflop_per_mb.empty())
      fmt::format_to(put, ", \"rest_gflop_per_mb\": [{}]", fmt::join(model.rest_gflop_per_mb, ", "));
    fmt::format_to(put, "}}");
    separator = ",\n    ";
  }
  fmt::format_to(put, "\n  ],\n  \"tasks\": [");
  separator = "\n    ";
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
    const Task& task = instance.tasks[j];
    fmt::format_to(put, "{}{{", separator);
    if (!instance.task_names.empty()) fmt::format_to(put, "\"name\": {}, ", json_quoted(instance.task_names[j]));
    fmt::format_to(put, "\"model\": {}, \"latency_s\": {}, ", task.model, task.latency_s);
    if (task.rate_hz != 1) fmt::format_to(put, "\"rate_hz\": {}, ", task.rate_hz);
    if (task.fixed_s != 0) fmt::format_to(put, "\"fixed_s\": {}, ", task.fixed_s);
    if (task.raw_stays) fmt::format_to(put, "\"raw_stays\": true, ");
    fmt::format_to(put, "\"data_mb_s\": {{");
    const char* comma = "";
    for (const Touch& touch : instance.touches_of(task)) {
      fmt::format_to(put, "{}\"{}\": {}", comma, touch.server, touch.data_mb_s);
      comma = ", ";
    }
    fmt::format_to(put, "}}}}");
    separator = ",\n    ";
  }
  fmt::format_to(put, "\n  ]\n}}\n");
  return fmt::to_string(out);
}

}  // namespace tideline::schedule
