// Runs a planned fleet on nodes that are up: loads the models, deploys each admitted task, starts its sources at their rates and
// reports what became of every request.
//
// A request of a task carries the task's deadline to every node, which runs the earliest first; it may be answered late (by up
// to kGrace) and is then counted so. Sources of one fleet do not start in step. Costs: a thread for each request that may be
// under way, a connection of its own for each task and source.
//
//   TIDELINE_TRY(const FleetRun run, run_fleet(fleet, plan, local->cluster(), *transport, {.duration = Millis(60'000)},
//   control));
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/client.h"
#include "fleet/fleet.h"
#include "fleet/plan_fleet.h"
#include "fleet/run/task_log.h"
#include "session/control.h"
#include "session/load.h"
#include "transport/transport.h"

namespace tideline::fleet {

// Everything that takes time takes `factor` times as long: rates and bandwidths are divided by it, deadlines, round trips and
// slowdowns multiplied. For machines that are too small for the fleet as it is. REQUIRES: factor >= 1.
Fleet stretched(Fleet fleet, double factor);

struct FleetRunSettings {
  Millis duration{60'000};  // of the sources, by the clock
  bool verify = false;      // hold every answer against the unsplit model, run in this process
  bool shares = true;       // nodes keep what the plan reserves, in the queueing model; otherwise all go by their deadlines
  std::map<std::string, double> overdrive;  // tasks that send so many times as often as they have said
};

struct FleetTaskRun {
  TaskFigures figures;        // of tasks that were refused: nothing
  bool verified = false;      // every answer is the unsplit model's, and there is at least one
  std::string first_failure;  // of a request that was not answered
};

// What requests really took of a link or a node, over the time that sources ran.
struct FleetUse {
  double mbit_s = 0;  // of links: upwards
  double cores = 0;   // of nodes: engines busy
};

struct FleetRun {
  std::vector<FleetTaskRun> tasks;  // one per task of the fleet
  std::vector<FleetUse> resources;  // one per resource of the plan
  std::uint32_t on_time = 0;        // admitted tasks with at most one request in a hundred late or dropped
  double seconds = 0;
};

// The models of a fleet, loaded and cut as their profiles are. kInvalidArgument names a model whose profiles are of another file,
// configuration or cut.
Result<std::vector<LoadedModel>> load_models(const Fleet& fleet, const FleetProfiles& profiles, const Control& control);

// `cluster`: the fleet's, with the addresses to use. kDisconnected and the like name a node that does not answer while tasks are
// deployed; later failures are counted with their tasks.
Result<FleetRun> run_fleet(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan,
                           const std::vector<LoadedModel>& models, const Cluster& cluster, Transport& transport,
                           const FleetRunSettings& settings, const Control& control);

}  // namespace tideline::fleet
