#include "train_options.h"

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

}  // namespace tideline::app
