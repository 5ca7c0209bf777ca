#include "fleet/site.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "cost/cost.h"

namespace tideline::fleet {
namespace {

constexpr double kBytesPerMb = 1e6;
// A cut that may not be taken costs more than any limit allows.
constexpr double kForbidden = 1e9;

Error infeasible(std::string message) { return {ErrorCode::kInfeasible, "[fleet] " + std::move(message)}; }

double at(const std::vector<double>& values, std::size_t node) { return values.empty() ? 0 : values[node]; }

// One task with the links of its sources.
struct Placed {
  const FleetTask* task = nullptr;
  const Profile* profile = nullptr;  // for bytes: the same in all profiles of the model
  std::vector<Way> ways;             // by source
  double input_mb = 0;
  std::uint32_t blocks = 0;
};

class SiteBuilder {
 public:
  SiteBuilder(const Fleet& fleet, const FleetProfiles& profiles, const SiteWaits& waits)
      : fleet_(fleet), profiles_(profiles), waits_(waits), access_bytes_per_s_(fleet.cluster.links.size()) {}

  Result<SiteInstance> build() {
    for (const FleetTask& task : fleet_.tasks) {
      TIDELINE_TRY(Placed placed, place(task));
      tasks_.push_back(std::move(placed));
    }
    if (waits_.longest_run_s.empty())
      for (const Placed& placed : tasks_) TIDELINE_CHECK_OK(check_alone(placed));
    add_servers();
    for (const Placed& placed : tasks_) add_task(placed);
    TIDELINE_CHECK_OK(schedule::validate(site_.instance, "the fleet's instance"));
    return std::move(site_);
  }

 private:
  Result<Placed> place(const FleetTask& task) {
    Placed placed{.task = &task, .profile = nullptr, .ways = {}};
    for (const FleetSource& source : task.sources) {
      TIDELINE_TRY(const Way way, way_of(fleet_.cluster, source.node));
      placed.ways.push_back(way);
    }
    placed.profile = profiles_.of[task.model][placed.ways.front().gateway];
    placed.input_mb = static_cast<double>(placed.profile->cuts.front().bytes) / kBytesPerMb;
    placed.blocks = static_cast<std::uint32_t>(placed.profile->blocks.size());
    for (std::size_t i = 0; i < placed.ways.size(); ++i)
      if (placed.ways[i].access != Way::kNoLink && sends(tasks_.size()))
        access_bytes_per_s_[placed.ways[i].access] += task.rate_hz * task.sources[i].share * placed.input_mb * kBytesPerMb;
    if (task.keep_on_source > placed.blocks)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[fleet] task '{}' keeps {} blocks at its source (keep_on_source), and model '{}' has {}",
                               task.name, task.keep_on_source, fleet_.models[task.model].name, placed.blocks)};
    return placed;
  }

  bool sends(std::size_t task) const { return waits_.sends.empty() || waits_.sends[task]; }

  // What no schedule can help.
  Status check_alone(const Placed& placed) {
    const FleetTask& task = *placed.task;
    const auto key = std::tuple(task.model, task.sources.front().node, task.keep_on_source, task.deadline.count(), task.rate_hz,
                                task.sources.size());
    if (!checked_.insert(key).second) return {};
    for (std::size_t i = 0; i < placed.ways.size(); ++i) {
      const Way& way = placed.ways[i];
      const std::string& gateway = fleet_.cluster.nodes[way.gateway].name;
      const std::string& cloud = fleet_.cluster.nodes[way.cloud].name;
      Millis best(std::numeric_limits<double>::infinity());
      std::uint32_t best_blocks = 0;
      double rate_most = 0;
      for (std::uint32_t k = task.keep_on_source; k <= placed.blocks; ++k) {
        const auto time = alone(fleet_, profiles_, task, task.sources[i], k);
        if (!time && time.error().code != ErrorCode::kInfeasible) return time.error();
        if (!time) continue;  // no memory for it
        if (*time < best) std::tie(best, best_blocks) = std::pair(*time, k);
        const double slowest = std::max(run_ms(fleet_, profiles_, task.model, way.gateway, 0, k),
                                        run_ms(fleet_, profiles_, task.model, way.cloud, k, placed.blocks));
        rate_most = std::max(rate_most, kMsPerSecond / std::max(slowest, 1e-9));
      }
      if (!std::isfinite(best.count()))
        return infeasible(fmt::format("task '{}': neither {} nor {} has the memory for any part of model '{}'", task.name,
                                      gateway, cloud, fleet_.models[task.model].name));
      if (best > task.deadline)
        return infeasible(
            fmt::format("task '{}' has a deadline of {}, and alone on the site its fastest way takes {} (model '{}' cut {}, on "
                        "{} and {}): give "
                        "it a longer deadline",
                        task.name, format_millis(task.deadline), format_millis(best), fleet_.models[task.model].name,
                        cut_name(*placed.profile, best_blocks), gateway, cloud));
      if (task.rate_hz * task.sources[i].share > rate_most)
        return infeasible(fmt::format(
            "task '{}' sends {:.4g} requests per second to '{}', and {} and {} compute at most {:.4g} of model '{}', wherever it "
            "is "
            "cut: lower its rate, or give it more sources",
            task.name, task.rate_hz * task.sources[i].share, gateway, gateway, cloud, rate_most, fleet_.models[task.model].name));
    }
    return {};
  }

