#include "fleet/run/simulate_run.h"

#include <algorithm>

#include "cost/cost.h"
#include "fleet/run/task_source.h"
#include "fleet/site.h"
#include "sim/site_queues.h"

namespace tideline::fleet {
namespace {

// The steps of one request: computing and calls on the way up, the answers on the way back.
Result<std::vector<sim::SiteStep>> steps_of(const Fleet& fleet, const FleetProfiles& profiles, const FleetTask& task,
                                            const FleetSource& source, std::uint32_t blocks) {
  TIDELINE_TRY(const Estimate alone, estimate_alone(fleet, profiles, task, source, blocks));
  const std::size_t links = fleet.cluster.links.size();
  std::vector<sim::SiteStep> steps;
  for (const StageEstimate& stage : alone.stages) {
    if (stage.has_segment)
      steps.push_back({.where = node_index(fleet.cluster, stage.node), .amount = stage.compute.count() / 1e3});
    for (const HopEstimate& hop : alone.hops)
      if (hop.at == stage.at)
        steps.push_back(
            {.is_link = true, .where = hop.link, .amount = static_cast<double>(hop.bytes), .then_s = hop.rtt.count() / 2e3});
  }
  for (auto hop = alone.hops.rbegin(); hop != alone.hops.rend(); ++hop)
    steps.push_back({.is_link = true,
                     .where = links + hop->link,
                     .amount = static_cast<double>(hop->result_bytes),
                     .then_s = hop->rtt.count() / 2e3});
  return steps;
}

sim::SiteDrop drop_of(const FleetTask& task) {
  return task.drop == "oldest" ? sim::SiteDrop::kOldest : task.drop == "newest" ? sim::SiteDrop::kNewest : sim::SiteDrop::kNone;
}

}  // namespace

Result<std::vector<TaskFigures>> simulate_run(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan,
                                              const FleetRunSettings& settings, const CancelToken& cancel) {
  sim::SiteQueues site{.engines = fleet.cluster.nodes.size(),
                       .link_bytes_per_s = {},
                       .streams = {},
                       .duration_s = settings.duration.count() / 1e3,
                       .cancel = cancel};
  for (const Link& link : fleet.cluster.links) site.link_bytes_per_s.push_back(link.bytes_per_s);
  for (const Link& link : fleet.cluster.links) site.link_bytes_per_s.push_back(link.back_bytes_per_s);
  std::vector<std::size_t> task_of;
  for (std::size_t j = 0; j < fleet.tasks.size(); ++j) {
    if (!plan.tasks[j].admitted) continue;
    const FleetTask& task = fleet.tasks[j];
    const auto times = settings.overdrive.find(task.name);
    for (std::size_t i = 0; i < task.sources.size(); ++i) {
      const SourcePace pace = pace_of(task, i,
                                      {.number = task_of.size(),
                                       .duration = std::chrono::duration_cast<Nanos>(settings.duration),
                                       .times_rate = times == settings.overdrive.end() ? 1 : times->second});
      sim::SiteStream stream{.first_s = pace.late_start.count() / 1e3,
                             .gap_s = 1 / pace.rate_hz,
                             .deadline_s = task.deadline.count() / 1e3,
                             .in_flight = pace.in_flight,
                             .drop = drop_of(task)};
      TIDELINE_TRY(stream.steps, steps_of(fleet, profiles, task, task.sources[i], plan.tasks[j].blocks));
      site.streams.push_back(std::move(stream));
      task_of.push_back(j);
    }
  }
  TIDELINE_TRY(const auto seen, sim::simulate_site(site));
  std::vector<TaskFigures> figures(fleet.tasks.size());
  for (std::size_t j = 0; j < fleet.tasks.size(); ++j) {
    TaskLog log(fleet.tasks[j].deadline);
    for (std::size_t s = 0; s < seen.size(); ++s) {
      if (task_of[s] != j) continue;
      for (const double latency : seen[s].latency_s) log.answered(Millis(1e3 * latency));
      log.dropped(seen[s].dropped);
    }
    figures[j] = log.figures();
  }
  return figures;
}

}  // namespace tideline::fleet
