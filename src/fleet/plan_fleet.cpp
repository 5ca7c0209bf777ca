#include "fleet/plan_fleet.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "schedule/certify.h"
#include "schedule/dual.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"
#include "schedule/queueing/queueing.h"

namespace tideline::fleet {
namespace {

using schedule::Grant;
using schedule::Instance;

// Loads of the cloud that are tried when it is full: the higher, the longer its queue.
constexpr double kCloudLoads[] = {0.1, 0.2, 0.4, 0.6, 0.8};
// Limits on a gateway's runs that are tried, as parts of the longest in a plan without: short runs let tasks in that are in a
// hurry, long ones leave more to the gateways.
constexpr double kRunParts[] = {1, 0.5, 0.25, 0.1, 0.02};
// The loads from the first plan's times this on need not be tried.
constexpr double kLoadMargin = 1.5;
// Fuller than that no plan loads a cloud.
constexpr double kCloudLoadMost = 0.8;
// Limits on a gateway's runs that are tried for tasks that come later, times the longest that runs there.
constexpr double kLaterRuns[] = {1, 2, 8};
// A cut that may not be taken costs more than any limit allows.
constexpr double kClosed = 1e9;
// A capacity of nothing is no number of an instance.
constexpr double kNothing = 1e-9;

Result<std::vector<std::uint32_t>> run_one(const Instance& instance, const FleetPlanOptions& options) {
  if (schedule::find_online_policy(options.policy) != nullptr) {
    TIDELINE_TRY(
        const schedule::OnlineRun run,
        schedule::run_online(options.policy, {.instance = instance, .cancel = options.cancel}, schedule::all_arrive(instance)));
    return run.schedule.layers;
  }
  TIDELINE_TRY(const schedule::CheckedSchedule answer, schedule::run_policy(options.policy, instance,
                                                                            {.seed = options.seed,
                                                                             .time_limit = options.time_limit,
                                                                             .search_steps = options.search_steps,
                                                                             .threads = options.threads,
                                                                             .cancel = options.cancel}));
  return answer.schedule.layers;
}

// The policy on the tasks of each priority, the highest first, in what those before have left.
Result<std::vector<std::uint32_t>> run_by_priority(const Instance& instance, const std::vector<std::int64_t>& priorities,
                                                   const FleetPlanOptions& options) {
  std::map<std::int64_t, std::vector<std::uint32_t>, std::greater<>> groups;
  for (std::uint32_t j = 0; j < instance.tasks.size(); ++j) groups[priorities[j]].push_back(j);
  if (groups.size() == 1) return run_one(instance, options);
  std::vector<std::uint32_t> layers(instance.tasks.size());
  std::vector<schedule::Server> left = instance.servers;
  for (const auto& [priority, tasks] : groups) {
    Instance group = select_tasks(instance, tasks);
    group.servers = left;
    TIDELINE_TRY(const std::vector<std::uint32_t> of_group, run_one(group, options));
    for (std::size_t n = 0; n < tasks.size(); ++n) {
      layers[tasks[n]] = of_group[n];
      if (of_group[n] == 0) continue;
      const schedule::Task& task = group.tasks[n];
      for (const schedule::Touch& touch : group.touches_of(task)) {
        schedule::Server& server = left[touch.server];
        server.bandwidth_mbit_s = std::max(
            kNothing, server.bandwidth_mbit_s - bandwidth_demand_mbit_s(group, task, touch, of_group[n]) / group.bandwidth_share);
        server.capacity_gflop_s =
            std::max(kNothing, server.capacity_gflop_s - compute_demand_gflop_s(group, task, touch, of_group[n]));
      }
    }
  }
  return layers;
}

class Planning {
  // What tasks really do to nodes, by node: their mean load, and the longest of their runs.
  struct NodeUse {
    std::vector<double> load;
    std::vector<double> longest_s;
  };

 public:
  Planning(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options)
      : fleet_(fleet), profiles_(profiles), options_(options) {}

