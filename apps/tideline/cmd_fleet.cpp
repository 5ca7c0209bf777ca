// tideline fleet: many tasks on one site.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "commands.h"
#include "fleet/plan_fleet.h"
#include "fleet_print.h"
#include "platform/files.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"

namespace tideline::app {
namespace {

struct FleetArguments {
  std::string file;
  std::string out;
  FleetPlanArguments plan;
};

Status write_fleet_instance(Context& context, const FleetArguments& arguments) {
  TIDELINE_TRY(const fleet::Fleet fleet, fleet::load_fleet(arguments.file));
  TIDELINE_TRY(const fleet::FleetProfiles profiles, fleet::load_profiles(fleet));
  TIDELINE_TRY(const fleet::SiteInstance site, fleet::site_instance(fleet, profiles));
  const std::string text = schedule::write_instance(site.instance);
  if (arguments.out.empty()) {
    fmt::print("{}", text);
    return {};
  }
  TIDELINE_CHECK_OK(write_file_atomic(arguments.out, text));
  const auto models = site.instance.models.size();
  if (context.output == Output::kJson)
    fmt::print("{}\n", nlohmann::json{{"file", arguments.out},
                                      {"servers", site.instance.servers.size()},
                                      {"tasks", site.instance.tasks.size()},
                                      {"models", models}}
                           .dump());
  else
    fmt::print("{}: {} tasks of {} models on {} servers; work is in milliseconds of the gateways\n", arguments.out,
               site.instance.tasks.size(), models, site.instance.servers.size());
  return {};
}

Status plan(Context& context, const FleetArguments& arguments) {
  TIDELINE_TRY(const fleet::Fleet fleet, fleet::load_fleet(arguments.file));
  TIDELINE_TRY(const fleet::FleetProfiles profiles, fleet::load_profiles(fleet));
  TIDELINE_TRY(const fleet::FleetPlan planned,
               fleet::plan_fleet(fleet, profiles, plan_options(fleet, arguments.plan, context.interrupted)));
  if (context.output == Output::kJson)
    fmt::print("{}\n", fleet_plan_json(fleet, planned).dump());
  else
    print_fleet_plan(fleet, planned);
  return {};
}

}  // namespace

void add_fleet_command(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("fleet", "Many tasks on one site: which of them fit, how deep each goes, and why not; and keep them up");
  command->require_subcommand(1);
  const auto arguments = std::make_shared<FleetArguments>();
  const auto add = [&](const char* name, const char* help) {
    CLI::App* each = command->add_subcommand(name, help);
    each->add_option("FILE", arguments->file, "The fleet (docs/formats/fleet.md)")->required()->type_name("FLEET");
    add_output_option(*each, context);
    return each;
  };
  CLI::App* plan_command = add("plan", "Decide which tasks run, where each is cut, and what each has of links and processors");
  add_fleet_plan_options(*plan_command, arguments->plan);
  plan_command->footer(
      "Examples:\n  tideline fleet plan site/fleet.yaml\n  tideline fleet plan site/fleet.yaml --model paper --policy fixed:2 -o "
      "json");
  on_run(*plan_command, context, [arguments, &context] { return plan(context, *arguments); });
  CLI::App* instance_command = add("instance", "Write the fleet as an instance of `tideline schedule`, with its names");
  instance_command->add_option("--out", arguments->out, "Write it to this file")->type_name("FILE");
  instance_command->footer(
      "Example:\n  tideline fleet instance fleet.yaml --out city.json\n  tideline schedule city.json --model queueing --arrivals "
      "periodic --cloud-gflops 1000");
  on_run(*instance_command, context, [arguments, &context] { return write_fleet_instance(context, *arguments); });
  add_fleet_up_commands(*command, context);
}

}  // namespace tideline::app
