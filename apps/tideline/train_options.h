// What `tideline train` and `tideline-train run` take: one command line, so that the first can hand it to the second as it is.
#pragma once

#include <string>
#include <vector>

#include "command.h"

namespace tideline::app {

struct TrainArguments {
  std::string job;
  std::string out = "trained";
  bool resume = false;
};

void add_train_options(CLI::App& command, TrainArguments& arguments, Context& context);
void add_local_train_command(CLI::App& local, Context& context);

}  // namespace tideline::app
