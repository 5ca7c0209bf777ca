// A schedule of a site told as the plan of its fleet: names, cuts, shares, predictions and bounds, and why the others were
// refused.
#pragma once

#include "fleet/plan_fleet.h"
#include "fleet/site.h"

namespace tideline::fleet {

// `site` was made with `waits`, and `schedule` is of it. Pure; thread-safe. Errors of alone().
Result<FleetPlan> plan_report(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options,
                              const SiteInstance& site, const SiteSchedule& schedule, const SiteWaits& waits);

}  // namespace tideline::fleet
