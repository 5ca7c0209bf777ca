// What the fleet commands share: the options of a plan, and a plan as JSON and for people.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "command.h"
#include "fleet/plan_fleet.h"

namespace tideline::app {

struct FleetPlanArguments {
  std::string policy;  // empty: the file's; the same for model
  std::string model;
  std::uint64_t seed = 1;
  double time_limit_s = 0.5;
  std::uint64_t steps = 0;
};
void add_fleet_plan_options(CLI::App& command, FleetPlanArguments& arguments);
fleet::FleetPlanOptions plan_options(const fleet::Fleet& fleet, const FleetPlanArguments& arguments, const CancelToken& cancel);

// The keys of docs/formats/fleet.md.
nlohmann::ordered_json fleet_plan_json(const fleet::Fleet& fleet, const fleet::FleetPlan& plan);
void print_fleet_plan(const fleet::Fleet& fleet, const fleet::FleetPlan& plan);

// `tideline fleet up`, `status`, `report`, `submit`, `remove` and `down`, below `tideline fleet`.
void add_fleet_up_commands(CLI::App& fleet, Context& context);
// `tideline local fleet`, below `tideline local`.
void add_local_fleet_command(CLI::App& local, Context& context);

}  // namespace tideline::app
