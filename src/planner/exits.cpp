#include "planner/exits.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "planner/route_candidates.h"
#include "planner/search_walks.h"

namespace tideline {
namespace {

double cost_of(Objective objective, const Values& values) {
  return (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective);
}

// Better in the objective, or as good and sooner; what comes later must be better by more than rounding.
bool is_better_ending(Objective objective, const Values& left, const Values& right) {
  const double a = cost_of(objective, left);
  const double b = cost_of(objective, right);
  const double same = kSameValue * std::abs(b);
  if (std::abs(a - b) > same) return a < b;
  return left.latency_ms < right.latency_ms * (1 - kSameValue);
}

template <class List>
Result<std::vector<Candidate>> of_each_ending(const PlanRequest& request, List list_of) {
  const Endings endings(request);
  std::vector<Candidate> all;
  for (const Ending& ending : endings.all()) {
    TIDELINE_TRY(std::vector<Candidate> list, list_of(ending.request));
    for (Candidate& candidate : list) all.push_back(std::move(candidate));
  }
  return all;
}

// Whether of one ending only the fastest plan matters, as far as nothing is sent in lossy codecs: all are as accurate.
bool asks_for_the_fastest(const Question& question) {
  Limits limits = question.limits;
  limits.memory = false;
  for (const Objective objective : {Objective::kLatency, Objective::kAccuracy}) limits.by[std::size_t(objective)] = std::nullopt;
  return (question.objective == Objective::kAccuracy || question.objective == Objective::kLatency) && question.pareto.empty() &&
         !limits.any() && question.keep_on_source.value_or(0) == 0;
}

// Labels need segments whose times add up; the planners for latency alone do not.
Result<PlanResult> plan_ending(const PlanRequest& request, std::string_view planner) {
  auto found = plan_to_end(request, planner);
  if (found || found.error().code != ErrorCode::kUnsupported || planner != "auto" || !asks_for_the_fastest(request.question))
    return found;
  PlanRequest plain = request;
  plain.question = {};
  auto fastest = plan_to_end(plain, planner);
  if (!fastest && fastest.error().code != ErrorCode::kInfeasible) return found;
  if (!fastest || !broken_limits(request.question, fastest->values).empty())
    return Error{ErrorCode::kInfeasible, "[plan] no plan keeps all limits"};
  fastest->stats.note = "without lossy codecs: the profiles' corrections are too large for a search with them";
  return fastest;
}

}  // namespace

Endings::Endings(const PlanRequest& request) {
  const Profile* const first = request.cost.profiles.empty() ? nullptr : request.cost.profiles[0];
  all_.push_back({.accuracy = first == nullptr ? 1 : first->accuracy, .request = request});
  if (first == nullptr || !request.question.may_lose_accuracy()) return;
  for (const ExitProfile& exit : first->exits) add_exit(request, exit);
  std::stable_sort(all_.begin(), all_.end(),
                   [](const Ending& left, const Ending& right) { return left.accuracy > right.accuracy; });
}

void Endings::add_exit(const PlanRequest& request, const ExitProfile& exit) {
  const auto limit = request.question.limits.of(Objective::kAccuracy);
  if (limit && !keeps(Objective::kAccuracy, exit.accuracy, *limit)) return;
  Ending ending{.accuracy = exit.accuracy, .request = request};
  for (const Profile*& profile : ending.request.cost.profiles) {
    if (profile == nullptr) return;
    auto there = at_exit(*profile, exit.output);
    // A host that was measured without it, or with another head.
    if (!there || there->chain_sha256 != exit.chain_sha256) return;
    there->accuracy = exit.accuracy;
    profiles_.push_back(std::move(*there));
    profile = &profiles_.back();
  }
  // What must not leave the source before block n must not leave it into a head either.
  if (auto& keep = ending.request.question.keep_on_source) {
    const auto blocks = static_cast<std::uint32_t>(profiles_.back().blocks.size());
    keep = std::min({*keep, exit.after + 1, blocks});
  }
  all_.push_back(std::move(ending));
}

Result<PlanResult> run_planner(const PlanRequest& request, std::string_view planner) {
  const Endings endings(request);
  if (endings.all().size() == 1) return plan_to_end(request, planner);
  const Objective objective = request.question.objective;
  std::optional<PlanResult> best;
  std::optional<Error> refused;
  PlannerStats looked;
  for (const Ending& ending : endings.all()) {
    // No codec adds accuracy: this ending and those behind it are worse.
    if (objective == Objective::kAccuracy && best && ending.accuracy < best->values.accuracy - kSameValue) break;
    auto found = plan_ending(ending.request, planner);
    if (!found && found.error().code != ErrorCode::kInfeasible) return found;
    if (!found) {
      if (!refused) refused = std::move(found).error();
      continue;
    }
    looked.considered += found->stats.considered;
    looked.pruned_memory += found->stats.pruned_memory;
    if (!best || is_better_ending(objective, found->values, best->values)) best = std::move(*found);
  }
  if (!best) return std::move(*refused);
  best->stats.considered = looked.considered;
  best->stats.pruned_memory = looked.pruned_memory;
  return std::move(*best);
}

Result<std::vector<Candidate>> candidates(const PlanRequest& request) { return of_each_ending(request, candidates_to_end); }

Result<std::vector<Candidate>> native_candidates(const PlanRequest& request) { return of_each_ending(request, natives_to_end); }

Result<std::optional<Candidate>> candidate_like(const PlanRequest& request, const Candidate& candidate) {
  if (candidate.kind == Candidate::Kind::kRoute) return best_along(request, candidate.via);
  const Endings endings(request);
  for (const Ending& ending : endings.all())
    if (ending.request.cost.profiles[0]->exit == candidate.plan.exit) return like_to_end(ending.request, candidate);
  return std::optional<Candidate>();
}

Result<std::vector<PlanResult>> plan_front(const PlanRequest& request) {
  const Endings endings(request);
  std::vector<PlanResult> all;
  std::optional<Error> refused;
  for (const Ending& ending : endings.all()) {
    auto front = front_to_end(ending.request);
    if (!front && front.error().code != ErrorCode::kInfeasible) return front;
    if (!front) {
      if (!refused) refused = std::move(front).error();
      continue;
    }
    for (PlanResult& result : *front) all.push_back(std::move(result));
  }
  if (all.empty()) return std::move(*refused);
  std::vector<Values> values;
  for (const PlanResult& result : all) values.push_back(result.values);
  std::vector<PlanResult> kept;
  for (const std::size_t index : front_of(request.question, values)) kept.push_back(std::move(all[index]));
  return kept;
}

}  // namespace tideline
