// What a run of a planned fleet should show, by simulation: the same sources at the same phases and rates, the times of the
// profiles on the nodes and the bytes of the plan on the links, engines and links as sim/site_queues.h has them.
//
// Left out: what the programs themselves take (a few tenths of a millisecond for each hop), and shares, which change nothing as
// long as every task keeps to its rate: within its share a request goes by its deadline. Tasks that are let run faster
// (`overdrive`) are therefore simulated as if nodes kept no shares. Pure function; thread-safe.
#pragma once

#include <vector>

#include "base/result.h"
#include "fleet/fleet.h"
#include "fleet/plan_fleet.h"
#include "fleet/run/run_fleet.h"
#include "fleet/run/task_log.h"

namespace tideline::fleet {

// One per task of the fleet; of tasks that were refused: nothing. `settings`: as the run had them. Errors of estimate() and
// sim::simulate_site().
Result<std::vector<TaskFigures>> simulate_run(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan,
                                              const FleetRunSettings& settings, const CancelToken& cancel);

}  // namespace tideline::fleet
