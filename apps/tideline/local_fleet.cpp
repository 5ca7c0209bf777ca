// tideline local fleet: a whole fleet on this machine, planned and run.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "fleet/run/run_fleet.h"
#include "fleet/run/simulate_run.h"
#include "fleet_print.h"
#include "local/local_cluster.h"
#include "platform/temp_folder.h"

namespace tideline::app {
namespace {

using FleetJson = nlohmann::ordered_json;

// What a person reads; -o json has all.
constexpr std::size_t kTasksShownMax = 60;

struct LocalFleetArguments {
  std::string file;
  std::string duration = "60s";
  std::string links = "auto";
  std::string logs;
  double time_scale = 1;
  bool verify = false;
  bool no_shares = false;
  bool simulate = false;
  std::vector<std::string> overdrive;
  FleetPlanArguments plan;
};

FleetJson latency_json(const fleet::TaskFigures& seen, double scale) {
  if (seen.answered == 0) return nullptr;
  return {{"median", seen.median_ms / scale}, {"p95", seen.p95_ms / scale}, {"p99", seen.p99_ms / scale}};
}

// `simulated`: empty, or one per task.
using Simulated = std::vector<fleet::TaskFigures>;

// How far a run was from its simulation, over the tasks that ran.
struct SimulatedDifference {
  double late_points_max = 0;  // of the shares of requests that were late or dropped, in percent of all
  double median_error = 0;     // relative, of the median latency: of half of the tasks
  double median_error_max = 0;
};

SimulatedDifference difference_of(const fleet::FleetPlan& plan, const fleet::FleetRun& run, const Simulated& simulated) {
  SimulatedDifference difference;
  std::vector<double> medians;
  for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
    const fleet::TaskFigures& seen = run.tasks[j].figures;
    const fleet::TaskFigures& should = simulated[j];
    if (!plan.tasks[j].admitted || seen.answered == 0 || should.answered == 0) continue;
    const auto share = [](const fleet::TaskFigures& figures) {
      return static_cast<double>(figures.late + figures.dropped) / static_cast<double>(figures.requests);
    };
    difference.late_points_max = std::max(difference.late_points_max, 100 * std::abs(share(seen) - share(should)));
    medians.push_back(std::abs(seen.median_ms / should.median_ms - 1));
  }
  std::sort(medians.begin(), medians.end());
  if (!medians.empty()) {
    difference.median_error = medians[medians.size() / 2];
    difference.median_error_max = medians.back();
  }
  return difference;
}

// Everything in the time of the fleet file, whatever the run was stretched by.
FleetJson fleet_run_json(const fleet::Fleet& fleet, const fleet::FleetPlan& plan, const fleet::FleetRun& run,
                         const Simulated& simulated, const LocalFleetArguments& arguments) {
  const double scale = arguments.time_scale;
  const auto own_time = [scale](const std::optional<Millis>& time) {
    return time ? FleetJson(time->count() / scale) : FleetJson(nullptr);
  };
  FleetJson json{
      {"policy", plan.policy},       {"model", to_string(plan.model)},
      {"admitted", plan.admitted()}, {"refused", plan.tasks.size() - plan.admitted()},
      {"on_time", run.on_time},      {"upper_bound", plan.upper_bound ? FleetJson(*plan.upper_bound) : FleetJson(nullptr)},
      {"duration_s", run.seconds},   {"time_scale", scale},
      {"tasks", FleetJson::array()}, {"links", FleetJson::array()},
      {"nodes", FleetJson::array()}};
  if (!simulated.empty()) {
    const SimulatedDifference difference = difference_of(plan, run, simulated);
    json["simulated"] = {{"late_points_max", difference.late_points_max},
                         {"median_error", difference.median_error},
                         {"median_error_max", difference.median_error_max}};
  }
  for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
    const fleet::FleetTaskPlan& task = plan.tasks[j];
    const fleet::TaskFigures& seen = run.tasks[j].figures;
    json["tasks"].push_back(
        {{"name", fleet.tasks[j].name},
         {"admitted", task.admitted},
         {"cut", task.admitted ? FleetJson(task.cut) : FleetJson(nullptr)},
         {"requests", seen.requests},
         {"late", seen.late},
         {"dropped", seen.dropped},
         {"failed", seen.failed},
         {"on_time", task.admitted && seen.on_time()},
         {"latency_ms", latency_json(seen, scale)},
         {"predicted_ms", own_time(task.predicted)},
         {"bound_ms", own_time(task.bound)},
         {"deadline_ms", fleet.tasks[j].deadline.count() / scale},
         {"verified", arguments.verify && task.admitted ? FleetJson(run.tasks[j].verified) : FleetJson(nullptr)},
         {"first_failure", run.tasks[j].first_failure.empty() ? FleetJson(nullptr) : FleetJson(run.tasks[j].first_failure)},
         {"why", task.admitted ? FleetJson(nullptr) : FleetJson(task.why)}});
    if (simulated.empty()) continue;
    const fleet::TaskFigures& should = simulated[j];
    json["tasks"].back()["simulated"] = {{"requests", should.requests},
                                         {"late", should.late},
                                         {"dropped", should.dropped},
                                         {"latency_ms", latency_json(should, scale)}};
  }
  for (std::size_t r = 0; r < plan.resources.size(); ++r) {
    const fleet::FleetResource& resource = plan.resources[r];
    // A link stretched in time carries so much less per second.
    if (resource.is_link)
      json["links"].push_back({{"name", resource.name},
                               {"capacity_mbit_s", resource.capacity * scale},
                               {"reserved_mbit_s", resource.reserved * scale},
                               {"used_mbit_s", run.resources[r].mbit_s * scale}});
    else
      json["nodes"].push_back({{"name", resource.name},
                               {"capacity_cores", resource.capacity},
                               {"reserved_cores", resource.reserved},
                               {"used_cores", run.resources[r].cores}});
  }
  return json;
}

