// What `tideline train` and `tideline-train run` take: one command line, so that the first can hand it to the second as it is.
#pragma once

#include <string>
#include <vector>

#include "command.h"

namespace tideline::app {

struct TrainArguments {
  std::string job;
  std::string out = "trained";
  std::string cluster;  // whose nodes the workers run on; empty: this machine
  // Of `tideline local train`: what is emulated on this machine.
  std::string emulate;  // a cluster file
  std::string bandwidth, bandwidth_back, rtt;
  double slowdown = 1;
  bool is_emulated() const {
    return !emulate.empty() || !bandwidth.empty() || !bandwidth_back.empty() || !rtt.empty() || slowdown != 1;
  }
  bool resume = false;
};

void add_train_options(CLI::App& command, TrainArguments& arguments, Context& context);
// Of `tideline train` and `tideline-train run`: where the workers are.
void add_cluster_option(CLI::App& command, TrainArguments& arguments);
// Of `tideline local train` and, under other names, `tideline-train run`: what is emulated.
void add_emulation_options(CLI::App& command, TrainArguments& arguments);
// The path of tideline-train, beside this program. kUnsupported, saying how to get it, when it is not there.
Result<std::string> training_program();
void add_local_train_command(CLI::App& local, Context& context);

}  // namespace tideline::app
