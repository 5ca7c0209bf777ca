// Independent of reduction.cpp: knows nothing of shares, cuts or reduced instances.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "schedule/extended/extended.h"

namespace tideline::schedule {
namespace {

constexpr double kTolerance = 1e-9;

Error broken(std::string message) { return {ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

// The latency of one second's data of task j on one server, from the slices; an error names what is too small.
Result<double> latency_of(const Instance& instance, std::size_t j, const Touch& touch, const Grant& grant, double cloud_s) {
  const TaskModel& model = instance.models[instance.tasks[j].model];
  const double megabits = 8 * touch.data_mb_s * (grant.layers == 0 ? 1.0 : model.layers[grant.layers - 1].ratio);
  const double gigaflops = grant.layers == 0 ? 0.0 : touch.data_mb_s * model.layers[grant.layers - 1].gflop_per_mb;
  const double link = grant.mbit_s_per_mb * touch.data_mb_s;
  const double processor = grant.gflop_s_per_mb * touch.data_mb_s;
  if (megabits > link * (1 + kTolerance))
    return broken(
        fmt::format("task {} sends {:.4g} Mbit/s from server {} over a slice of {:.4g} Mbit/s", j, megabits, touch.server, link));
  if (gigaflops > processor * (1 + kTolerance))
    return broken(fmt::format("task {} needs {:.4g} GFLOP/s on server {} and has {:.4g}", j, gigaflops, touch.server, processor));
  return (gigaflops > 0 ? gigaflops / processor : 0) + (megabits > 0 ? megabits / link : 0) + cloud_s;
}

}  // namespace

Result<ExtendedReport> check_extended(const Instance& instance, const ExtendedSchedule& schedule) {
  if (schedule.grants.size() != instance.tasks.size())
    return broken(fmt::format("the schedule has {} tasks, the instance {}", schedule.grants.size(), instance.tasks.size()));
  if (!(schedule.cloud_gflop_s > 0)) return broken("the cloud needs a speed above 0");
  std::vector<double> bandwidth(instance.servers.size());
  std::vector<double> compute(instance.servers.size());
  ExtendedReport report;
  for (std::size_t j = 0; j < schedule.grants.size(); ++j) {
    const Grant& grant = schedule.grants[j];
    if (!grant.admitted) continue;
    const Task& task = instance.tasks[j];
    const std::vector<Layer>& layers = instance.models[task.model].layers;
    if (grant.layers > layers.size())
      return broken(fmt::format("task {} runs {} layers on the edge, its model has {}", j, grant.layers, layers.size()));
    if (!std::isfinite(grant.mbit_s_per_mb) || !std::isfinite(grant.gflop_s_per_mb) || grant.mbit_s_per_mb < 0 ||
        grant.gflop_s_per_mb < 0)
      return broken(fmt::format("task {} has a slice that is no amount", j));
    double data = 0;
    for (const Touch& touch : instance.touches_of(task)) data += touch.data_mb_s;
    if (task.raw_stays && grant.layers == 0)
      return broken(fmt::format("task {} sends raw data, which the instance forbids (raw_stays)", j));
    const double cloud_s = data * rest_gflop_per_mb(instance.models[task.model], grant.layers) / schedule.cloud_gflop_s;
    for (const Touch& touch : instance.touches_of(task)) {
      TIDELINE_TRY(const double latency, latency_of(instance, j, touch, grant, cloud_s));
      if (latency > task.latency_s * (1 + kTolerance))
        return broken(
            fmt::format("task {} takes {:.6g} s on server {}, its limit is {:.6g} s", j, latency, touch.server, task.latency_s));
      report.latency_share_max = std::max(report.latency_share_max, latency / task.latency_s);
      bandwidth[touch.server] += grant.mbit_s_per_mb * touch.data_mb_s;
      compute[touch.server] += grant.gflop_s_per_mb * touch.data_mb_s;
    }
    ++report.admitted;
    if (grant.layers > 0) ++report.deployed;
  }
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const double link = bandwidth[i] / (instance.bandwidth_share * instance.servers[i].bandwidth_mbit_s);
    const double processor = compute[i] / instance.servers[i].capacity_gflop_s;
    if (link > 1 + kTolerance) return broken(fmt::format("the slices of server {}'s bandwidth add up to {:.6f} of it", i, link));
    if (processor > 1 + kTolerance)
      return broken(fmt::format("the slices of server {}'s processor add up to {:.6f} of it", i, processor));
    report.bandwidth_utilisation_max = std::max(report.bandwidth_utilisation_max, link);
    report.compute_utilisation_max = std::max(report.compute_utilisation_max, processor);
  }
  return report;
}

}  // namespace tideline::schedule