  Result<FleetPlan> plan() {
    if (options_.model != FleetModelKind::kPaper && options_.policy.starts_with("fixed"))
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[fleet] policy '{}' is one of the paper's model: with it write model: paper (--model paper)",
                               options_.policy)};
    TIDELINE_TRY(site_, site_instance(fleet_, profiles_));
    TIDELINE_TRY(schedule_, decide(site_, true));
    if (options_.model == FleetModelKind::kQueueing && !is_everywhere()) TIDELINE_CHECK_OK(keep_on_real_nodes());
    return report();
  }

  // The plan of exactly these tasks with exactly these cuts.
  Result<std::optional<FleetPlan>> plan_as(const Placement& placement) {
    waits_ = waits_under(placement);
    if (waits_.cloud_wait_s.empty()) return std::optional<FleetPlan>();
    waits_.sends = running(placement, {});
    TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits_));
    TIDELINE_TRY(auto solved, solve(placement, {}));
    if (!solved) return std::optional<FleetPlan>();
    schedule_ = std::move(*solved);
    TIDELINE_TRY(const schedule::QueueingReduction all, reduce_queueing(site_.instance, queueing()));
    schedule_.choices.resize(placement.size());
    for (std::size_t n = 0; n < all.tasks.size(); ++n) schedule_.choices[all.tasks[n]] = all.choices[all.instance.tasks[n].model];
    TIDELINE_TRY(FleetPlan plan, report());
    plan.upper_bound.reset();
    return std::optional(std::move(plan));
  }

  // The same with the cuts of the open tasks still to be found: under limits on runs that what runs now leaves, or wider ones.
  Result<std::optional<Placement>> place(const Placement& placement, const std::vector<std::size_t>& open) {
    Placement closed = placement;
    for (const std::size_t j : open) closed[j].reset();
    const NodeUse use = use_of(closed);
    for (const double times : kLaterRuns)
      for (const double load : kCloudLoads) {
        if (load < cloud_load_max(use)) continue;
        SiteWaits waits = waits_for(use, load, times == kLaterRuns[0]);
        for (std::size_t node = 0; node < fleet_.cluster.nodes.size(); ++node)
          if (fleet_.cluster.nodes[node].tier == Tier::kEdge) waits.longest_run_s[node] = later_run_s(node, closed, open, times);
        waits.sends = running(closed, open);
        TIDELINE_TRY(site_, site_instance(fleet_, profiles_, waits));
        TIDELINE_TRY(const auto solved, solve(closed, open));
        if (!solved) continue;
        Placement found = closed;
        for (const std::size_t j : open) found[j] = site_.blocks_of(j, solved->grants[j].layers);
        TIDELINE_TRY(const auto plan, plan_as(found));
        if (plan) return std::optional(std::move(found));
      }
    return std::optional<Placement>();
  }

 private:
  static std::vector<bool> running(const Placement& placement, const std::vector<std::size_t>& open) {
    std::vector<bool> runs;
    for (const auto& blocks : placement) runs.push_back(blocks.has_value());
    for (const std::size_t j : open) runs[j] = true;
    return runs;
  }

  // What the tasks of a placement do to nodes.
  NodeUse use_of(const Placement& placement) const {
    NodeUse use{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size())};
    for (std::size_t j = 0; j < placement.size(); ++j)
      if (placement[j]) add_use(use, fleet_.tasks[j], *placement[j]);
    return use;
  }

  // What requests may meet when clouds are loaded so, and their runs stay as they are or (not `as_now`) may be as long as any.
  SiteWaits waits_for(const NodeUse& use, double load, bool as_now) const {
    SiteWaits waits{use.longest_s, std::vector<double>(use.load.size()), std::vector<double>(use.load.size())};
    const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
    for (std::size_t node = 0; node < use.load.size(); ++node) {
      if (fleet_.cluster.nodes[node].tier != Tier::kCloud) continue;
      const double run_s = as_now && use.longest_s[node] > 0 ? use.longest_s[node] : whole_run_s(node);
      waits.cloud_run_s[node] = std::max(kNothing, run_s);
      waits.cloud_wait_s[node] = waits.cloud_run_s[node] * table.wait(load);
    }
    return waits;
  }

  // Exactly what they may meet; empty where a cloud is too full.
  SiteWaits waits_under(const Placement& placement) const {
    const NodeUse use = use_of(placement);
    if (cloud_load_max(use) > kCloudLoadMost) return {};
    SiteWaits waits = waits_for(use, 0, true);
    const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
    for (std::size_t node = 0; node < use.load.size(); ++node) {
      const Tier tier = fleet_.cluster.nodes[node].tier;
      // Who is alone on a gateway meets nobody.
      if (tier == Tier::kEdge && sources_at(node, placement) <= 1) waits.longest_run_s[node] = 0;
      if (tier != Tier::kCloud) continue;
      waits.cloud_run_s[node] = std::max(kNothing, use.longest_s[node]);
      waits.cloud_wait_s[node] = waits.cloud_run_s[node] * table.wait(use.load[node]);
    }
    return waits;
  }

  std::size_t sources_at(std::size_t gateway, const Placement& placement) const {
    std::size_t count = 0;
    for (std::size_t j = 0; j < placement.size(); ++j)
      for (const FleetSource& source : fleet_.tasks[j].sources)
        if (placement[j] && way_of(fleet_.cluster, source.node)->gateway == gateway) ++count;
    return count;
  }

  double later_run_s(std::size_t gateway, const Placement& closed, const std::vector<std::size_t>& open, double times) const {
    double longest_s = use_of(closed).longest_s[gateway];
    if (longest_s > 0) return times * longest_s;
    // Nothing runs there yet: parts of the longest that may.
    for (const std::size_t j : open)
      for (const FleetSource& source : fleet_.tasks[j].sources) {
        const auto way = way_of(fleet_.cluster, source.node);
        if (way->gateway != gateway) continue;
        const auto count = static_cast<std::uint32_t>(profiles_.of[fleet_.tasks[j].model][gateway]->blocks.size());
        longest_s = std::max(longest_s, run_ms(fleet_, profiles_, fleet_.tasks[j].model, gateway, 0, count) / kMsPerSecond);
      }
    return std::max(kNothing, times * longest_s / kLaterRuns[std::size(kLaterRuns) - 1]);
  }

  // Slices for what runs, with its cuts, and for the open tasks with any; nothing when they do not all fit. On site_.
  Result<std::optional<SiteSchedule>> solve(const Placement& placement, const std::vector<std::size_t>& open) const {
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t j = 0; j < placement.size(); ++j)
      if (placement[j] || std::find(open.begin(), open.end(), j) != open.end()) wanted.push_back(j);
    SiteSchedule solved;
    solved.grants.resize(placement.size());
    solved.multipliers = {std::vector<double>(site_.instance.servers.size()), std::vector<double>(site_.instance.servers.size())};
    if (wanted.empty()) return std::optional(std::move(solved));
    Instance chosen = select_tasks(site_.instance, wanted);
    for (std::size_t n = 0; n < wanted.size(); ++n) {
      const auto& cut = placement[wanted[n]];
      if (!cut) continue;
      schedule::TaskModel pinned = chosen.models[chosen.tasks[n].model];
      const std::uint32_t layers = *cut == 0 ? 0 : *cut + 1 - site_.first_blocks[wanted[n]];
      for (std::uint32_t k = 0; k < pinned.rest_gflop_per_mb.size(); ++k)
        if (k != layers) pinned.rest_gflop_per_mb[k] = kClosed;
      chosen.tasks[n].model = static_cast<std::uint32_t>(chosen.models.size());
      chosen.models.push_back(std::move(pinned));
    }
    TIDELINE_TRY(const schedule::QueueingReduction reduction, reduce_queueing(chosen, queueing()));
    if (reduction.tasks.size() < wanted.size()) return std::optional<SiteSchedule>();
    TIDELINE_TRY(const std::vector<std::uint32_t> layers, run_one(reduction.instance, options_));
    for (std::size_t n = 0; n < layers.size(); ++n) {
      if (layers[n] == 0) return std::optional<SiteSchedule>();
      solved.grants[wanted[n]] = reduction.choices[reduction.instance.tasks[n].model][layers[n] - 1];
    }
    return std::optional(std::move(solved));
  }

  Result<SiteSchedule> decide(const SiteInstance& site, bool with_bound) const {
    if (is_everywhere()) return decide_everywhere(site);
    switch (options_.model) {
      case FleetModelKind::kPaper: return decide_paper(site, with_bound);
      case FleetModelKind::kExtended: return decide_extended(site, with_bound);
      case FleetModelKind::kQueueing: break;
    }
    return decide_queueing(site, with_bound);
  }

  bool is_everywhere() const { return options_.policy == kAllEdge || options_.policy == kAllCloud; }

  // Every task is let in, whether it fits or not; what it takes on average is what it is said to have.
  SiteSchedule decide_everywhere(const SiteInstance& site) const {
    SiteSchedule decided;
    const std::vector<double> none(site.instance.servers.size());
    decided.multipliers = {none, none};
    for (const schedule::Task& task : site.instance.tasks) {
      const auto& layers = site.instance.model_of(task).layers;
      Grant grant{.admitted = true, .layers = static_cast<std::uint32_t>(layers.size())};
      if (options_.policy == kAllCloud) grant.layers = task.raw_stays ? 1 : 0;
      grant.mbit_s_per_mb = 8 * (grant.layers == 0 ? 1 : layers[grant.layers - 1].ratio);
      grant.gflop_s_per_mb = grant.layers == 0 ? 0 : layers[grant.layers - 1].gflop_per_mb;
      decided.choices.push_back({grant});
      decided.grants.push_back(grant);
    }
    return decided;
  }

  std::vector<std::int64_t> priorities(const std::vector<std::uint32_t>& tasks) const {
    std::vector<std::int64_t> all;
    for (const std::uint32_t j : tasks) all.push_back(fleet_.tasks[j].priority);
    return all;
  }

  std::vector<std::uint32_t> every_task() const {
    std::vector<std::uint32_t> all(fleet_.tasks.size());
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }

  schedule::Multipliers prices(const Instance& instance) const {
    return schedule::solve_dual(instance, schedule::CutTable(instance), {.threads = options_.threads, .cancel = options_.cancel})
        .multipliers;
  }

  Result<SiteSchedule> decide_paper(const SiteInstance& site, bool with_bound) const {
    const Instance& instance = site.instance;
    TIDELINE_TRY(const std::vector<std::uint32_t> layers, run_by_priority(instance, priorities(every_task()), options_));
    SiteSchedule decided;
    for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
      const schedule::Task& task = instance.tasks[j];
      std::vector<Grant>& choices = decided.choices.emplace_back();
      const auto& all = instance.model_of(task).layers;
      for (std::uint32_t k = 1; k <= all.size(); ++k)
        choices.push_back({.admitted = true,
                           .layers = k,
                           .mbit_s_per_mb = 8 * all[k - 1].ratio / task.latency_s,
                           .gflop_s_per_mb = all[k - 1].gflop_per_mb});
      decided.grants.push_back(layers[j] == 0 ? Grant{} : choices[layers[j] - 1]);
    }
    if (with_bound) {
      decided.multipliers = prices(instance);
      decided.upper_bound = schedule::bound_of(instance, decided.multipliers).upper_bound;
    }
    return decided;
  }

  Result<SiteSchedule> decide_extended(const SiteInstance& site, bool with_bound) const {
    const schedule::ExtendedOptions extended{.cloud_gflop_s = kMsPerSecond};
    TIDELINE_TRY(const schedule::Reduction reduction, reduce_extended(site.instance, extended));
    TIDELINE_TRY(const std::vector<std::uint32_t> layers,
                 run_by_priority(reduction.instance, priorities(every_task()), options_));
    SiteSchedule decided;
    for (std::size_t j = 0; j < layers.size(); ++j) {
      decided.choices.push_back(reduction.choices[reduction.instance.tasks[j].model]);
      decided.grants.push_back(layers[j] == 0 ? Grant{} : decided.choices.back()[layers[j] - 1]);
    }
    if (with_bound) {
      decided.multipliers = prices(reduction.instance);
      decided.upper_bound = bound_extended(site.instance, decided.multipliers, kMsPerSecond);
    }
    return decided;
  }

  schedule::QueueingOptions queueing() const {
    return {.arrivals = fleet_.periodic ? schedule::RequestArrivals::kPeriodic : schedule::RequestArrivals::kPoisson,
            .cloud_gflop_s = kMsPerSecond};
  }

  Result<SiteSchedule> decide_queueing(const SiteInstance& site, bool with_bound) const {
    TIDELINE_TRY(const schedule::QueueingReduction reduction, reduce_queueing(site.instance, queueing()));
    SiteSchedule decided;
    decided.grants.resize(site.instance.tasks.size());
    decided.choices.resize(site.instance.tasks.size());
    decided.multipliers = {std::vector<double>(site.instance.servers.size()), std::vector<double>(site.instance.servers.size())};
    if (reduction.tasks.empty()) return decided;
    TIDELINE_TRY(const std::vector<std::uint32_t> layers,
                 run_by_priority(reduction.instance, priorities(reduction.tasks), options_));
    for (std::size_t n = 0; n < layers.size(); ++n) {
      const std::uint32_t j = reduction.tasks[n];
      decided.choices[j] = reduction.choices[reduction.instance.tasks[n].model];
      if (layers[n] > 0) decided.grants[j] = decided.choices[j][layers[n] - 1];
    }
    if (with_bound) {
      decided.multipliers = prices(reduction.instance);
      decided.upper_bound = bound_queueing(site.instance, decided.multipliers, queueing());
    }
    return decided;
  }

  NodeUse use_of(const SiteInstance& site, const SiteSchedule& schedule) const {
    NodeUse use{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size())};
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      if (!schedule.grants[j].admitted) continue;
      add_use(use, fleet_.tasks[j], site.blocks_of(j, schedule.grants[j].layers));
    }
    return use;
  }

  void add_use(NodeUse& use, const FleetTask& task, std::uint32_t blocks) const {
    for (const FleetSource& source : task.sources) {
      const auto way = way_of(fleet_.cluster, source.node);
      const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
      const auto add = [&](std::size_t node, double run_s) {
        use.load[node] += task.rate_hz * source.share * run_s;
        use.longest_s[node] = std::max(use.longest_s[node], run_s);
      };
      add(way->gateway, run_ms(fleet_, profiles_, task.model, way->gateway, 0, blocks) / kMsPerSecond);
      add(way->cloud, run_ms(fleet_, profiles_, task.model, way->cloud, blocks, count) / kMsPerSecond);
    }
  }

  // Takes tasks from a schedule until no cloud is fuller than `load`: of the lowest priority first, of those the largest.
  void unload_clouds(const SiteInstance& site, SiteSchedule& schedule, double load) const {
    for (;;) {
      const NodeUse use = use_of(site, schedule);
      std::size_t full = fleet_.cluster.nodes.size();
      for (std::size_t node = 0; node < use.load.size(); ++node)
        if (fleet_.cluster.nodes[node].tier == Tier::kCloud && use.load[node] > load) full = node;
      if (full == fleet_.cluster.nodes.size()) return;
      double excess = use.load[full] - load;
      std::vector<std::pair<std::pair<std::int64_t, double>, std::size_t>> users;
      for (std::size_t j = 0; j < fleet_.tasks.size(); ++j)
        if (schedule.grants[j].admitted)
          if (const double own = cloud_load(site, schedule, j, full); own > 0)
            users.push_back({{fleet_.tasks[j].priority, -own}, j});
      std::sort(users.begin(), users.end());
      for (const auto& [order, j] : users) {
        if (excess <= 0) break;
        schedule.grants[j] = {};
        excess += order.second;
      }
    }
  }

  double cloud_load(const SiteInstance& site, const SiteSchedule& schedule, std::size_t j, std::size_t cloud) const {
    const FleetTask& task = fleet_.tasks[j];
    const std::uint32_t blocks = site.blocks_of(j, schedule.grants[j].layers);
    double load = 0;
    for (const FleetSource& source : task.sources) {
      const auto way = way_of(fleet_.cluster, source.node);
      if (way->cloud != cloud) continue;
      const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
      load += task.rate_hz * source.share * run_ms(fleet_, profiles_, task.model, cloud, blocks, count) / kMsPerSecond;
    }
    return load;
  }

  // Makes the plan again under limits on the runs of gateways, which everyone there may have to wait for, and under the waits of
  // a cloud at several loads, and keeps the best.
  Status keep_on_real_nodes() {
    const NodeUse first = use_of(site_, schedule_);
    const SiteSchedule relaxed = schedule_;
    std::vector<std::uint32_t> best;
    for (const double part : kRunParts) {
      SiteWaits waits{std::vector<double>(fleet_.cluster.nodes.size()), std::vector<double>(fleet_.cluster.nodes.size()), {}};
      for (std::size_t node = 0; node < fleet_.cluster.nodes.size(); ++node) {
        const Tier tier = fleet_.cluster.nodes[node].tier;
        if (tier == Tier::kEdge) waits.longest_run_s[node] = blocking(node, part * first.longest_s[node]);
        // What gateways may not run, the cloud must.
        if (tier == Tier::kCloud)
          waits.cloud_run_s[node] = std::max(kNothing, part < 1 ? whole_run_s(node) : first.longest_s[node]);
      }
      const double fullest = part < 1 ? kCloudLoads[std::size(kCloudLoads) - 1] : cloud_load_max(first);
      for (const double load : kCloudLoads) {
        if (load > kLoadMargin * fullest && !best.empty()) break;
        TIDELINE_CHECK_OK(try_waits(waits, load, relaxed, best));
        if (is_everything(best)) return {};
      }
    }
    return {};
  }

  // The same plan once more; it is kept when it admits more tasks of a higher priority than `best`, which then says so.
  Status try_waits(SiteWaits waits, double load, const SiteSchedule& relaxed, std::vector<std::uint32_t>& best) {
    const schedule::WaitTable table = schedule::WaitTable::poisson(schedule::QueueingOptions{}.late_share);
    for (const double run_s : waits.cloud_run_s) waits.cloud_wait_s.push_back(run_s * table.wait(load));
    TIDELINE_TRY(SiteInstance site, site_instance(fleet_, profiles_, waits));
    TIDELINE_TRY(SiteSchedule tried, decide(site, false));
    unload_clouds(site, tried, load);
    std::map<std::int64_t, std::uint32_t, std::greater<>> by_priority;
    for (std::size_t j = 0; j < tried.grants.size(); ++j)
      by_priority[fleet_.tasks[j].priority] += tried.grants[j].admitted ? 1 : 0;
    std::vector<std::uint32_t> counts;
    for (const auto& [priority, count] : by_priority) counts.push_back(count);
    if (!best.empty() && counts <= best) return {};
    best = counts;
    tried.multipliers = relaxed.multipliers;
    tried.upper_bound = relaxed.upper_bound;
    schedule_ = std::move(tried);
    site_ = std::move(site);
    waits_ = std::move(waits);
    return {};
  }

  bool is_everything(const std::vector<std::uint32_t>& counts) const {
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0}) == fleet_.tasks.size();
  }

  double cloud_load_max(const NodeUse& use) const {
    double fullest = 0;
    for (std::size_t node = 0; node < use.load.size(); ++node)
      if (fleet_.cluster.nodes[node].tier == Tier::kCloud) fullest = std::max(fullest, use.load[node]);
    return fullest;
  }

  // The longest that any task's whole model takes on a cloud.
  double whole_run_s(std::size_t cloud) const {
    double longest_s = 0;
    for (const FleetTask& task : fleet_.tasks)
      for (const FleetSource& source : task.sources) {
        const auto way = way_of(fleet_.cluster, source.node);
        if (way->cloud != cloud) continue;
        const auto count = static_cast<std::uint32_t>(profiles_.of[task.model][way->gateway]->blocks.size());
        longest_s = std::max(longest_s, run_ms(fleet_, profiles_, task.model, cloud, 0, count) / kMsPerSecond);
      }
    return longest_s;
  }

  // The longest run of another task that requests at a gateway may meet. One task alone meets none.
  double blocking(std::size_t gateway, double longest_s) const {
    std::size_t tasks = 0;
    double shortest_s = 0;  // of every model some first cut must stay possible
    for (const FleetTask& task : fleet_.tasks)
      for (const FleetSource& source : task.sources) {
        const auto way = way_of(fleet_.cluster, source.node);
        if (way->gateway != gateway) continue;
        ++tasks;
        const std::uint32_t kept = task.keep_on_source;
        shortest_s = std::max(shortest_s, run_ms(fleet_, profiles_, task.model, gateway, 0, kept) / kMsPerSecond);
      }
    if (tasks <= 1) return 0;
    return std::max({longest_s, shortest_s, kNothing});
  }

  std::string link_name(std::size_t link) const {
    const Link& each = fleet_.cluster.links[link];
    return fmt::format("{} -> {}", fleet_.cluster.nodes[static_cast<std::size_t>(each.from)].name,
                       fleet_.cluster.nodes[static_cast<std::size_t>(each.to)].name);
  }

  // Tasks of one group ask the same.
  Result<Millis> alone_once(const FleetTask& task, const FleetSource& source, std::uint32_t blocks) {
    const auto key = std::tuple(task.model, source.node, blocks);
    if (const auto known = alone_.find(key); known != alone_.end()) return known->second;
    TIDELINE_TRY(const Millis time, alone(fleet_, profiles_, task, source, blocks));
    return alone_[key] = time;
  }

  Result<FleetTaskPlan> admitted_task(std::size_t j, const schedule::WaitTable& table) {
    const FleetTask& task = fleet_.tasks[j];
    const Grant& grant = schedule_.grants[j];
    const schedule::Task& entry = site_.instance.tasks[j];
    FleetTaskPlan plan{.admitted = true, .blocks = site_.blocks_of(j, grant.layers)};
    for (const FleetSource& source : task.sources) {
      TIDELINE_TRY(const Way way, way_of(fleet_.cluster, source.node));
      const Profile& profile = *profiles_.of[task.model][way.gateway];
      plan.cut = cut_name(profile, plan.blocks);
      const double data = entry.rate_hz * static_cast<double>(profile.cuts.front().bytes) / 1e6;
      plan.shares.push_back({.gateway = way.gateway,
                             .uplink = way.uplink,
                             .mbit_s = grant.mbit_s_per_mb * data,
                             .cores = grant.gflop_s_per_mb * data / kMsPerSecond});
      const auto add_node = [&](std::size_t node) {
        if (std::find(plan.nodes.begin(), plan.nodes.end(), node) == plan.nodes.end()) plan.nodes.push_back(node);
      };
      if (plan.blocks > 0) add_node(way.gateway);
      if (plan.blocks < profile.blocks.size()) {
        add_node(way.cloud);
        plan.cloud_cores += cloud_load(site_, schedule_, j, way.cloud);
      }
      TIDELINE_TRY(const Millis time, alone_once(task, source, plan.blocks));
      plan.predicted = std::max(plan.predicted.value_or(Millis(0)), time);
    }
    if (options_.model == FleetModelKind::kQueueing && !is_everywhere())
      plan.bound = Millis(kMsPerSecond * times_of(site_.instance, entry, grant, kMsPerSecond, table).bound_s());
    return plan;
  }

  FleetTaskPlan refused_task(std::size_t j) const {
    FleetTaskPlan plan;
    const FleetTask& task = fleet_.tasks[j];
    const auto way = way_of(fleet_.cluster, task.sources.front().node);
    if (schedule_.choices[j].empty()) {
      plan.why = fmt::format(
          "its deadline of {} is too short beside the others: {} of it go for round trips, the way from its source and what it "
          "may "
          "meet on {}, and in {} a request may wait {}",
          format_millis(task.deadline), format_millis(Millis(kMsPerSecond * site_.instance.tasks[j].fixed_s)),
          fleet_.cluster.nodes[way->gateway].name, fleet_.cluster.nodes[way->cloud].name,
          format_millis(Millis(kMsPerSecond * (waits_.cloud_wait_s.empty() ? 0 : waits_.cloud_wait_s[way->cloud]))));
      return plan;
    }
    const Shortage shortage = shortage_of(fleet_, site_, schedule_, j);
    plan.needs = shortage.needs;
    plan.why = shortage.needs.empty()
                   ? fmt::format("no room that policy '{}' found beside the others, in {} either", options_.policy,
                                 fleet_.cluster.nodes[way->cloud].name)
                   : why_refused(shortage.needs, cut_name(*profiles_.of[task.model][way->gateway], shortage.blocks));
    return plan;
  }

  Result<FleetPlan> report() {
    FleetPlan plan{.policy = options_.policy, .model = options_.model};
    if (!is_everywhere()) plan.upper_bound = std::min(schedule_.upper_bound, static_cast<double>(fleet_.tasks.size()));
    plan.waits = waits_;
    const schedule::WaitTable table = schedule::waits_of(queueing());
    std::vector<double> mbit_s(site_.gateways.size()), cores(site_.gateways.size());
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      if (!schedule_.grants[j].admitted) {
        plan.tasks.push_back(refused_task(j));
        continue;
      }
      TIDELINE_TRY(FleetTaskPlan task, admitted_task(j, table));
      for (const FleetShare& share : task.shares) {
        const auto i = static_cast<std::size_t>(std::find(site_.gateways.begin(), site_.gateways.end(), share.gateway) -
                                                site_.gateways.begin());
        mbit_s[i] += share.mbit_s;
        cores[i] += share.cores;
      }
      plan.tasks.push_back(std::move(task));
    }
    for (std::size_t i = 0; i < site_.gateways.size(); ++i) {
      const double bandwidth = site_.instance.servers[i].bandwidth_mbit_s;
      plan.resources.push_back({true, site_.uplinks[i], link_name(site_.uplinks[i]), bandwidth, mbit_s[i],
                                schedule_.multipliers.bandwidth[i] / bandwidth});
      plan.resources.push_back({false, site_.gateways[i], fleet_.cluster.nodes[site_.gateways[i]].name, 1, cores[i],
                                schedule_.multipliers.compute[i]});
    }
    const NodeUse use = use_of(site_, schedule_);
    for (std::size_t node = 0; node < use.load.size(); ++node)
      if (fleet_.cluster.nodes[node].tier == Tier::kCloud && use.load[node] > 0)
        plan.resources.push_back({false, node, fleet_.cluster.nodes[node].name, 1, use.load[node], 0});
    return plan;
  }

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
  const FleetPlanOptions& options_;
  SiteInstance site_;
  SiteSchedule schedule_;
  SiteWaits waits_;
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t>, Millis> alone_;
};

}  // namespace

std::uint32_t FleetPlan::admitted() const {
  return static_cast<std::uint32_t>(std::count_if(tasks.begin(), tasks.end(), [](const FleetTaskPlan& t) { return t.admitted; }));
}

Placement placement_of(const FleetPlan& plan) {
  Placement placement;
  for (const FleetTaskPlan& task : plan.tasks) placement.push_back(task.admitted ? std::optional(task.blocks) : std::nullopt);
  return placement;
}

Result<std::optional<FleetPlan>> plan_as(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                         const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).plan_as(placement);
}

Result<std::optional<Placement>> place(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                       const std::vector<std::size_t>& open, const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).place(placement, open);
}

Result<FleetPlan> plan_fleet(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options) {
  return Planning(fleet, profiles, options).plan();
}

}  // namespace tideline::fleet
