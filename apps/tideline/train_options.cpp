#include "train_options.h"

#include <filesystem>

#include <unistd.h>

#include "base/limits.h"

namespace tideline::app {

void add_train_options(CLI::App& command, TrainArguments& arguments, Context& context) {
  command.add_option("job", arguments.job, "What to train, on which data, by whom and how (docs/formats/job.md)")
      ->type_name("JOB");
  command
      .add_option(
          "--out", arguments.out,
          "Folder for trained.onnx, report.json, rounds.csv and the figures accuracy-rounds.svg, -bytes.svg, -seconds.svg")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_flag("--resume", arguments.resume, "Go on from the checkpoint in the job's folder");
  add_output_option(command, context, true);
}

Result<std::string> training_program() {
  std::error_code unresolved;
  const std::filesystem::path self = std::filesystem::canonical("/proc/self/exe", unresolved);
  std::string program = (self.parent_path() / "tideline-train").string();
  if (unresolved || ::access(program.c_str(), X_OK) != 0)
    return Error{ErrorCode::kUnsupported,
                 "this installation does not train: there is no tideline-train beside tideline; build it with "
                 "-DTIDELINE_TRAIN=ON, which needs libtorch"};
  return program;
}

void add_cluster_option(CLI::App& command, TrainArguments& arguments) {
  command
      .add_option(
          "--cluster", arguments.cluster,
          "Cluster file: the workers run on its nodes, which `tideline node --train DIR` serves (default: on this machine)")
      ->type_name("FILE");
}

void add_emulation_options(CLI::App& command, TrainArguments& arguments) {
  command
      .add_option(
          "--emulate", arguments.emulate,
          "Cluster file: workers are where its nodes are, behind links as wide and long as its routes from the source, and as "
          "slow; nothing needs to run there")
      ->type_name("FILE");
  command.add_option("--bandwidth", arguments.bandwidth, "Of every worker's own link from the coordinator, e.g. 20Mbit/s")
      ->type_name("RATE")
      ->excludes("--emulate");
  command.add_option("--bandwidth-back", arguments.bandwidth_back, "... and back (default: the same)")
      ->type_name("RATE")
      ->excludes("--emulate");
  command.add_option("--rtt", arguments.rtt, "Round-trip time that every worker's link adds, e.g. 10ms")
      ->type_name("TIME")
      ->excludes("--emulate");
  command.add_option("--slowdown", arguments.slowdown, "Workers compute so many times as slowly")
      ->check(CLI::Range(1.0, limits::kNodeSlowdownMax))
      ->excludes("--emulate");
}

}  // namespace tideline::app
