// What would have to change for another plan of a table to win.
#include <algorithm>

#include "planner/walk_problem.h"
#include "planner/what_if.h"

namespace tideline {
namespace {

// Ops times devices that are planned in about a second; graphs of ops, each a minimum cut for each route, take longer.
constexpr double kTableWork = 20'000'000;
constexpr double kGraphWork = 400'000;
constexpr double kTablePlansMost = 2'000;

using what_if::Option;

bool all_on(const std::vector<std::uint32_t>& devices, std::uint32_t device) {
  return std::all_of(devices.begin(), devices.end(), [device](std::uint32_t each) { return each == device; });
}

double table_value_of(Objective objective, const Values& values) {
  return (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective);
}

bool is_walk_of_kind(const WalkCandidate& candidate, const TableWalk& walk) {
  switch (candidate.kind) {
    case WalkCandidate::Kind::kNative: return !walk.exit && all_on(walk.devices, candidate.index);
    case WalkCandidate::Kind::kExit: return walk.exit == candidate.index;
    case WalkCandidate::Kind::kSplit: return !all_on(walk.devices, walk.devices[0]);
    // Whoever stays on the source goes no way at all.
    case WalkCandidate::Kind::kRoute: return walk.route.size() > 1 && goes_along(walk.route, candidate.via);
  }
  return false;
}

what_if::Case::Uses uses_of_walk(const TableWalk& walk) { return {.links = walk.links, .nodes = walk.devices}; }

class WalkWhatIf {
 public:
  WalkWhatIf(const Table& idle, const std::vector<double>& loads, const Question& question, const CancelToken& cancel)
      : idle_(idle), loads_(loads), question_(question), cancel_(cancel) {}

  Result<std::optional<Option>> best(const WalkCandidate& candidate, const Parameter& parameter, double value) const {
    const auto found =
        plan_walk(with_parameter(idle_, loads_, parameter, value), with_parameter(question_, parameter, value), "auto", cancel_);
    // A question that the planner does not take, such as a deadline for a graph of ops, changes nothing.
    if (!found && (found.error().code == ErrorCode::kInfeasible || found.error().code == ErrorCode::kUnsupported))
      return std::optional<Option>();
    if (!found) return found.error();
    return std::optional(option(found->walk, found->value, is_walk_of_kind(candidate, found->walk), parameter));
  }

  Result<std::optional<Option>> of_kind(const WalkCandidate& candidate, const Parameter& parameter, double value) const {
    const Table changed = with_parameter(idle_, loads_, parameter, value);
    TIDELINE_TRY(const std::optional<WalkCandidate> found, candidate_like(changed, question_, candidate, cancel_));
    if (!found || !found->infeasible.empty()) return std::optional<Option>();
    return std::optional(option(found->plan.walk, found->plan.value, true, parameter));
  }

 private:
  Option option(const TableWalk& walk, const WalkValue& worth, bool is_of_kind, const Parameter& parameter) const {
    return {table_value_of(question_.objective, worth.total), is_of_kind, [this, walk, parameter](double value) {
              Table changed = with_parameter(idle_, loads_, parameter, value);
              changed.keep_on_source = 0;
              const auto again = walk_value(changed, walk);
              return again ? table_value_of(question_.objective, again->total) : kEndless;
            }};
  }

  const Table& idle_;
  const std::vector<double>& loads_;
  const Question& question_;
  const CancelToken& cancel_;
};

// Of version 1: what the planners of placements answer.
class PlacementWhatIf {
 public:
  explicit PlacementWhatIf(const Table& idle) : idle_(idle) {}

  // `device`: everything there; nothing: a split.
  Result<std::optional<Option>> best(std::optional<std::uint32_t> device, const Parameter& parameter, double value) const {
    TIDELINE_TRY(const TablePlan found, plan_table(with_parameter(idle_, {}, parameter, value), "auto"));
    const bool is_split = !all_on(found.devices, found.devices[0]);
    return std::optional(option(found, device ? all_on(found.devices, *device) : is_split, parameter));
  }
  Result<std::optional<Option>> of_kind(std::optional<std::uint32_t> device, const Parameter& parameter, double value) const {
    const Table changed = with_parameter(idle_, {}, parameter, value);
    if (device) return std::optional(option(native_table_plan(changed, *device), true, parameter));
    const auto split = best_table_split(changed);
    if (!split) return std::optional<Option>();
    return std::optional(option(*split, true, parameter));
  }

