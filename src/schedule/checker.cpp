#include "schedule/checker.h"

#include <fmt/format.h>

namespace tideline::schedule {
namespace {

Error broken(std::string message) { return Error{ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

}  // namespace

// Written from the formulas, with raw units and long doubles, and not from the policies' normalised view.
Result<CheckReport> check_schedule(const Instance& instance, const std::vector<std::uint32_t>& layers) {
  if (layers.size() != instance.tasks.size())
    return broken(fmt::format("the schedule has {} tasks, the instance {}", layers.size(), instance.tasks.size()));
  std::vector<long double> assigned_mbit_s(instance.servers.size(), 0);
  std::vector<long double> assigned_gflop_s(instance.servers.size(), 0);
  CheckReport report;
  report.depth_histogram.assign(1, 0);
  for (std::size_t j = 0; j < layers.size(); ++j) {
    const std::uint32_t k = layers[j];
    const Task& task = instance.tasks[j];
    const std::vector<Layer>& model = instance.models[task.model].layers;
    if (k > model.size()) return broken(fmt::format("tasks[{}] runs {} layers, but its model has {}", j, k, model.size()));
    if (report.depth_histogram.size() <= k) report.depth_histogram.resize(k + 1, 0);
    ++report.depth_histogram[k];
    if (k == 0) continue;
    ++report.deployed;
    for (std::uint64_t t = task.first_touch; t < task.first_touch + task.touch_count; ++t) {
      const Touch& touch = instance.touches[t];
      // (b): sending d * r megabytes within Q seconds needs b_ij = 8 d r / Q megabit per second.
      const long double megabit = 8.0L * touch.data_mb_s * model[k - 1].ratio;
      assigned_mbit_s[touch.server] += megabit / task.latency_s;
      assigned_gflop_s[touch.server] += static_cast<long double>(touch.data_mb_s) * model[k - 1].gflop_per_mb;
    }
  }
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const long double bandwidth = static_cast<long double>(instance.servers[i].bandwidth_mbit_s) * instance.bandwidth_share;
    const long double capacity = instance.servers[i].capacity_gflop_s;
    if (assigned_mbit_s[i] > bandwidth * (1 + kCheckTolerance))
      return broken(fmt::format("constraint (a): server {} has {:.9g} Mbit/s to give, its tasks need {:.9g}", i,
                                static_cast<double>(bandwidth), static_cast<double>(assigned_mbit_s[i])));
    if (assigned_gflop_s[i] > capacity * (1 + kCheckTolerance))
      return broken(fmt::format("constraint (c): server {} has {:.9g} GFLOP/s, its tasks need {:.9g}", i,
                                static_cast<double>(capacity), static_cast<double>(assigned_gflop_s[i])));
    report.bandwidth_utilisation.push_back(static_cast<double>(assigned_mbit_s[i] / bandwidth));
    report.compute_utilisation.push_back(static_cast<double>(assigned_gflop_s[i] / capacity));
  }
  return report;
}

}  // namespace tideline::schedule
