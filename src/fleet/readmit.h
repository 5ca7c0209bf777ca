// Tasks that come while others run: what runs keeps its cut, but for a few that may be moved, or put off for a more important
// one.
//
// Every answer is a placement whose plan holds in the queueing model (plan_as()): nobody is let in on a guess. The search is not
// exhaustive: first the task alone is placed, wherever it may be cut; then with others that share a gateway or a cloud with it,
// the largest first, cut anew with it; then in place of tasks of a lower priority. So a refusal says that none of these was
// found.
//
// Pure functions; thread-safe.
//
//   TIDELINE_TRY(const Readmission in, readmit(fleet, profiles, placement, task, {.moves = 2}, options));
//   if (in.admitted) apply(in.plan);
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "fleet/plan_fleet.h"

namespace tideline::fleet {

struct ReadmitLimits {
  std::uint32_t moves = 0;      // other tasks that may be cut anew
  std::uint32_t evictions = 0;  // tasks of a lower priority that may be put off
};

struct Readmission {
  bool admitted = false;
  Placement placement;               // as before, when it was refused
  std::optional<FleetPlan> plan;     // of the placement
  std::vector<std::size_t> moved;    // other tasks
  std::vector<std::size_t> evicted;  // the same
  std::string why;                   // it was refused
};

// REQUIRES: `placement` fits (plan_as()), and `task` is not in it. kInfeasible and the like, as of site_instance(), for a task
// that could not even run alone.
Result<Readmission> readmit(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement, std::size_t task,
                            const ReadmitLimits& limits, const FleetPlanOptions& options);

}  // namespace tideline::fleet