 private:
  Option option(const TablePlan& plan, bool is_of_kind, const Parameter& parameter) const {
    return {plan.value.latency_ms, is_of_kind, [this, devices = plan.devices, parameter](double value) {
              const auto again = table_value(with_parameter(idle_, {}, parameter, value), devices);
              return again ? again->latency_ms : kEndless;
            }};
  }
  const Table& idle_;
};

what_if::Case::Uses uses_of_placement(const std::vector<std::uint32_t>& devices) {
  what_if::Case::Uses uses{.nodes = devices};
  for (std::uint32_t link = 0; link < *std::max_element(devices.begin(), devices.end()); ++link) uses.links.push_back(link);
  return uses;
}

std::size_t plans_for(const Table& table, bool is_straight) {
  const double size = static_cast<double>(std::size_t{table.op_count()} * table.device_count());
  return static_cast<std::size_t>(
      std::min(kTablePlansMost, (table.is_chain ? kTableWork : kGraphWork) / size / (is_straight ? 1 : 10)));
}

}  // namespace

Result<WhatIf> would_win(const Table& idle, const std::vector<double>& loads, const Question& question, const WalkPlan& chosen,
                         const std::vector<WalkCandidate>& list, const CancelToken& cancel) {
  const WalkWhatIf plans(idle, loads, question, cancel);
  const bool is_straight =
      !question.limits.any() && (question.objective == Objective::kLatency || question.objective == Objective::kEnergy);
  what_if::Case problem{.names = names_of(idle),
                        .is_linear = is_straight,
                        .question = question,
                        .chosen_latency_ms = chosen.value.total.latency_ms,
                        .plans_max = plans_for(idle, is_straight),
                        .loads = loads,
                        .chosen = uses_of_walk(chosen.walk)};
  problem.now = [&](const Parameter& parameter) { return current_value(idle, loads, question, parameter); };
  for (const WalkCandidate& candidate : list) {
    what_if::Case::Entry entry{.uses = uses_of_walk(candidate.plan.walk), .is_open = !is_walk_of_kind(candidate, chosen.walk)};
    entry.best = [&](const Parameter& parameter, double value) { return plans.best(candidate, parameter, value); };
    entry.of_kind = [&](const Parameter& parameter, double value) { return plans.of_kind(candidate, parameter, value); };
    problem.candidates.push_back(std::move(entry));
  }
  return what_if::run(problem);
}

Result<WhatIf> would_win(const Table& idle, const TablePlan& chosen, const std::vector<TablePlan>& list) {
  const PlacementWhatIf plans(idle);
  what_if::Case problem{.names = names_of(idle),
                        .chosen_latency_ms = chosen.value.latency_ms,
                        .plans_max = plans_for(idle, true),
                        .chosen = uses_of_placement(chosen.devices)};
  problem.now = [&](const Parameter& parameter) { return current_value(idle, {}, {}, parameter); };
  const bool is_split = !all_on(chosen.devices, chosen.devices[0]);
  for (std::uint32_t i = 0; i < list.size(); ++i) {
    const std::optional<std::uint32_t> device = i < idle.device_count() ? std::optional(i) : std::nullopt;
    what_if::Case::Entry entry{.uses = uses_of_placement(list[i].devices)};
    entry.is_open = device ? !all_on(chosen.devices, *device) : !is_split;
    entry.best = [&plans, device](const Parameter& parameter, double value) { return plans.best(device, parameter, value); };
    entry.of_kind = [&plans, device](const Parameter& parameter, double value) {
      return plans.of_kind(device, parameter, value);
    };
    problem.candidates.push_back(std::move(entry));
  }
  return what_if::run(problem);
}

}  // namespace tideline
