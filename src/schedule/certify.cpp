#include "schedule/certify.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline::schedule {
namespace {

constexpr double kBoundTolerance = 1e-6;
// U is a sum of thousands of rounded terms: this much below a whole number is that number.
constexpr double kWholeTolerance = 1e-6;

Error refused(std::string message) { return Error{ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

Status check_multipliers(const std::vector<double>& values, const char* name, std::size_t servers) {
  if (values.size() != servers)
    return refused(fmt::format("multipliers.{} has {} numbers for {} servers", name, values.size(), servers));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= 0) || !std::isfinite(values[i]))
      return refused(fmt::format("multipliers.{}[{}] is {}; a bound needs 0 or more", name, i, values[i]));
  return {};
}

}  // namespace

double upper_bound_of(const Instance& instance, const Multipliers& multipliers) {
  long double bound = 0;
  for (const double value : multipliers.bandwidth) bound += value;
  for (const double value : multipliers.compute) bound += value;
  for (const Task& task : instance.tasks) {
    const std::vector<Layer>& layers = instance.models[task.model].layers;
    long double cheapest = INFINITY;
    for (const Layer& layer : layers) {
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
    bound += std::max(0.0L, 1 - cheapest);
  }
  return static_cast<double>(bound);
}

Result<Certificate> certify(const Instance& instance, const Schedule& result) {
  Certificate certificate;
  TIDELINE_TRY(certificate.report, check_schedule(instance, result.layers));
  if (result.multipliers.bandwidth.empty() && result.multipliers.compute.empty())
    return refused("the result has no multipliers to certify; make it with --policy price, or with --bound");
  TIDELINE_CHECK_OK(check_multipliers(result.multipliers.bandwidth, "bandwidth", instance.servers.size()));
  TIDELINE_CHECK_OK(check_multipliers(result.multipliers.compute, "compute", instance.servers.size()));
  certificate.upper_bound = upper_bound_of(instance, result.multipliers);
  if (!(std::abs(result.upper_bound - certificate.upper_bound) <= kBoundTolerance * std::max(1.0, certificate.upper_bound)))
    return refused(fmt::format("upper_bound says {}, but the multipliers prove {}", result.upper_bound, certificate.upper_bound));
  // The policies and the checker allow 1e-9 of overload, which is far below what would make room for one more task.
  certificate.tasks_max = static_cast<std::uint64_t>(std::floor(certificate.upper_bound + kWholeTolerance));
  return certificate;
}

}  // namespace tideline::schedule
