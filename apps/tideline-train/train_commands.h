// The subcommands of tideline-train.
#pragma once

#include "../tideline/command.h"

namespace tideline::app {

void add_run_training_command(CLI::App& app, Context& context);
void add_worker_command(CLI::App& app, Context& context);

}  // namespace tideline::app