void print_fleet_run(const fleet::Fleet& fleet, const fleet::FleetPlan& plan, const fleet::FleetRun& run,
                     const Simulated& simulated, const LocalFleetArguments& arguments) {
  const double scale = arguments.time_scale;
  const auto shown = [scale](double ms) { return format_millis(Millis(ms / scale)); };
  if (scale != 1)
    fmt::print("time        stretched by {:g}: rates, deadlines, links and nodes; the figures are in the fleet's own time\n",
               scale);
  fmt::print("admitted    {} of {} tasks ({}, {} model)\n", plan.admitted(), plan.tasks.size(), plan.policy,
             to_string(plan.model));
  fmt::print("on time     {} of them: at most 1 % of their requests late or dropped, in {:.0f} s\n\n", run.on_time, run.seconds);
  if (!simulated.empty()) {
    const SimulatedDifference difference = difference_of(plan, run, simulated);
    fmt::print(
        "simulated   shares of late requests differ by at most {:.1f} points; medians by {:.1f} % (half of the tasks), {:.1f} % "
        "at most\n\n",
        difference.late_points_max, 100 * difference.median_error, 100 * difference.median_error_max);
  }
  fmt::print("{:<20} {:<14} {:>8} {:>6} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10} {}\n", "task", "cut after", "requests", "late",
             "dropped", "predicted", "median", "p95", "p99", "deadline",
             std::string(simulated.empty() ? "" : " simulated") + (arguments.verify ? " verified" : ""));
  std::size_t lines = 0;
  for (std::size_t j = 0; j < plan.tasks.size() && lines < kTasksShownMax; ++j) {
    if (!plan.tasks[j].admitted) continue;
    ++lines;
    const fleet::TaskFigures& seen = run.tasks[j].figures;
    fmt::print("{:<20} {:<14} {:>8} {:>6} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10} {}\n", fleet.tasks[j].name,
               plan.tasks[j].cut.substr(0, 14), seen.requests, seen.late, seen.dropped, shown(plan.tasks[j].predicted->count()),
               shown(seen.median_ms), shown(seen.p95_ms), shown(seen.p99_ms), shown(fleet.tasks[j].deadline.count()),
               (simulated.empty() ? std::string() : fmt::format("{:>10}", shown(simulated[j].median_ms))) +
                   (!arguments.verify       ? ""
                    : run.tasks[j].verified ? " yes"
                                            : " NO"));
  }
  if (lines < plan.admitted()) fmt::print("and {} more (-o json has all tasks)\n", plan.admitted() - lines);
  fmt::print("\n{:<32} {:>10} {:>10} {:>10}\n", "link or node", "used", "reserved", "of");
  for (std::size_t r = 0; r < plan.resources.size(); ++r) {
    const fleet::FleetResource& resource = plan.resources[r];
    const double factor = resource.is_link ? scale : 1;
    fmt::print("{:<32} {:>10.3f} {:>10.3f} {:>10.3f} {}\n", resource.name,
               resource.is_link ? run.resources[r].mbit_s * factor : run.resources[r].cores, resource.reserved * factor,
               resource.capacity * factor, resource.is_link ? "Mbit/s" : "cores");
  }
  for (std::size_t j = 0; j < plan.tasks.size(); ++j)
    if (!run.tasks[j].first_failure.empty()) {
      fmt::print("\nfirst failure of {}: {}\n", fleet.tasks[j].name, run.tasks[j].first_failure);
      break;
    }
}

// "yard-1=10": ten times as often as it has said.
Result<std::map<std::string, double>> overdrive_of(const std::vector<std::string>& texts) {
  std::map<std::string, double> overdrive;
  for (const std::string& text : texts) {
    const std::size_t at = text.rfind('=');
    double times = 0;
    const char* end = text.data() + text.size();
    if (at != std::string::npos) (void)std::from_chars(text.data() + at + 1, end, times);
    if (!(times >= 0.01 && times <= 1000))
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("expected a task and 0.01 to 1000 times its rate, such as --overdrive door=10, found '{}'",
                               printable(text))};
    overdrive[text.substr(0, at)] = times;
  }
  return overdrive;
}

