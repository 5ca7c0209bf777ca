#include "fleet/readmit.h"

#include <algorithm>
#include <set>

namespace tideline::fleet {
namespace {

// Others that are tried one by one before several are moved at once: each costs a few runs of the policy.
constexpr std::size_t kMovesTried = 8;

// The nodes that a task may use.
std::set<std::size_t> nodes_of(const Fleet& fleet, const FleetTask& task) {
  std::set<std::size_t> nodes;
  for (const FleetSource& source : task.sources)
    if (const auto way = way_of(fleet.cluster, source.node)) nodes.insert({way->gateway, way->cloud});
  return nodes;
}

// Tasks that run and share a node with `task`, those that have the most first.
std::vector<std::size_t> neighbours(const Fleet& fleet, const FleetPlan& plan, std::size_t task) {
  const std::set<std::size_t> own = nodes_of(fleet, fleet.tasks[task]);
  std::vector<std::pair<double, std::size_t>> sizes;
  for (std::size_t j = 0; j < fleet.tasks.size(); ++j) {
    if (j == task || !plan.tasks[j].admitted) continue;
    double size = plan.tasks[j].cloud_cores;
    bool is_near = false;
    for (const FleetShare& share : plan.tasks[j].shares) {
      size += share.cores + share.mbit_s * 1e6 / 8 / fleet.cluster.links[share.uplink].bytes_per_s;
      is_near = is_near || own.contains(share.gateway);
    }
    // At the gateway first: in the cloud all are neighbours.
    if (is_near) sizes.push_back({-size, j});
  }
  std::sort(sizes.begin(), sizes.end());
  std::vector<std::size_t> all;
  for (const auto& [size, j] : sizes) all.push_back(j);
  return all;
}

class Readmitting {
 public:
  Readmitting(const Fleet& fleet, const FleetProfiles& profiles, const Placement& before, std::size_t task,
              const FleetPlanOptions& options)
      : fleet_(fleet), profiles_(profiles), before_(before), task_(task), options_(options) {}

  Result<Readmission> run(const ReadmitLimits& limits) {
    TIDELINE_CHECK_OK(check_alone());
    TIDELINE_TRY(auto now, plan_as(fleet_, profiles_, before_, options_));
    if (!now) return refused("what runs already does not fit together any more");
    const std::vector<std::size_t> near = neighbours(fleet_, *now, task_);
    TIDELINE_TRY(auto found, with_moves(before_, near, limits.moves));
    if (found) return std::move(*found);
    Placement fewer = before_;
    std::vector<std::size_t> evicted;
    for (const std::size_t j : less_important(near)) {
      if (evicted.size() >= limits.evictions) break;
      fewer[j].reset();
      evicted.push_back(j);
      TIDELINE_TRY(found, with_moves(fewer, {}, 0));
      if (found) return std::move(*found);
    }
    Readmission refusal = refused(now->tasks[task_].why);
    refusal.plan = std::move(now);
    return refusal;
  }

 private:
  Readmission refused(std::string why) const {
    return {.admitted = false, .placement = before_, .plan = {}, .moved = {}, .evicted = {}, .why = std::move(why)};
  }

  Status check_alone() const {
    Fleet alone = fleet_;
    alone.tasks = {fleet_.tasks[task_]};
    TIDELINE_CHECK_OK(check_profiles(alone, profiles_));
    const auto site = site_instance(alone, profiles_);
    return site ? Status() : Status(site.error());
  }

  std::vector<std::size_t> less_important(std::vector<std::size_t> near) const {
    std::erase_if(near, [&](std::size_t j) { return fleet_.tasks[j].priority >= fleet_.tasks[task_].priority; });
    std::stable_sort(near.begin(), near.end(),
                     [&](std::size_t a, std::size_t b) { return fleet_.tasks[a].priority < fleet_.tasks[b].priority; });
    return near;
  }

  Result<std::optional<Readmission>> with_moves(const Placement& kept, const std::vector<std::size_t>& near,
                                                std::uint32_t moves) const {
    TIDELINE_TRY(auto found, try_open(kept, {task_}));
    if (found || moves == 0) return found;
    for (std::size_t n = 0; n < std::min(near.size(), kMovesTried); ++n) {
      TIDELINE_TRY(found, try_open(kept, {task_, near[n]}));
      if (found) return found;
    }
    std::vector<std::size_t> open{task_};
    for (std::size_t n = 0; n < std::min<std::size_t>(near.size(), moves); ++n) {
      open.push_back(near[n]);
      if (n == 0) continue;
      TIDELINE_TRY(found, try_open(kept, open));
      if (found) return found;
    }
    return std::optional<Readmission>();
  }

  Result<std::optional<Readmission>> try_open(const Placement& kept, const std::vector<std::size_t>& open) const {
    TIDELINE_TRY(auto placed, place(fleet_, profiles_, kept, open, options_));
    if (!placed) return std::optional<Readmission>();
    TIDELINE_TRY(auto plan, plan_as(fleet_, profiles_, *placed, options_));
    if (!plan) return std::optional<Readmission>();
    Readmission in{
        .admitted = true, .placement = std::move(*placed), .plan = std::move(plan), .moved = {}, .evicted = {}, .why = ""};
    for (std::size_t j = 0; j < before_.size(); ++j) {
      if (j == task_ || in.placement[j] == before_[j]) continue;
      (in.placement[j] ? in.moved : in.evicted).push_back(j);
    }
    return std::optional(std::move(in));
  }

  const Fleet& fleet_;
  const FleetProfiles& profiles_;
  const Placement& before_;
  const std::size_t task_;
  const FleetPlanOptions& options_;
};

}  // namespace

Result<Readmission> readmit(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement, std::size_t task,
                            const ReadmitLimits& limits, const FleetPlanOptions& options) {
  return Readmitting(fleet, profiles, placement, task, options).run(limits);
}

}  // namespace tideline::fleet
