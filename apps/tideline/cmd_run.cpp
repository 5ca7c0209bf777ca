// tideline run: one model over a cluster that is up.
#include <fmt/format.h>

#include "commands.h"
#include "model_options.h"
#include "run_report.h"
#include "session/source.h"

namespace tideline::app {
namespace {

Status run(const RunArguments& arguments, Context& context) {
  TIDELINE_TRY(Cluster cluster, read_cluster(arguments.cluster));
  TIDELINE_TRY(const RunSettings settings, settings_of(arguments));
  TIDELINE_TRY(LoadedModel loaded, load_model(arguments.inputs.model, StepBar(context).control()));
  note_made_up(context, loaded.made_up_inputs);
  PlanChoice choice = arguments.choice;
  choice.with_candidates = is_prose(context);
  TIDELINE_TRY(const ChosenPlan chosen, choose_plan(choice, arguments.inputs, loaded, cluster, StepBar(context).control()));
  print_choice(context, cluster, chosen);
  const auto transport = make_tcp_transport({});
  TIDELINE_TRY(const RunReport report, run_requests(settings, arguments.inputs.model.input, loaded, cluster, *transport, chosen,
                                                    StepBar(context).control()));
  return finish_run(context, arguments, report, chosen, cluster, "");
}

}  // namespace

void add_run_command(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("run", "Run a model over a cluster whose nodes are up, and say where the time went");
  const auto arguments = std::make_shared<RunArguments>();
  add_model_options(*command, arguments->inputs.model);
  command->add_option("--cluster", arguments->cluster, "The cluster file (docs/formats/cluster.md)")
      ->required()
      ->type_name("FILE");
  add_run_options(*command, *arguments);
  add_output_option(*command, context, true);
  command->footer(
      "Start `tideline node --name NAME --listen HOST:PORT` on each host of the cluster file first, or use `tideline local "
      "run`.\n"
      "Examples:\n"
      "  tideline run det.onnx --config det.yaml --cluster cluster.yaml --input photo.jpg --verify\n"
      "  tideline run resnet50.onnx --cluster cluster.yaml --profile resnet50.profile.json -n 100 -o json\n"
      "  tideline run det.onnx --config det.yaml --cluster cluster.yaml --input photos/ --plan best.plan.json\n"
      "  tideline run branchy.onnx --config branchy.yaml --cluster cluster.yaml --exit exit1   (the best plan for that exit)");
  on_run(*command, context, [arguments, &context] { return run(*arguments, context); });
}

}  // namespace tideline::app
