// Independent of reduction.cpp: knows nothing of choices or reduced instances, only of the slices that a task was given.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "schedule/queueing/queueing.h"

namespace tideline::schedule {
namespace {

constexpr double kTolerance = 1e-9;

Error broken_condition(std::string message) { return {ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

Status check_grant(const Instance& instance, std::size_t j, const Grant& grant) {
  const std::vector<Layer>& layers = instance.models[instance.tasks[j].model].layers;
  if (grant.layers > layers.size())
    return broken_condition(fmt::format("task {} runs {} layers on the edge, its model has {}", j, grant.layers, layers.size()));
  if (instance.tasks[j].raw_stays && grant.layers == 0)
    return broken_condition(fmt::format("task {} sends raw data, which the instance forbids (raw_stays)", j));
  const double work = grant.layers == 0 ? 0 : layers[grant.layers - 1].gflop_per_mb;
  const double output = grant.layers == 0 ? 1 : layers[grant.layers - 1].ratio;
  if (!std::isfinite(grant.mbit_s_per_mb) || !std::isfinite(grant.gflop_s_per_mb) || grant.mbit_s_per_mb < 0 ||
      grant.gflop_s_per_mb < 0 || (work > 0 && grant.gflop_s_per_mb == 0) || (output > 0 && grant.mbit_s_per_mb == 0))
    return broken_condition(fmt::format("task {} has a slice that is no amount", j));
  return {};
}

}  // namespace

Result<ExtendedReport> check_queueing(const Instance& instance, const QueueingSchedule& schedule) {
  if (schedule.grants.size() != instance.tasks.size())
    return broken_condition(
        fmt::format("the schedule has {} tasks, the instance {}", schedule.grants.size(), instance.tasks.size()));
  TIDELINE_CHECK_OK(check(schedule.options));
  const WaitTable waits = waits_of(schedule.options);
  std::vector<double> bandwidth(instance.servers.size());
  std::vector<double> compute(instance.servers.size());
  ExtendedReport report;
  for (std::size_t j = 0; j < schedule.grants.size(); ++j) {
    const Grant& grant = schedule.grants[j];
    if (!grant.admitted) continue;
    TIDELINE_CHECK_OK(check_grant(instance, j, grant));
    const Task& task = instance.tasks[j];
    const RequestTimes times = times_of(instance, task, grant, schedule.options.cloud_gflop_s, waits);
    if (times.load > waits.load_max() * (1 + kTolerance))
      return broken_condition(
          fmt::format("task {} loads one of its slices to {:.6f}, at most {} can be served", j, times.load, waits.load_max()));
    if (times.bound_s() > task.latency_s * (1 + kTolerance))
      return broken_condition(
          fmt::format("task {} takes {:.6g} s with its wait, its limit is {:.6g} s", j, times.bound_s(), task.latency_s));
    report.latency_share_max = std::max(report.latency_share_max, times.bound_s() / task.latency_s);
    for (const Touch& touch : instance.touches_of(task)) {
      bandwidth[touch.server] += grant.mbit_s_per_mb * touch.data_mb_s;
      compute[touch.server] += grant.gflop_s_per_mb * touch.data_mb_s;
    }
    ++report.admitted;
    if (grant.layers > 0) ++report.deployed;
  }
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const double link = bandwidth[i] / (instance.bandwidth_share * instance.servers[i].bandwidth_mbit_s);
    const double processor = compute[i] / instance.servers[i].capacity_gflop_s;
    if (link > 1 + kTolerance)
      return broken_condition(fmt::format("the slices of server {}'s bandwidth add up to {:.6f} of it", i, link));
    if (processor > 1 + kTolerance)
      return broken_condition(fmt::format("the slices of server {}'s processor add up to {:.6f} of it", i, processor));
    report.bandwidth_utilisation_max = std::max(report.bandwidth_utilisation_max, link);
    report.compute_utilisation_max = std::max(report.compute_utilisation_max, processor);
  }
  return report;
}

}  // namespace tideline::schedule
