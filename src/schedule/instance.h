// The many-tasks problem of Li, Ota and Dong (2018): which tasks fit on the edge servers, and how deep each one goes.
//
// A task j reads data from several servers (d_ij megabytes per second on server i) and runs the first k_j layers of its
// model on every server it has data on; the rest runs in the cloud. All or nothing: it is deployed on all of its servers
// with one k_j, or not at all. With r_k the output size after layer k over the input size, l_k the cumulative GFLOP per MB
// of layers 1..k, Q_j the latency limit, and V the share of the bandwidth that may be used, a deployed task demands
//   bandwidth  8 * d_ij * r_k / Q_j   Mbit/s  of  V * b_i      (constraints (a) and (b): the smallest b_ij that meets (b))
//   compute        d_ij * l_k         GFLOP/s of  c_i          (constraint (c))
// on each of its servers. The objective is the number of deployed tasks.
//
// Values. Sparse: a million tasks on 25 servers each take 400 MB. The file format is docs/formats/instance.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline::schedule {

struct Server {
  double bandwidth_mbit_s = 0;  // b_i, above 0
  double capacity_gflop_s = 0;  // c_i, above 0
  bool operator==(const Server&) const = default;
};

struct Layer {
  double ratio = 0;         // r_k, 0 or more
  double gflop_per_mb = 0;  // l_k, cumulative over layers 1..k, 0 or more, never falling with k
  bool operator==(const Layer&) const = default;
};

struct TaskModel {
  std::string name;
  std::vector<Layer> layers;  // layers[k-1] is what running k layers costs; at least one
  // What is left to the cloud after k layers, k = 0..N, GFLOP per MB; empty: the last layer's gflop_per_mb less that of layer k.
  std::vector<double> rest_gflop_per_mb{};
  bool operator==(const TaskModel&) const = default;
};

// One server of a task.
struct Touch {
  std::uint32_t server = 0;
  double data_mb_s = 0;  // d_ij, above 0
  bool operator==(const Touch&) const = default;
};

struct Task {
  std::uint32_t model = 0;
  bool raw_stays = false;  // not everything may run in the cloud: k = 0 of the models that have it is forbidden
  double latency_s = 0;    // Q_j, above 0
  // Read by the queueing model alone; the paper's and the extended one think of one batch per second.
  double rate_hz = 1;  // requests per second, each of data_mb_s / rate_hz megabytes on every server; above 0
  double fixed_s = 0;  // of the limit, whatever the schedule says: the way from the device, round trips
  // touches[first_touch .. first_touch + touch_count) of the instance, by rising server.
  std::uint64_t first_touch = 0;
  std::uint32_t touch_count = 0;  // at least one
  bool operator==(const Task&) const = default;
};

struct Instance {
  double bandwidth_share = 1;  // V, in (0, 1]
  std::vector<Server> servers;
  std::vector<std::string> server_names{};  // one each, or none at all; task_names alike
  std::vector<TaskModel> models;
  std::vector<Task> tasks;  // in order of arrival
  std::vector<Touch> touches;
  std::vector<std::string> task_names{};

  std::span<const Touch> touches_of(const Task& task) const {
    return std::span(touches).subspan(task.first_touch, task.touch_count);
  }
  const TaskModel& model_of(const Task& task) const { return models[task.model]; }
  bool operator==(const Instance&) const = default;
};

// These tasks of the instance, in this order, with its servers and models.
Instance select_tasks(const Instance& instance, std::span<const std::uint32_t> tasks);

// What the cloud still has to do after `layers` (0: all of it), GFLOP per MB of input.
double rest_gflop_per_mb(const TaskModel& model, std::uint32_t layers);

// A demand of one task at k layers (1-based) on one of its servers, in the units of the constraints.
double bandwidth_demand_mbit_s(const Instance& instance, const Task& task, const Touch& touch, std::uint32_t layers);
double compute_demand_gflop_s(const Instance& instance, const Task& task, const Touch& touch, std::uint32_t layers);

// kInvalidArgument with one sentence naming file and element ("x.json: tasks[17].data_mb_s.3: ...") for anything that is not a
// well-formed instance: unknown keys, negative or non-finite numbers, capacity 0, an unknown model or server, a task without
// servers.
Result<Instance> parse_instance(std::string_view json, std::string_view name);
std::string write_instance(const Instance& instance);
// The same checks on an instance made in memory.
Status validate(const Instance& instance, std::string_view name);

// Prices of utilisation (demand over capacity), one per server: all 0 or more.
struct Multipliers {
  std::vector<double> bandwidth;
  std::vector<double> compute;
};

// What a policy answers. `layers[j]` is k of task j, 0 when it is not deployed.
struct Schedule {
  std::string policy;
  std::vector<std::uint32_t> layers;
  // Online policies: deployed tasks after each arrival.
  std::vector<std::uint32_t> curve;
  // Online policies: how often a task lost its place, how often one changed its k, and what `auto` became.
  std::uint64_t evicted = 0;
  std::uint64_t recut = 0;
  std::string chosen;
  // Of `price`: what proves the bound U = sum(multipliers) + sum_j max(0, 1 - min_k sum_i (...)) of docs/algorithms/price.md.
  Multipliers multipliers;
  double upper_bound = 0;  // 0: the policy gives none
  // The whole tasks under the bound, rounded down for each connected part of the instance (parts.h); 0: the policy gives none.
  std::uint64_t tasks_max = 0;

  std::uint32_t deployed() const {
    std::uint32_t count = 0;
    for (const std::uint32_t k : layers) count += k > 0 ? 1 : 0;
    return count;
  }
};

}  // namespace tideline::schedule
