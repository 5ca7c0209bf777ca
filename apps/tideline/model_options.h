// The command-line options of the session library's arguments: a model and its input, profiles, how to choose a plan, what to
// run. Shared by inspect, profile, plan, sweep, run and local run.
//
//   const auto arguments = std::make_shared<ModelArguments>();
//   add_model_options(*command, *arguments);
//   ...
//   TIDELINE_TRY(const LoadedModel loaded, load_model(*arguments, StepBar(context).control()));
#pragma once

#include <string>

#include "command.h"
#include "session/choose.h"
#include "session/load.h"
#include "session/plan_inputs.h"
#include "session/run.h"

namespace tideline::app {

// MODEL, --config, --shape, --cut-width, --input and --threads.
void add_model_options(CLI::App& command, ModelArguments& arguments);
// One line on standard error for inputs that nobody gave (LoadedModel::made_up_inputs), unless there are none.
void note_made_up(const Context& context, const std::vector<std::string>& inputs);
// --profile, --profile-out, --profile-time.
void add_profile_options(CLI::App& command, PlanInputArguments& arguments);

// What an option that takes codecs may be given: those, and the names of codecs().
std::vector<std::string> codec_names(std::vector<std::string> before);

// --result-to.
void add_result_option(CLI::App& command, std::string& result_to);

struct RunArguments {
  PlanInputArguments inputs;  // the model, its input, and profiles
  std::string cluster;
  PlanChoice choice;
  RunSettings settings{.requests = 0};  // 0: not given
  std::string timeout = "30s";
  std::string duration;
  std::string drop = "none";
  double tolerance = -1;       // negative: not given
  std::string corrected_plan;  // where the plan goes that the measured times would have given
};
// The options of `run` that are not the model's.
void add_run_options(CLI::App& command, RunArguments& arguments);
// The settings with what is text on the command line.
Result<RunSettings> settings_of(const RunArguments& arguments);

}  // namespace tideline::app