  void add_servers() {
    server_of_.assign(fleet_.cluster.nodes.size(), 0);
    std::vector<std::size_t> uplink(fleet_.cluster.nodes.size(), Way::kNoLink);
    for (const Placed& placed : tasks_)
      for (const Way& way : placed.ways) uplink[way.gateway] = way.uplink;
    for (std::size_t node = 0; node < uplink.size(); ++node) {
      if (uplink[node] == Way::kNoLink) continue;
      server_of_[node] = static_cast<std::uint32_t>(site_.gateways.size());
      site_.gateways.push_back(node);
      site_.uplinks.push_back(uplink[node]);
      site_.instance.servers.push_back({.bandwidth_mbit_s = 8 * fleet_.cluster.links[uplink[node]].bytes_per_s / kBytesPerMb,
                                        .capacity_gflop_s = kMsPerSecond});
      site_.instance.server_names.push_back(fleet_.cluster.nodes[node].name);
    }
  }

  // Work is that of the slowest gateway and the slowest cloud of a task with several.
  std::uint32_t model_of(const Placed& placed) {
    const FleetTask& task = *placed.task;
    std::vector<std::size_t> nodes;
    for (const Way& way : placed.ways) nodes.insert(nodes.end(), {way.gateway, way.cloud});
    const auto [entry, is_new] = models_.try_emplace(std::tuple(task.model, task.keep_on_source, nodes),
                                                     static_cast<std::uint32_t>(site_.instance.models.size()));
    if (!is_new) return entry->second;
    schedule::TaskModel model{.name = fleet_.models[task.model].name, .layers = {}};
    const double input_bytes = placed.input_mb * kBytesPerMb;
    const auto rest = [&](std::uint32_t k) {
      double most = 0;
      for (const Way& way : placed.ways) {
        const double own = run_ms(fleet_, profiles_, task.model, way.cloud, k, placed.blocks);
        if (own == 0) continue;
        const double longest = at(waits_.cloud_run_s, way.cloud);
        most = std::max(most, own + kMsPerSecond * at(waits_.cloud_wait_s, way.cloud) +
                                  (longest > 0 && own > kMsPerSecond * longest * (1 + 1e-9) ? kForbidden : 0));
      }
      return most / placed.input_mb / static_cast<double>(placed.ways.size());
    };
    model.rest_gflop_per_mb.push_back(rest(0));
    double work = 0;
    for (std::uint32_t k = std::max(task.keep_on_source, 1u); k <= placed.blocks; ++k) {
      bool allowed = true;
      for (const Way& way : placed.ways) {
        const double own = run_ms(fleet_, profiles_, task.model, way.gateway, 0, k);
        work = std::max(work, own / placed.input_mb);
        const double longest = at(waits_.longest_run_s, way.gateway);
        allowed = allowed && (longest == 0 || own <= kMsPerSecond * longest * (1 + 1e-9));
      }
      // Nothing that has run whole on the gateway goes to the cloud.
      const double ratio = k == placed.blocks ? 0 : static_cast<double>(placed.profile->cuts[k].bytes) / input_bytes;
      model.layers.push_back({.ratio = ratio, .gflop_per_mb = work});
      model.rest_gflop_per_mb.push_back(allowed ? rest(k) : kForbidden);
    }
    site_.instance.models.push_back(std::move(model));
    return entry->second;
  }

  // Of one source: the way from the device with the part of its link that the task's share of the data has, round trips, the way
  // of the result, and what runs on the gateway when it comes.
  double fixed_s(const Placed& placed, std::size_t i, bool is_counted) const {
    const FleetTask& task = *placed.task;
    const Way& way = placed.ways[i];
    const Link& uplink = fleet_.cluster.links[way.uplink];
    const double result = static_cast<double>(placed.profile->cuts.back().bytes);
    double seconds = uplink.rtt.count() / kMsPerSecond + result / uplink.back_bytes_per_s + at(waits_.longest_run_s, way.gateway);
    if (way.access == Way::kNoLink) return seconds;
    const Link& access = fleet_.cluster.links[way.access];
    const double rate_hz = task.rate_hz * task.sources[i].share;
    const double own = is_counted ? 0 : rate_hz * placed.input_mb * kBytesPerMb;
    return seconds + access.rtt.count() / kMsPerSecond + result / access.back_bytes_per_s +
           (access_bytes_per_s_[way.access] + own) / (access.bytes_per_s * rate_hz);
  }