Status run_local_fleet(Context& context, const LocalFleetArguments& arguments) {
  TIDELINE_TRY(const Millis duration, parse_duration(arguments.duration));
  TIDELINE_TRY(const auto overdrive, overdrive_of(arguments.overdrive));
  TIDELINE_TRY(fleet::Fleet fleet, fleet::load_fleet(arguments.file));
  TIDELINE_TRY(const fleet::FleetProfiles profiles, fleet::load_profiles(fleet));
  fleet = fleet::stretched(std::move(fleet), arguments.time_scale);
  TIDELINE_TRY(const std::vector<LoadedModel> models, fleet::load_models(fleet, profiles, StepBar(context).control()));
  TIDELINE_TRY(const fleet::FleetPlan plan,
               fleet::plan_fleet(fleet, profiles, plan_options(fleet, arguments.plan, context.interrupted)));
  TIDELINE_TRY(const TempFolder scratch, TempFolder::make("tideline-fleet"));
  LocalOptions options{.store_folder = scratch.path() + "/segments",
                       .log_folder = arguments.logs.empty() ? scratch.path() + "/logs" : arguments.logs};
  options.emulation = arguments.links == "namespaces"  ? LinkEmulation::kNamespaces
                      : arguments.links == "transport" ? LinkEmulation::kTransport
                      : arguments.links == "none"      ? LinkEmulation::kNone
                                                       : LinkEmulation::kAuto;
  TIDELINE_TRY(const auto local, LocalCluster::start(fleet.cluster, options, context.interrupted));
  const auto transport = make_tcp_transport({});
  const fleet::FleetRunSettings settings{
      .duration = duration, .verify = arguments.verify, .shares = !arguments.no_shares, .overdrive = overdrive};
  TIDELINE_TRY(const fleet::FleetRun run, fleet::run_fleet(fleet, profiles, plan, models, local->cluster(), *transport, settings,
                                                           StepBar(context).control()));
  Simulated simulated;
  if (arguments.simulate) {
    TIDELINE_TRY(simulated, fleet::simulate_run(fleet, profiles, plan, settings, context.interrupted));
  }
  if (context.output == Output::kJson)
    fmt::print("{}\n",
               fleet_run_json(fleet, plan, run, simulated, arguments).dump(-1, ' ', false, FleetJson::error_handler_t::replace));
  else
    print_fleet_run(fleet, plan, run, simulated, arguments);
  for (const std::string& news : local->news()) {
    fmt::print(stderr, "tideline: {}\n", news);
    context.exit_code = kExitUnreachable;
  }
  if (arguments.verify)
    for (std::size_t j = 0; j < plan.tasks.size(); ++j)
      if (plan.tasks[j].admitted && run.tasks[j].figures.answered > 0 && !run.tasks[j].verified) context.exit_code = kExitFailure;
  return {};
}

}  // namespace

void add_local_fleet_command(CLI::App& local, Context& context) {
  auto* command =
      local.add_subcommand("fleet", "Start the nodes, plan a fleet, run its tasks at their rates, and say which were in time");
  const auto arguments = std::make_shared<LocalFleetArguments>();
  command->add_option("FILE", arguments->file, "The fleet (docs/formats/fleet.md)")->required()->type_name("FLEET");
  command->add_option("--duration", arguments->duration, "How long the sources send, by the clock")
      ->type_name("DURATION")
      ->capture_default_str();
  command
      ->add_option(
          "--time-scale", arguments->time_scale,
          "Let everything take so many times as long (rates, deadlines, links and nodes alike), for a machine that is too "
          "small for the fleet")
      ->check(CLI::Range(1.0, 1e4))
      ->capture_default_str();
  command->add_flag("--verify", arguments->verify, "Hold every answer against the unsplit model");
  command
      ->add_option("--overdrive", arguments->overdrive,
                   "Let this task send so many times as often as it has said, to see that the others do not suffer")
      ->type_name("TASK=TIMES");
  command->add_flag("--simulate", arguments->simulate,
                    "Beside what was measured, what a simulation of the same run shows (times of the profiles, stated links)");
  command->add_flag("--no-shares", arguments->no_shares,
                    "Do not let the nodes keep what the plan reserves: requests go by their deadlines alone");
  command->add_option("--links", arguments->links, "How to emulate the links, as of local run")
      ->check(CLI::IsMember({"auto", "namespaces", "transport", "none"}))
      ->capture_default_str();
  command->add_option("--logs", arguments->logs, "Folder for the nodes' logs (default: a temporary one)")->type_name("DIR");
  add_fleet_plan_options(*command, arguments->plan);
  add_output_option(*command, context);
  command->footer("Example:\n  tideline local fleet site/fleet.yaml --duration 60s --verify");
  on_run(*command, context, [arguments, &context] { return run_local_fleet(context, *arguments); });
}

}  // namespace tideline::app
