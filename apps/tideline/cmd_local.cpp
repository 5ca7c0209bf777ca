// tideline local: a whole cluster on this machine.
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/units.h"
#include "commands.h"
#include "fleet_print.h"
#include "local/local_cluster.h"
#include "model_options.h"
#include "platform/files.h"
#include "platform/temp_folder.h"
#include "run_report.h"
#include "session/source.h"
#include "train_options.h"

namespace tideline::app {
namespace {

struct LocalArguments {
  RunArguments run;
  std::string cluster;
  std::string store;
  std::string logs;
  std::string out;
  std::string links = "auto";
  std::string reach = "all";
};

LinkEmulation emulation_of(const std::string& name) {
  if (name == "namespaces") return LinkEmulation::kNamespaces;
  if (name == "transport") return LinkEmulation::kTransport;
  if (name == "none") return LinkEmulation::kNone;
  return LinkEmulation::kAuto;
}

std::string describe(LinkEmulation emulation) {
  switch (emulation) {
    case LinkEmulation::kNamespaces: return "network namespaces; bandwidth by tbf, round-trip time by the transport";
    case LinkEmulation::kTransport: return "loopback; bandwidth and round-trip time by the transport";
    default: return "loopback, unshaped";
  }
}

Result<std::unique_ptr<LocalCluster>> start(const LocalArguments& arguments, const Cluster& cluster, const Context& context,
                                            const TempFolder& scratch) {
  LocalOptions options;
  options.emulation = emulation_of(arguments.links);
  options.reach_all = arguments.reach == "all";
  options.store_folder = arguments.store.empty() ? scratch.path() + "/segments" : arguments.store;
  options.log_folder = arguments.logs.empty() ? scratch.path() + "/logs" : arguments.logs;
  TIDELINE_TRY(auto local, LocalCluster::start(cluster, options, context.interrupted));
  if (!context.quiet) fmt::print(stderr, "{} nodes are up ({})\n", cluster.nodes.size(), describe(local->emulation()));
  return local;
}

// The cluster file that works from here, wherever it is kept.
std::string running_cluster(Cluster cluster) {
  for (Node& node : cluster.nodes)
    if (!node.profile.empty()) node.profile = std::filesystem::absolute(node.profile).string();
  return write_cluster(cluster);
}

Status up(const LocalArguments& arguments, Context& context) {
  TIDELINE_TRY(const TempFolder scratch, TempFolder::make("tideline-local"));
  TIDELINE_TRY(const Cluster cluster, read_cluster(arguments.cluster));
  TIDELINE_TRY(const auto local, start(arguments, cluster, context, scratch));
  const std::string yaml = running_cluster(local->cluster());
  if (!arguments.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(arguments.out, yaml));
  fmt::print("{}", yaml);
  std::fflush(stdout);
  if (!context.quiet) fmt::print(stderr, "Ctrl-C ends them\n");
  // The others go on: who kills a node on purpose wants to see what they do.
  constexpr std::chrono::milliseconds kLook{200};
  while (!context.interrupted.wait_for(kLook))
    for (const std::string& news : local->news()) {
      fmt::print(stderr, "tideline: {}\n", news);
      context.exit_code = kExitUnreachable;
    }
  return {};
}

Status run(const LocalArguments& arguments, Context& context) {
  TIDELINE_TRY(const TempFolder scratch, TempFolder::make("tideline-local"));
  TIDELINE_TRY(const RunSettings settings, settings_of(arguments.run));
  const PlanInputArguments& inputs = arguments.run.inputs;
  TIDELINE_TRY(LoadedModel loaded, load_model(inputs.model, StepBar(context).control()));
  note_made_up(context, loaded.made_up_inputs);
  // Plan before the nodes come up: profiling wants the machine for itself.
  TIDELINE_TRY(Cluster file, read_cluster(arguments.cluster));
  PlanChoice choice = arguments.run.choice;
  choice.with_candidates = is_prose(context);
  TIDELINE_TRY(const ChosenPlan chosen, choose_plan(choice, inputs, loaded, file, StepBar(context).control()));
  print_choice(context, file, chosen);
  TIDELINE_TRY(const auto local, start(arguments, file, context, scratch));
  const auto transport = make_tcp_transport({});
  TIDELINE_TRY(const RunReport report, run_requests(settings, inputs.model.input, loaded, local->cluster(), *transport, chosen,
                                                    StepBar(context).control()));
  return finish_run(context, arguments.run, report, chosen, file, describe(local->emulation()));
}

void add_local_options(CLI::App& command, LocalArguments& arguments) {
  command.add_option("cluster", arguments.cluster, "The cluster file; its addresses are replaced")
      ->required()
      ->type_name("CLUSTER");
  command
      .add_option("--links", arguments.links,
                  "How to emulate the links: auto (namespaces where root, else transport), namespaces, transport, none")
      ->check(CLI::IsMember({"auto", "namespaces", "transport", "none"}))
      ->capture_default_str();
  command
      .add_option("--reach", arguments.reach,
                  "In namespaces, what this process reaches: all nodes (deployment does not load the links), or the source alone "
                  "(segments and installation travel along the links, as to machines behind a gateway)")
      ->check(CLI::IsMember({"all", "source"}))
      ->capture_default_str();
  command.add_option("--store", arguments.store, "Folder for the nodes' segments (default: a temporary one)")->type_name("DIR");
  command.add_option("--logs", arguments.logs, "Folder for the nodes' logs (default: a temporary one)")->type_name("DIR");
}

}  // namespace

void add_local_command(CLI::App& app, Context& context) {
  auto* local = app.add_subcommand("local", "A whole cluster on this machine: one daemon for each node of a cluster file");
  local->require_subcommand(1);

  auto* up_command =
      local->add_subcommand("up", "Start the nodes, print the cluster file with their addresses, run until Ctrl-C");
  const auto up_arguments = std::make_shared<LocalArguments>();
  add_local_options(*up_command, *up_arguments);
  up_command->add_option("--out", up_arguments->out, "Also write that cluster file here")->type_name("FILE");
  up_command->footer(
      "Example:\n  tideline local up cluster.yaml --out /tmp/local.yaml &\n  tideline run model.onnx --cluster /tmp/local.yaml");
  on_run(*up_command, context, [up_arguments, &context] { return up(*up_arguments, context); });

  auto* run_command = local->add_subcommand("run", "Start the nodes, run a model over them as `tideline run` does, and end them");
  const auto run_arguments = std::make_shared<LocalArguments>();
  add_local_options(*run_command, *run_arguments);
  add_model_options(*run_command, run_arguments->run.inputs.model);
  add_run_options(*run_command, run_arguments->run);
  add_output_option(*run_command, context, true);
  run_command->footer("Example:\n  tideline local run cluster.yaml det.onnx --config det.yaml --input photo.jpg -n 20 --verify");
  on_run(*run_command, context, [run_arguments, &context] { return run(*run_arguments, context); });
  add_local_fleet_command(*local, context);
  add_local_train_command(*local, context);
}

}  // namespace tideline::app
