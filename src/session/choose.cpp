#include "session/choose.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "codec/codec.h"
#include "plan/program.h"
#include "session/source.h"

namespace tideline {
namespace {

// The plan of --cuts. A node whose range is empty passes on.
Result<Plan> plan_by_hand(const std::vector<std::uint32_t>& cuts, const LoadedModel& loaded, const Chain& chain,
                          const Cluster& cluster) {
  if (cuts.size() >= cluster.nodes.size())
    return Error{ErrorCode::kInvalidArgument, fmt::format("--cuts: {} cuts need {} nodes, the cluster has {}", cuts.size(),
                                                          cuts.size() + 1, cluster.nodes.size())};
  const std::uint32_t count = chain.block_count();
  Plan plan{.planner = "hand", .model_sha256 = loaded.model.sha256(), .chain_sha256 = chain.sha256};
  if (chain.exit) plan.exit = chain.exit->output;
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
    TIDELINE_TRY(const Chain* chain, chain_to(loaded, choice.exit));
    TIDELINE_TRY(Plan plan, plan_by_hand(choice.cuts, loaded, *chain, cluster));
    return std::optional(std::move(plan));
  }
  if (choice.plan.empty()) return std::optional<Plan>();
  if (!choice.exit.empty())
    return Error{ErrorCode::kInvalidArgument, "--exit: a plan file says itself by which exit it leaves; give one of the two"};
  TIDELINE_TRY(const std::string json, read_source(choice.plan, limits::kConfigFileBytesMax));
  TIDELINE_TRY(Plan plan, parse_plan(json, source_name(choice.plan)));
  return std::optional(std::move(plan));
}

Status put_codecs(const std::vector<std::string>& names, Plan& plan) {
  if (names.empty()) return {};
  for (const std::string& name : names)
    if (const auto known = find_codec(name); !known)
      return Error{ErrorCode::kInvalidArgument, "--codec: " + known.error().message};
  const std::size_t moves = plan.route.size() - 1;
  const std::size_t up = plan.segments.back().at;
  plan.codecs.assign(moves, "raw");
  // It was for others.
  plan.tolerance.reset();
  if (moves == 0) return {};
  if (names.size() == 1) {
    std::fill_n(plan.codecs.begin(), up, names.front());
  } else if (names.size() == up || names.size() == moves) {
    std::copy(names.begin(), names.end(), plan.codecs.begin());
  } else {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("--codec: {} codecs, but the plan moves {} times until its last block runs, and {} times in all; give "
                    "one for all, or as many as that",
                    names.size(), up, moves)};
  }
  return {};
}

// A codec of the plan that a node's profile says nothing of.
std::optional<std::string> unmeasured_codec(const Plan& plan, const PlanInputs& inputs) {
  for (const std::string& codec : plan.codecs)
    for (const Profile* profile : inputs.by_node)
      if (codec != "raw" && codec_profile(*profile, codec) == nullptr) return codec;
  return std::nullopt;
}

// Of a plan that was given, or changed by hand.
Result<std::optional<Estimate>> estimate_given(const PlanRequest& request, const Plan& plan, PlanInputs& inputs) {
  if (const auto codec = unmeasured_codec(plan, inputs)) {
    inputs.notes.push_back(
        fmt::format("no prediction: a profile says nothing of codec {0}; `tideline profile --codecs {0}` measures it", *codec));
    return std::optional<Estimate>();
  }
  TIDELINE_TRY(Estimate value, estimate(request.cost, plan));
  return std::optional(std::move(value));
}

}  // namespace

std::vector<std::string> lossy_codecs(const Plan& plan) {
  std::vector<std::string> names;
  for (const std::string& name : plan.codecs)
    if (const auto codec = find_codec(name);
        codec && codec->is_lossy() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  return names;
}

Result<ChosenPlan> choose_plan(const PlanChoice& choice, const PlanInputArguments& arguments, LoadedModel& loaded,
                               Cluster& cluster, const Control& control) {
  ChosenPlan chosen;
  TIDELINE_TRY(std::optional<Plan> given, given_plan(choice, loaded, cluster));
  if (given) {
    TIDELINE_TRY(given, complete_plan(*given, cluster));
    TIDELINE_CHECK_OK(put_codecs(choice.codecs, *given));
    chosen.inputs.result_to = given->result_to;
  }
  if (!choice.result_to.empty()) {
    TIDELINE_TRY(chosen.inputs.result_to, result_to_from(choice.result_to));
    if (given) given->result_to = chosen.inputs.result_to;
  }
  // With a plan in hand nothing needs to be measured; without profiles there is then nothing to predict from.
  if (given && arguments.profiles.empty()) {
    if (given->exit) TIDELINE_CHECK_OK(leave_by(loaded, *given->exit));
    chosen.plan = std::move(*given);
    return chosen;
  }
  PlanInputArguments wanted = arguments;
  wanted.codecs.insert(wanted.codecs.end(), choice.codecs.begin(), choice.codecs.end());
  const ResultTo result_to = chosen.inputs.result_to;
  TIDELINE_TRY(chosen.inputs, load_plan_inputs(cluster, wanted, loaded, control));
  chosen.inputs.result_to = result_to;
  use_measured_power(cluster, chosen.inputs);
  const std::string exit = given && given->exit ? *given->exit : choice.exit;
  if (!exit.empty()) {
    TIDELINE_CHECK_OK(leave_by(loaded, exit));
    TIDELINE_CHECK_OK(chosen.inputs.leave_by(exit));
  }
  const PlanRequest request{.cost = chosen.inputs.cost(cluster), .cancel = control.cancel};
  if (given) {
    TIDELINE_TRY(chosen.estimate, estimate_given(request, *given, chosen.inputs));
    chosen.plan = std::move(*given);
  } else {
    TIDELINE_TRY(PlanResult result, choice.split ? plan_best_split(request) : run_planner(request, choice.planner));
    chosen.plan = std::move(result.plan);
    chosen.estimate = std::move(result.estimate);
    chosen.stats = std::move(result.stats);
    if (!choice.codecs.empty()) {
      TIDELINE_CHECK_OK(put_codecs(choice.codecs, chosen.plan));
      TIDELINE_TRY(chosen.estimate, estimate_given(request, chosen.plan, chosen.inputs));
    }
  }
  if (choice.with_candidates) {
    TIDELINE_TRY(chosen.candidates, candidates(request));
  }
  return chosen;
}

}  // namespace tideline
