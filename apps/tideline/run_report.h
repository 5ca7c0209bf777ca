// What `run` and `local run` print: the plan, then latency over all requests, and each node and hop, predicted beside measured.
#pragma once

#include <string>

#include "command.h"
#include "session/run.h"

namespace tideline::app {

// The plan and its candidates on a table (nothing with -o json, or when there is nothing to predict from), and notes.
void print_choice(const Context& context, const Cluster& cluster, const ChosenPlan& chosen);

// Notes on standard error: hosts that are not what their profile says, and the plan that would be better for it.
void print_advice(const Context& context, const RunReport& report, const ChosenPlan& chosen, const Cluster& cluster);
// `emulation` says how the links were made; empty for real ones.
void print_run(const Context& context, const RunReport& report, const std::string& emulation);

// Exit code of a finished run: kExitThresholdMissed when --verify found a difference.
int exit_code_of(const RunReport& report);

}  // namespace tideline::app
