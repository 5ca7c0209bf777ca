// Every subcommand, in the order in which --help shows them.
#pragma once

#include "command.h"

namespace tideline::app {

// One line per file cmd_NAME.cpp; main.cpp calls them in this order.
void add_inspect_command(CLI::App& app, Context& context);
void add_zoo_command(CLI::App& app, Context& context);
void add_schedule_command(CLI::App& app, Context& context);
void add_reproduce_command(CLI::App& app, Context& context);
void add_simulate_command(CLI::App& app, Context& context);
void add_fleet_command(CLI::App& app, Context& context);
void add_plan_command(CLI::App& app, Context& context);
void add_sweep_command(CLI::App& app, Context& context);
void add_profile_command(CLI::App& app, Context& context);
void add_calibrate_command(CLI::App& app, Context& context);
void add_codec_command(CLI::App& app, Context& context);
void add_config_command(CLI::App& app, Context& context);
void add_evaluate_command(CLI::App& app, Context& context);
void add_train_command(CLI::App& app, Context& context);
void add_run_command(CLI::App& app, Context& context);
void add_local_command(CLI::App& app, Context& context);
void add_node_command(CLI::App& app, Context& context);
void add_completion_command(CLI::App& app, Context& context);

}  // namespace tideline::app
