#include "schedule/certify.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "schedule/parts.h"

namespace tideline::schedule {
namespace {

constexpr double kBoundTolerance = 1e-6;
// U is a sum of thousands of rounded terms: this much below a whole number is that number.
constexpr double kWholeTolerance = 1e-6;

Error refused(std::string message) { return Error{ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

Status check_prices(const std::vector<double>& values, const char* name, std::size_t servers) {
  if (values.size() != servers)
    return refused(fmt::format("multipliers.{} has {} numbers for {} servers", name, values.size(), servers));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= 0) || !std::isfinite(values[i]))
      return refused(fmt::format("multipliers.{}[{}] is {}; a bound needs 0 or more", name, i, values[i]));
  return {};
}

}  // namespace

Status check_multipliers(const Multipliers& multipliers, std::size_t servers) {
  TIDELINE_CHECK_OK(check_prices(multipliers.bandwidth, "bandwidth", servers));
  return check_prices(multipliers.compute, "compute", servers);
}

std::uint64_t whole_tasks(long double bound) { return static_cast<std::uint64_t>(std::min(bound + kWholeTolerance, 1e18L)); }

Status check_stated_bound(double stated, double proven) {
  if (!(std::abs(stated - proven) <= kBoundTolerance * std::max(1.0, proven)))
    return refused(fmt::format("upper_bound says {}, but the multipliers prove {}", stated, proven));
  return {};
}

Bound bound_of(const Instance& instance, const Multipliers& multipliers) {
  const Parts parts = find_parts(instance);
  std::vector<long double> of_part(parts.count, 0);
  for (std::size_t i = 0; i < instance.servers.size(); ++i)
    of_part[parts.of_server[i]] += static_cast<long double>(multipliers.bandwidth[i]) + multipliers.compute[i];
  for (const Task& task : instance.tasks) {
    long double cheapest = INFINITY;
    for (const Layer& layer : instance.models[task.model].layers) {
      long double cost = 0;
      for (std::uint64_t t = task.first_touch; t < task.first_touch + task.touch_count; ++t) {
        const Touch& touch = instance.touches[t];
        const Server& server = instance.servers[touch.server];
        cost += multipliers.bandwidth[touch.server] * (8 * touch.data_mb_s * layer.ratio / task.latency_s) /
                (instance.bandwidth_share * server.bandwidth_mbit_s);
        cost += multipliers.compute[touch.server] * (touch.data_mb_s * layer.gflop_per_mb) / server.capacity_gflop_s;
      }
      cheapest = std::min(cheapest, cost);
    }
    of_part[parts.of_server[instance.touches[task.first_touch].server]] += std::max(0.0L, 1 - cheapest);
  }
  Bound bound;
  long double sum = 0;
  for (const long double part : of_part) {
    sum += part;
    bound.tasks_max += whole_tasks(part);
  }
  bound.upper_bound = static_cast<double>(sum);
  return bound;
}

Result<Certificate> certify(const Instance& instance, const Schedule& result) {
  Certificate certificate;
  TIDELINE_TRY(certificate.report, check_schedule(instance, result.layers));
  if (result.multipliers.bandwidth.empty() && result.multipliers.compute.empty())
    return refused("the result has no multipliers to certify; make it with --policy price, or with --bound");
  TIDELINE_CHECK_OK(check_multipliers(result.multipliers, instance.servers.size()));
  const Bound& bound = certificate.bound = bound_of(instance, result.multipliers);
  TIDELINE_CHECK_OK(check_stated_bound(result.upper_bound, bound.upper_bound));
  if (result.tasks_max != bound.tasks_max)
    return refused(fmt::format("tasks_max says {}, but the multipliers prove {}", result.tasks_max, bound.tasks_max));
  return certificate;
}

}  // namespace tideline::schedule
