// What planning a model needs besides a planner: a cluster, and a profile for each of its nodes, given or measured now.
//
//   TIDELINE_TRY(const PlanInputs inputs, load_plan_inputs(cluster, {.model = {.model = "det.onnx"}}, loaded, control));
//   const PlanRequest request{.cost = inputs.cost(cluster)};
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "cost/cost.h"
#include "profile/profile.h"
#include "session/load.h"

namespace tideline {

struct PlanInputArguments {
  ModelArguments model;               // `model` may stay empty when each node has a profile
  std::vector<std::string> profiles;  // FILE for every node, or NODE=FILE
  std::string profile_out;            // where a profile that had to be measured is kept
  double profile_seconds = 5;
  std::vector<std::string> codecs;  // to measure too, where a profile has to be measured
};

struct PlanInputs {
  std::vector<std::unique_ptr<Profile>> profiles;
  std::vector<const Profile*> by_node;      // into `profiles`
  std::string input_name;                   // "the JPEG", "the input tensor"
  std::vector<std::string> notes;           // for people: what was assumed
  std::vector<std::string> made_up_inputs;  // inputs with made-up numbers when the profiles were measured

  ResultTo result_to = ResultTo::kSource;  // what is planned for

  // From here on the profiles are those of that exit. Errors of at_exit().
  Status leave_by(const std::string& exit);
  // Refers to this and to `cluster`.
  CostInput cost(const Cluster& cluster) const { return {.cluster = &cluster, .profiles = by_node, .result_to = result_to}; }
};

// For each node: a profile given as NODE=FILE, else the cluster file's, else the FILE for all, else the model is measured on this
// host with the node's threads. kInvalidArgument when a profile is of another model than `arguments.model`, or cut differently
// than it says. Writes `profile_out`, and nothing else.
Result<PlanInputs> load_plan_inputs(const Cluster& cluster, const PlanInputArguments& arguments, const Control& control);
// The same for a caller that has loaded arguments.model already.
Result<PlanInputs> load_plan_inputs(const Cluster& cluster, const PlanInputArguments& arguments, const LoadedModel& loaded,
                                    const Control& control);

// Gives nodes that have no power in the cluster file what was measured with their profile, and notes it.
void use_measured_power(Cluster& cluster, PlanInputs& inputs);

}  // namespace tideline
