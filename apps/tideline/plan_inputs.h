// What planning a model needs besides a planner: a cluster, and a profile for each of its nodes, given or measured now.
// Shared by plan and sweep.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "command.h"
#include "cost/cost.h"
#include "model_options.h"
#include "profile/profile.h"

namespace tideline::app {

struct PlanInputArguments {
  ModelArguments model;               // `model` may stay empty when each node has a profile
  std::vector<std::string> profiles;  // FILE for every node, or NODE=FILE
  std::string profile_out;            // where a profile that had to be measured is kept
  double profile_seconds = 5;
};

// --profile, --profile-out, --profile-time.
void add_profile_options(CLI::App& command, PlanInputArguments& arguments);

struct PlanInputs {
  std::vector<std::unique_ptr<Profile>> profiles;
  std::vector<const Profile*> by_node;  // into `profiles`
  std::string input_name;               // "the JPEG", "the input tensor"
  std::vector<std::string> notes;       // for standard error: what was assumed
};

// For each node: --profile NODE=FILE, else the cluster file's, else --profile FILE, else the model is measured on this host with
// the node's threads. kInvalidArgument when a profile is of another model than MODEL, or cut differently than the options say.
Result<PlanInputs> load_plan_inputs(const Context& context, const Cluster& cluster, const PlanInputArguments& arguments);
// The same for a caller that has loaded arguments.model already.
Result<PlanInputs> load_plan_inputs(const Context& context, const Cluster& cluster, const PlanInputArguments& arguments,
                                    const LoadedModel& loaded);

}  // namespace tideline::app
