// The plan that `run` uses: read from a file, placed by hand, or made now from profiles.
#include <fmt/format.h>

#include "base/limits.h"
#include "plan_print.h"
#include "platform/files.h"
#include "run_session.h"

namespace tideline::app {
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
    if (end > next) plan.segments.push_back({cluster.nodes[i].name, next, end - 1});
    next = end;
  }
  return plan;
}

// The plan that was given, if any.
Result<std::optional<Plan>> given_plan(const RunArguments& arguments, const LoadedModel& loaded, const Cluster& cluster) {
  if (!arguments.cuts.empty()) {
    TIDELINE_TRY(Plan plan, plan_by_hand(arguments.cuts, loaded, cluster));
    return std::optional(std::move(plan));
  }
  if (arguments.plan.empty()) return std::optional<Plan>();
  TIDELINE_TRY(const std::string json, read_file(arguments.plan, limits::kConfigFileBytesMax));
  TIDELINE_TRY(Plan plan, parse_plan(json, arguments.plan));
  return std::optional(std::move(plan));
}

}  // namespace

Result<ChosenPlan> choose_plan(Context& context, const RunArguments& arguments, const LoadedModel& loaded,
                               const Cluster& cluster) {
  TIDELINE_TRY(std::optional<Plan> given, given_plan(arguments, loaded, cluster));
  // With a plan in hand nothing needs to be measured; without profiles there is then nothing to predict from.
  if (given && arguments.inputs.profiles.empty()) return ChosenPlan{std::move(*given), std::nullopt};

  TIDELINE_TRY(const PlanInputs inputs, load_plan_inputs(context, cluster, arguments.inputs, loaded));
  const PlanRequest request{.cost = {.cluster = &cluster, .profiles = inputs.by_node}, .cancel = context.interrupted};
  PlanAnswer answer{.cost = &request.cost, .input_name = inputs.input_name};
  if (given) {
    TIDELINE_TRY(answer.chosen.estimate, estimate(request.cost, *given));
    answer.chosen.plan = std::move(*given);
  } else if (arguments.split) {
    TIDELINE_TRY(answer.chosen, plan_best_split(request));
  } else {
    TIDELINE_TRY(answer.chosen, run_planner(request, arguments.planner));
  }
  if (context.output == Output::kTable) {
    TIDELINE_TRY(answer.candidates, candidates(request));
    print_plan_table(answer);
  }
  if (!context.quiet)
    for (const std::string& note : inputs.notes) fmt::print(stderr, "note: {}\n", note);
  return ChosenPlan{std::move(answer.chosen.plan), std::move(answer.chosen.estimate)};
}

}  // namespace tideline::app
