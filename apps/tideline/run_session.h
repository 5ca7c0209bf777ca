// What `run` and `local run` share: deploy a plan on a cluster that is up, send requests through it, compare with the unsplit
// model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "model_options.h"
#include "plan_inputs.h"
#include "run_report.h"
#include "transport/transport.h"

namespace tideline::app {

struct RunArguments {
  PlanInputArguments inputs;  // the model, its input, and profiles
  std::string cluster;
  std::string plan;  // a *.plan.json; empty: plan now
  std::string planner = "auto";
  std::vector<std::uint32_t> cuts;  // place by hand: the first block of each next node
  bool split = false;               // the best plan over two nodes or more, even when a native one would win
  std::uint32_t requests = 20;
  std::uint32_t warmup = 3;
  std::string timeout = "30s";
  bool verify = false;
  std::string save_output;  // folder for the last request's outputs as .npy
};

// The options of `run` that are not the model's.
void add_run_options(CLI::App& command, RunArguments& arguments);

struct ChosenPlan {
  Plan plan;
  std::optional<Estimate> estimate;  // absent when there is no profile to predict from
};

// --plan or --cuts, otherwise what `tideline plan` answers. Prints the plan and its candidates, unless the output is JSON.
Result<ChosenPlan> choose_plan(Context& context, const RunArguments& arguments, const LoadedModel& loaded,
                               const Cluster& cluster);

// `cluster` has the addresses to use.
Result<RunReport> run_requests(Context& context, const RunArguments& arguments, LoadedModel& loaded, const Cluster& cluster,
                               Transport& transport, const ChosenPlan& chosen);

// Exit code of a finished run: kExitThresholdMissed when --verify found a difference.
int exit_code_of(const RunReport& report);

}  // namespace tideline::app
