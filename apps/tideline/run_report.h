// What `run` and `local run` print: the plan, then latency over all requests, and each node and hop, predicted beside measured.
#pragma once

#include <string>

#include "command.h"
#include "model_options.h"
#include "session/advice.h"
#include "session/run.h"

namespace tideline::app {

// The plan and its candidates on a table (nothing with -o json, or when there is nothing to predict from), and notes.
void print_choice(const Context& context, const Cluster& cluster, const ChosenPlan& chosen);

// After a run: what it says about its prediction, everything on standard output, the corrected plan where it was asked for, and
// the exit code: kExitThresholdMissed when --verify found a difference, that of the error when it ended early. `cluster` is the
// one that was planned for; `emulation` says how the links were made, empty for real ones.
Status finish_run(Context& context, const RunArguments& arguments, const RunReport& report, const ChosenPlan& chosen,
                  const Cluster& cluster, const std::string& emulation);

}  // namespace tideline::app
