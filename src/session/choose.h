// The plan of a run: read from a file, placed by hand, or made now from profiles.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "planner/planner.h"
#include "session/plan_inputs.h"

namespace tideline {

struct PlanChoice {
  std::string plan;                 // a *.plan.json; empty: plan now
  std::vector<std::uint32_t> cuts;  // place by hand: the first block of each next node; instead of `plan`
  // Codecs by hand, instead of the plan's own: one for every move up to the last block (the result comes home raw), one for each
  // of those moves, or one for each move of the route. Empty: as the plan says.
  std::vector<std::string> codecs;
  std::string planner = "auto";
  std::string exit;              // leave by it, placed by `cuts` or planned now; empty: by the model's end, or as `plan` says
  std::string result_to;         // "source" or "nowhere"; empty: what `plan` says, else the source
  bool split = false;            // the best plan over two nodes or more, even when a native one would win
  bool with_candidates = false;  // what a table for people shows beside it
};

struct ChosenPlan {
  Plan plan;
  // Absent when there is no profile to predict from: a plan was given, and no profile.
  std::optional<Estimate> estimate;
  PlannerStats stats;
  std::vector<Candidate> candidates;
  PlanInputs inputs;  // what it was predicted from, and notes for people
};

// The names of the codecs of a plan that lose something, each once.
std::vector<std::string> lossy_codecs(const Plan& plan);

// Measures this host when a plan is to be made and a node has no profile; nodes of `cluster` without power get what was measured
// with their profile. Where the plan leaves by an exit, `loaded` and the
// inputs of the answer end there afterwards (leave_by()): whoever runs the plan runs loaded.chain.
Result<ChosenPlan> choose_plan(const PlanChoice& choice, const PlanInputArguments& arguments, LoadedModel& loaded,
                               Cluster& cluster, const Control& control);

}  // namespace tideline
