// What a coordinator says of itself.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fleet/up/coordinator.h"

namespace tideline::fleet {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<Millis>& time) { return time ? Json(time->count()) : Json(nullptr); }

}  // namespace

std::optional<std::string> Coordinator::frames_end() const {
  for (const ModelInputs& inputs : inputs_) {
    if (!inputs.frames) continue;
    const FrameCounts counts = inputs.frames->counts();
    if (counts.ended)
      return fmt::format("standard input has ended after {} frames{}{}", counts.read, counts.why.empty() ? "" : ": ", counts.why);
  }
  return std::nullopt;
}

std::string Coordinator::status_json() {
  const StoredFleet seen = snapshot();
  std::size_t running = 0, refused = 0, down = 0, on_time = 0;
  Json tasks = Json::array();
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    const Task& task = *tasks_[t];
    if (task.removed) continue;
    const TaskCounters& counters = seen.tasks[t].counters;
    const bool runs = task.state == TaskState::kRunning;
    const bool is_on_time = counters.requests > 0 && 100 * (counters.late + counters.dropped) <= counters.requests;
    ++(runs ? running : task.state == TaskState::kRefused ? refused : down);
    on_time += runs && is_on_time ? 1 : 0;
    Json latency = nullptr;
    if (counters.latencies.count() > 0)
      latency = {{"median", counters.latencies.quantile(0.5)},
                 {"p95", counters.latencies.quantile(0.95)},
                 {"p99", counters.latencies.quantile(0.99)}};
    Json nodes = Json::array(), gateways = Json::array();
    if (runs) {
      for (const std::size_t node : task.plan.nodes) nodes.push_back(setup_.fleet.cluster.nodes[node].name);
      for (const FleetShare& share : task.plan.shares) gateways.push_back(setup_.fleet.cluster.nodes[share.gateway].name);
    }
    const std::string failure = task.tally->last_failure();
    Json frames = nullptr;
    if (const auto& pipe = inputs_[task.task.model].frames) {
      const FrameCounts counts = pipe->counts();
      frames = {{"read", counts.read}, {"bad", counts.bad}, {"dropped", counts.dropped}, {"ended", counts.ended}};
      frames["why"] = counts.why.empty() ? Json(nullptr) : Json(counts.why);
    }
    tasks.push_back({{"name", task.task.name},
                     {"state", to_string(task.state)},
                     {"admitted", runs},
                     {"why", task.why.empty() || runs ? Json(nullptr) : Json(task.why)},
                     {"model", setup_.fleet.models[task.task.model].name},
                     {"priority", task.task.priority},
                     {"submitted", !task.spec.empty()},
                     {"cut", runs ? Json(task.plan.cut) : Json(nullptr)},
                     {"gateways", std::move(gateways)},
                     {"nodes", std::move(nodes)},
                     {"rate_hz", task.task.rate_hz},
                     {"requests", counters.requests},
                     {"late", counters.late},
                     {"dropped", counters.dropped},
                     {"failed", counters.failed},
                     {"on_time", runs && is_on_time},
                     {"latency_ms", std::move(latency)},
                     {"predicted_ms", runs ? number_or_null(task.plan.predicted) : Json(nullptr)},
                     {"bound_ms", runs ? number_or_null(task.plan.bound) : Json(nullptr)},
                     {"deadline_ms", task.task.deadline.count()},
                     {"frames", std::move(frames)},
                     {"last_failure", failure.empty() ? Json(nullptr) : Json(failure)}});
  }
  // As the node says it.
  const auto segments_of = [&](std::size_t node) {
    const auto status = watch_->status(node);
    if (!status) return Json(nullptr);
    return Json{{"stored", status->segments_stored},
                {"loaded", status->segments_loaded},
                {"dropped", status->segments_dropped},
                {"reloaded", status->segments_reloaded},
                {"memory_limit_bytes", status->memory_limit_bytes == 0 ? Json(nullptr) : Json(status->memory_limit_bytes)}};
  };
  Json links = Json::array(), nodes = Json::array();
  for (const FleetResource& resource : plan_.resources) {
    const auto found = seen.used.find(resource.name);
    const double used = found == seen.used.end() || seen.seconds <= 0 ? 0 : found->second / seen.seconds;
    if (resource.is_link)
      links.push_back({{"name", resource.name},
                       {"capacity_mbit_s", resource.capacity},
                       {"reserved_mbit_s", resource.reserved},
                       {"used_mbit_s", 8e-6 * used}});
    else
      nodes.push_back({{"name", resource.name},
                       {"capacity_cores", resource.capacity},
                       {"reserved_cores", resource.reserved},
                       {"used_cores", 1e-3 * used},
                       {"segments", segments_of(resource.index)}});
  }
  Json silent = Json::array();
  for (const std::size_t node : seen_.dead) silent.push_back(setup_.fleet.cluster.nodes[node].name);
  return Json{{"up_s", seen.seconds},
              {"policy", plan_.policy.empty() ? setup_.plan.policy : plan_.policy},
              {"model", to_string(FleetModelKind::kQueueing)},
              {"admitted", running},
              {"refused", refused},
              {"down", down},
              {"on_time", on_time},
              {"silent_nodes", std::move(silent)},
              {"tasks", std::move(tasks)},
              {"links", std::move(links)},
              {"nodes", std::move(nodes)}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace tideline::fleet
