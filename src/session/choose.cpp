#include "session/choose.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "plan/program.h"
#include "session/source.h"

namespace tideline {
namespace {

// The plan of --cuts. A node whose range is empty passes on.
Result<Plan> plan_by_hand(const std::vector<std::uint32_t>& cuts, const LoadedModel& loaded, const Cluster& cluster) {
  if (cuts.size() >= cluster.nodes.size())
    return Error{ErrorCode::kInvalidArgument, fmt::format("--cuts: {} cuts need {} nodes, the cluster has {}", cuts.size(),
                                                          cuts.size() + 1, cluster.nodes.size())};
  const std::uint32_t count = loaded.chain.block_count();
  Plan plan{.planner = "hand", .model_sha256 = loaded.model.sha256(), .chain_sha256 = loaded.chain.sha256};
  std::uint32_t next = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::uint32_t end = i < cuts.size() ? cuts[i] : count;
    if (end < next || end > count)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("--cuts: {} is out of order or above the {} blocks of the model", end, count)};
    if (end > next) plan.segments.push_back({.node = cluster.nodes[i].name, .first_block = next, .last_block = end - 1});
    next = end;
  }
  return plan;
}

// The plan that was given, if any.
Result<std::optional<Plan>> given_plan(const PlanChoice& choice, const LoadedModel& loaded, const Cluster& cluster) {
  if (!choice.cuts.empty()) {
    TIDELINE_TRY(Plan plan, plan_by_hand(choice.cuts, loaded, cluster));
    return std::optional(std::move(plan));
  }
  if (choice.plan.empty()) return std::optional<Plan>();
  TIDELINE_TRY(const std::string json, read_source(choice.plan, limits::kConfigFileBytesMax));
  TIDELINE_TRY(Plan plan, parse_plan(json, source_name(choice.plan)));
  return std::optional(std::move(plan));
}

}  // namespace

Result<ChosenPlan> choose_plan(const PlanChoice& choice, const PlanInputArguments& arguments, const LoadedModel& loaded,
                               const Cluster& cluster, const Control& control) {
  ChosenPlan chosen;
  TIDELINE_TRY(std::optional<Plan> given, given_plan(choice, loaded, cluster));
  if (given) {
    TIDELINE_TRY(given, complete_plan(*given, cluster));
  }
  // With a plan in hand nothing needs to be measured; without profiles there is then nothing to predict from.
  if (given && arguments.profiles.empty()) {
    chosen.plan = std::move(*given);
    return chosen;
  }
  TIDELINE_TRY(chosen.inputs, load_plan_inputs(cluster, arguments, loaded, control));
  const PlanRequest request{.cost = chosen.inputs.cost(cluster), .cancel = control.cancel};
  if (given) {
    TIDELINE_TRY(chosen.estimate, estimate(request.cost, *given));
    chosen.plan = std::move(*given);
  } else {
    TIDELINE_TRY(PlanResult result, choice.split ? plan_best_split(request) : run_planner(request, choice.planner));
    chosen.plan = std::move(result.plan);
    chosen.estimate = std::move(result.estimate);
    chosen.stats = std::move(result.stats);
  }
  if (choice.with_candidates) {
    TIDELINE_TRY(chosen.candidates, candidates(request));
  }
  return chosen;
}

}  // namespace tideline
