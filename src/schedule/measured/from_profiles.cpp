#include "schedule/measured/from_profiles.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "schedule/random.h"

namespace tideline::schedule {
namespace {

constexpr double kBytesPerMb = 1e6;
constexpr double kMsPerSecond = 1000;

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; }

Result<TaskModel> model_of(const Profile& profile) {
  if (profile.blocks.empty() || profile.cuts.size() != profile.blocks.size() + 1 || profile.cuts.front().bytes == 0)
    return invalid(fmt::format("the profile of '{}' has no blocks or no input bytes", profile.model_name));
  TaskModel model{.name = profile.model_name, .layers = {}};
  const double input_mb = static_cast<double>(profile.cuts.front().bytes) / kBytesPerMb;
  double work = 0;
  for (std::uint32_t k = 0; k < profile.blocks.size(); ++k) {
    // Fusing across a cut can make a longer segment faster than a shorter one; the instance's work never falls with k.
    work = std::max(work, segment_time(profile, 0, k).count() / input_mb);
    model.layers.push_back(
        {.ratio = static_cast<double>(profile.cuts[k + 1].bytes) / static_cast<double>(profile.cuts.front().bytes),
         .gflop_per_mb = work});
  }
  return model;
}

}  // namespace

Result<Instance> instance_from_profiles(std::span<const Profile> profiles, const Cluster& cluster,
                                        const MeasuredOptions& options) {
  if (profiles.empty()) return invalid("at least one profile is needed");
  if (!(options.rate_min_hz > 0) || !(options.rate_max_hz >= options.rate_min_hz))
    return invalid("rates must be above 0, the smaller first");
  if (options.servers == 0 || options.servers_per_task == 0) return invalid("at least one server is needed");
  Instance instance{.bandwidth_share = options.bandwidth_share};
  for (const Profile& profile : profiles) {
    if (profile.host != profiles.front().host || profile.threads != profiles.front().threads)
      return invalid(
          fmt::format("the profile of '{}' is of another host than the first: milliseconds do not compare", profile.model_name));
    TIDELINE_TRY(TaskModel model, model_of(profile));
    instance.models.push_back(std::move(model));
  }
  std::vector<Server> kinds;
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    if (cluster.nodes[i].tier != Tier::kEdge) continue;
    double uplink_bytes_per_s = 0;
    for (const Link& link : cluster.links)
      if (std::size_t(link.from) == i) uplink_bytes_per_s = std::max(uplink_bytes_per_s, link.bytes_per_s);
    if (uplink_bytes_per_s > 0)
      kinds.push_back({.bandwidth_mbit_s = 8 * uplink_bytes_per_s / kBytesPerMb,
                       .capacity_gflop_s = kMsPerSecond / cluster.nodes[i].slowdown});
  }
  if (kinds.empty()) return invalid("the cluster has no node of tier edge with an uplink");
  for (std::uint32_t i = 0; i < options.servers; ++i) instance.servers.push_back(kinds[i % kinds.size()]);

  const std::uint32_t touched = std::min(options.servers_per_task, options.servers);
  std::vector<std::uint32_t> order(options.servers);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint32_t j = 0; j < options.tasks; ++j) {
    Random random(options.seed, j);
    Task task{.model = random.below(static_cast<std::uint32_t>(instance.models.size())),
              .latency_s = options.latency_s,
              .first_touch = instance.touches.size(),
              .touch_count = touched};
    const double input_mb = static_cast<double>(profiles[task.model].cuts.front().bytes) / kBytesPerMb;
    const double data = random.uniform(options.rate_min_hz, options.rate_max_hz) * input_mb / touched;
    for (std::uint32_t t = 0; t < touched; ++t) std::swap(order[t], order[t + random.below(options.servers - t)]);
    std::vector<std::uint32_t> chosen(order.begin(), order.begin() + touched);
    std::sort(chosen.begin(), chosen.end());
    for (const std::uint32_t server : chosen) instance.touches.push_back({.server = server, .data_mb_s = data});
    instance.tasks.push_back(task);
  }
  TIDELINE_CHECK_OK(validate(instance, "the measured instance"));
  return instance;
}

}  // namespace tideline::schedule