  void add_task(const Placed& placed) {
    const FleetTask& task = *placed.task;
    schedule::Task entry{.model = model_of(placed),
                         .raw_stays = task.keep_on_source > 0,
                         .latency_s = task.deadline.count() / kMsPerSecond,
                         .rate_hz = task.rate_hz,
                         .first_touch = site_.instance.touches.size(),
                         .touch_count = static_cast<std::uint32_t>(placed.ways.size())};
    for (std::size_t i = 0; i < placed.ways.size(); ++i) {
      entry.fixed_s = std::max(entry.fixed_s, fixed_s(placed, i, sends(site_.instance.tasks.size())));
      site_.instance.touches.push_back(
          {.server = server_of_[placed.ways[i].gateway], .data_mb_s = task.rate_hz * placed.input_mb});
    }
    std::sort(site_.instance.touches.begin() + static_cast<std::ptrdiff_t>(entry.first_touch), site_.instance.touches.end(),
              [](const schedule::Touch& a, const schedule::Touch& b) { return a.server < b.server; });
    site_.instance.tasks.push_back(entry);
    site_.instance.task_names.push_back(task.name);
    site_.first_blocks.push_back(std::max(task.keep_on_source, 1u));
  }

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
  const SiteWaits& waits_;
  SiteInstance site_;
  std::vector<Placed> tasks_;
  std::vector<double> access_bytes_per_s_;  // by link: the mean of all tasks that send over it
  std::vector<std::uint32_t> server_of_;    // by node
  std::map<std::tuple<std::size_t, std::uint32_t, std::vector<std::size_t>>, std::uint32_t> models_;
  std::set<std::tuple<std::size_t, std::size_t, std::uint32_t, double, double, std::size_t>> checked_;
};

}  // namespace

double run_ms(const Fleet& fleet, const FleetProfiles& profiles, std::size_t model, std::size_t node, std::uint32_t first,
              std::uint32_t last) {
  if (first >= last) return 0;
  return fleet.cluster.nodes[node].slowdown * segment_time(*profiles.of[model][node], first, last - 1).count();
}

Result<SiteInstance> site_instance(const Fleet& fleet, const FleetProfiles& profiles, const SiteWaits& waits) {
  return SiteBuilder(fleet, profiles, waits).build();
}

Plan plan_of(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task, const FleetSource& source,
             std::uint32_t blocks) {
  const auto way = way_of(fleet.cluster, source.node);
  const Profile& profile = *profiles.of[task.model][way->gateway];
  const std::string& gateway = fleet.cluster.nodes[way->gateway].name;
  const std::string& cloud = fleet.cluster.nodes[way->cloud].name;
  const auto count = static_cast<std::uint32_t>(profile.blocks.size());
  Plan plan{.planner = "fleet", .model_sha256 = profile.model_sha256, .chain_sha256 = profile.chain_sha256};
  const bool has_device = way->access != Way::kNoLink;
  if (has_device) plan.route.push_back(fleet.cluster.nodes[source.node].name);
  const auto first = static_cast<std::uint32_t>(plan.route.size());
  plan.route.push_back(gateway);
  if (blocks > 0) plan.segments.push_back({.at = first, .node = gateway, .first_block = 0, .last_block = blocks - 1});
  if (blocks < count) {
    plan.route.insert(plan.route.end(), {cloud, gateway});
    plan.segments.push_back({.at = first + 1, .node = cloud, .first_block = blocks, .last_block = count - 1});
  }
  if (has_device) plan.route.push_back(fleet.cluster.nodes[source.node].name);
  return plan;
}

Result<Estimate> estimate_alone(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task,
                                const FleetSource& source, std::uint32_t blocks) {
  Cluster cluster = fleet.cluster;
  cluster.source = static_cast<NodeId>(source.node);
  TIDELINE_TRY(const Way way, way_of(cluster, source.node));
  CostInput input{.cluster = &cluster, .profiles = profiles.of[task.model]};
  for (const Profile*& profile : input.profiles)
    if (profile == nullptr) profile = profiles.of[task.model][way.gateway];
  TIDELINE_TRY(Estimate estimated, estimate(input, plan_of(fleet, profiles, task, source, blocks)));
  if (!estimated.infeasible.empty()) return infeasible(fmt::format("task '{}': {}", task.name, estimated.infeasible));
  return estimated;
}

Result<Millis> alone(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task, const FleetSource& source,
                     std::uint32_t blocks) {
  TIDELINE_TRY(const Estimate estimated, estimate_alone(fleet, profiles, task, source, blocks));
  return estimated.latency;
}

std::string cut_name(const Profile& profile, std::uint32_t blocks) {
  if (blocks == 0) return "the input";
  if (blocks == profile.blocks.size()) return "the output";
  return profile.blocks[blocks - 1].name;
}

}  // namespace tideline::fleet
