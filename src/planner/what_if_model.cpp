// What would have to change for another plan of a model to win.
#include <algorithm>
#include <map>

#include "cluster/routes.h"
#include "cost/totals.h"
#include "planner/route_candidates.h"
#include "planner/what_if.h"

namespace tideline {
namespace {

// Blocks times places that are planned in about a second, whatever the machine's mood; questions with limits take ten times as
// long.
constexpr double kPlainWork = 20'000'000;
constexpr double kLimitedWork = 2'000'000;
constexpr double kPlansMost = 2'000;

bool is_of_the_kind(const Candidate& candidate, const Plan& plan) {
  switch (candidate.kind) {
    case Candidate::Kind::kNative:
      return plan.exit == candidate.plan.exit && plan.segments.size() == 1 &&
             plan.segments[0].node == candidate.plan.segments[0].node;
    // Whoever stays on the source goes no way at all.
    case Candidate::Kind::kRoute: return plan.route.size() > 1 && goes_along(plan.route, candidate.via);
    case Candidate::Kind::kSplit:
    case Candidate::Kind::kPair: return plan.exit == candidate.plan.exit && plan.segments.size() > 1;
  }
  return false;
}

// Latency and energy are straight lines as long as no limit says which plans there are.
bool is_straight(const Question& question) {
  return !question.limits.any() && (question.objective == Objective::kLatency || question.objective == Objective::kEnergy);
}

double less_is_better(Objective objective, const Values& values) {
  return (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective);
}

what_if::Case::Uses uses_of(const Cluster& cluster, const Plan& plan, const Estimate& estimate) {
  what_if::Case::Uses uses;
  for (const HopEstimate& hop : estimate.hops) uses.links.push_back(hop.link);
  for (const PlanSegment& segment : plan.segments)
    uses.nodes.push_back(static_cast<std::uint32_t>(node_index(cluster, segment.node)));
  return uses;
}

class ModelWhatIf {
 public:
  ModelWhatIf(const PlanRequest& idle, const std::vector<double>& loads) : idle_(idle), loads_(loads) {}

  Result<std::optional<what_if::Option>> best(const Candidate& candidate, const Parameter& parameter, double value) const {
    const Cluster cluster = with_parameter(*idle_.cost.cluster, loads_, parameter, value);
    const auto found = run_planner(request(cluster, parameter, value), "auto");
    // A question that the planner does not take, such as a deadline for a graph of ops, changes nothing.
    if (!found && (found.error().code == ErrorCode::kInfeasible || found.error().code == ErrorCode::kUnsupported))
      return std::optional<what_if::Option>();
    if (!found) return found.error();
    return std::optional(option(found->plan, found->values, is_of_the_kind(candidate, found->plan), parameter));
  }

  Result<std::optional<what_if::Option>> of_kind(const Candidate& candidate, const Parameter& parameter, double value) const {
    const Cluster cluster = with_parameter(*idle_.cost.cluster, loads_, parameter, value);
    TIDELINE_TRY(const std::optional<Candidate> found, candidate_like(request(cluster, parameter, value), candidate));
    if (!found || !found->ruled_out.empty()) return std::optional<what_if::Option>();
    return std::optional(option(found->plan, found->values, true, parameter));
  }

 private:
  PlanRequest request(const Cluster& cluster, const Parameter& parameter, double value) const {
    PlanRequest changed = idle_;
    changed.cost.cluster = &cluster;
    changed.question = with_parameter(idle_.question, parameter, value);
    return changed;
  }

  what_if::Option option(const Plan& plan, const Values& values, bool is_of_kind, const Parameter& parameter) const {
    const Objective objective = idle_.question.objective;
    return {less_is_better(objective, values), is_of_kind, [this, plan, parameter, objective](double value) {
              const Cluster cluster = with_parameter(*idle_.cost.cluster, loads_, parameter, value);
              CostInput cost = idle_.cost;
              cost.cluster = &cluster;
              const auto estimated = estimate(cost, plan);
              if (!estimated) return kEndless;
              return less_is_better(objective, values_of(cluster, *estimated));
            }};
  }

  const PlanRequest& idle_;
  const std::vector<double>& loads_;
};

}  // namespace

Result<WhatIf> would_win(const PlanRequest& idle, const std::vector<double>& loads, const PlanResult& chosen,
                         const std::vector<Candidate>& list) {
  const Cluster& cluster = *idle.cost.cluster;
  TIDELINE_TRY(const Routes routes, routes_of(cluster));
  const ModelWhatIf plans(idle, loads);
  const double size = static_cast<double>(idle.cost.profiles[0]->blocks.size() * routes.places.size());
  what_if::Case problem{.names = names_of(cluster),
                        .is_linear = is_straight(idle.question),
                        .question = idle.question,
                        .chosen_latency_ms = chosen.values.latency_ms};
  problem.plans_max = static_cast<std::size_t>(std::min(kPlansMost, (problem.is_linear ? kPlainWork : kLimitedWork) / size));
  problem.loads = loads;
  problem.chosen = uses_of(cluster, chosen.plan, chosen.estimate);
  problem.now = [&](const Parameter& parameter) { return current_value(cluster, loads, idle.question, parameter); };
  for (const Candidate& candidate : list) {
    what_if::Case::Entry entry{.uses = uses_of(cluster, candidate.plan, candidate.estimate)};
    entry.is_open = !is_of_the_kind(candidate, chosen.plan) && candidate.estimate.infeasible.empty();
    entry.best = [&](const Parameter& parameter, double value) { return plans.best(candidate, parameter, value); };
    entry.of_kind = [&](const Parameter& parameter, double value) { return plans.of_kind(candidate, parameter, value); };
    problem.candidates.push_back(std::move(entry));
  }
  return what_if::run(problem);
}

}  // namespace tideline
