// The bound of the extended model, from its definition: knows nothing of eighths, choices or reduced instances.
#include <algorithm>
#include <cmath>
#include <limits>

#include "schedule/extended/extended.h"

namespace tideline::schedule {
namespace {

Error refused(std::string message) { return {ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

// The least of work * max(1, 1 / (s left)) + output * max(1, 1 / ((1 - s) left)) over the shares 0 < s < 1: what the slices of a
// task cost when computing at its mean rate costs `work`, sending `output`, and `left` seconds of the limit are left. Convex
// in s, so the least is where its slope is 0, or at a kink.
double least_cost(double work, double output, double left) {
  if (!(left > 0)) return std::numeric_limits<double>::infinity();
  const auto stretched = [left](double cost, double share) { return cost > 0 ? cost * std::max(1.0, 1 / (share * left)) : 0; };
  if (work == 0 || output == 0) return stretched(work + output, 1);
  const double flat = std::sqrt(work) / (std::sqrt(work) + std::sqrt(output));
  double least = std::numeric_limits<double>::infinity();
  for (const double share : {flat, 1 / left, 1 - 1 / left})
    if (share > 0 && share < 1) least = std::min(least, stretched(work, share) + stretched(output, 1 - share));
  return least;
}

}  // namespace

double bound_extended(const Instance& instance, const Multipliers& multipliers, double cloud_gflop_s) {
  double bound = 0;
  for (std::size_t i = 0; i < instance.servers.size(); ++i) bound += multipliers.bandwidth[i] + multipliers.compute[i];
  for (const Task& task : instance.tasks) {
    double data = 0, per_megabit = 0, per_gigaflop = 0;
    for (const Touch& touch : instance.touches_of(task)) {
      const Server& server = instance.servers[touch.server];
      data += touch.data_mb_s;
      per_megabit += multipliers.bandwidth[touch.server] * touch.data_mb_s / (instance.bandwidth_share * server.bandwidth_mbit_s);
      per_gigaflop += multipliers.compute[touch.server] * touch.data_mb_s / server.capacity_gflop_s;
    }
    const std::vector<Layer>& layers = instance.models[task.model].layers;
    const auto left = [&](std::uint32_t k) {
      return task.latency_s - data * rest_gflop_per_mb(instance.models[task.model], k) / cloud_gflop_s;
    };
    // k = 0: nothing on the edge, the raw data to the cloud.
    double cheapest = task.raw_stays ? std::numeric_limits<double>::infinity() : least_cost(0, 8 * per_megabit, left(0));
    for (std::uint32_t k = 1; k <= layers.size(); ++k)
      cheapest = std::min(cheapest,
                          least_cost(layers[k - 1].gflop_per_mb * per_gigaflop, 8 * layers[k - 1].ratio * per_megabit, left(k)));
    bound += std::max(0.0, 1 - cheapest);
  }
  return bound;
}

Result<ExtendedCertificate> certify_extended(const Instance& instance, const ExtendedSchedule& schedule) {
  ExtendedCertificate certificate;
  TIDELINE_TRY(certificate.report, check_extended(instance, schedule));
  if (schedule.multipliers.bandwidth.empty() && schedule.multipliers.compute.empty())
    return refused("the result has no multipliers to certify; make it with --policy price");
  TIDELINE_CHECK_OK(check_multipliers(schedule.multipliers, instance.servers.size()));
  const double bound = bound_extended(instance, schedule.multipliers, schedule.cloud_gflop_s);
  TIDELINE_CHECK_OK(check_stated_bound(schedule.upper_bound, bound));
  certificate.bound = {.upper_bound = bound, .tasks_max = whole_tasks(bound)};
  return certificate;
}

}  // namespace tideline::schedule
