// The bound of the queueing model, from its definition: knows nothing of the steps, choices or reduced instances.
#include <algorithm>
#include <cmath>
#include <limits>

#include "schedule/queueing/queueing.h"

namespace tideline::schedule {
namespace {

constexpr int kIntervals = 96;

// No choice of service times within the limit costs less: computing costs `work / (rate S1)`, sending `output / (rate S2)`. On an
// interval of S1 the first is least at its end, and the longest S2 belongs to its beginning.
double cost_below(double work, double output, double rate, double cloud_s, double limit, const WaitTable& waits) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (!(limit > cloud_s) || rate * cloud_s > waits.load_max()) return kNever;
  const double longest = waits.longest(rate, 0, cloud_s, limit);
  if (!(longest > 0)) return kNever;
  if (work == 0 || output == 0) return (work + output) / (rate * longest);
  double least = kNever;
  double slowest_transfer = longest;
  for (int i = 1; i <= kIntervals; ++i) {
    const double end = longest * i / kIntervals;
    least = std::min(least, work / (rate * end) + output / (rate * slowest_transfer));
    slowest_transfer = waits.longest(rate, end, cloud_s, limit);
    if (!(slowest_transfer > 0)) break;
  }
  return least;
}

}  // namespace

double bound_queueing(const Instance& instance, const Multipliers& multipliers, const QueueingOptions& options) {
  const WaitTable waits = waits_of(options);
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
    const TaskModel& model = instance.models[task.model];
    // Nothing is cheaper than nothing: without prices only whether the task can be served at all counts.
    double cheapest = std::numeric_limits<double>::infinity();
    for (std::uint32_t k = task.raw_stays ? 1 : 0; k <= model.layers.size(); ++k) {
      const double work = k == 0 ? 0 : model.layers[k - 1].gflop_per_mb;
      const double output = 8 * (k == 0 ? 1 : model.layers[k - 1].ratio);
      cheapest = std::min(cheapest, cost_below(work * per_gigaflop, output * per_megabit, task.rate_hz,
                                               data * rest_gflop_per_mb(model, k) / (task.rate_hz * options.cloud_gflop_s),
                                               task.latency_s - task.fixed_s, waits));
    }
    bound += std::max(0.0, 1 - cheapest);
  }
  return bound;
}

Result<QueueingCertificate> certify_queueing(const Instance& instance, const QueueingSchedule& schedule) {
  QueueingCertificate certificate;
  TIDELINE_TRY(certificate.report, check_queueing(instance, schedule));
  if (schedule.multipliers.bandwidth.empty() && schedule.multipliers.compute.empty())
    return Error{ErrorCode::kInvalidArgument, "[schedule] the result has no multipliers to certify; make it with --policy price"};
  TIDELINE_CHECK_OK(check_multipliers(schedule.multipliers, instance.servers.size()));
  const double bound = bound_queueing(instance, schedule.multipliers, schedule.options);
  TIDELINE_CHECK_OK(check_stated_bound(schedule.upper_bound, bound));
  certificate.bound = {.upper_bound = bound, .tasks_max = whole_tasks(bound)};
  return certificate;
}

}  // namespace tideline::schedule
