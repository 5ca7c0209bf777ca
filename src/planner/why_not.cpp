#include "planner/why_not.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "planner/search_walks.h"

namespace tideline {

Result<std::vector<LimitReport>> why_not(const Question& question, std::uint32_t keep, const AnswerTo& answer_to) {
  std::vector<LimitReport> report;
  Question alone = question;
  alone.pareto.clear();
  alone.limits = {};
  // What the question allows does not change while its limits are dropped one by one.
  const auto is_possible = [&](const Limits& limits, bool keeps_on_source) -> Result<bool> {
    Question part{.objective = Objective::kLatency, .limits = limits};
    if (question.may_lose_accuracy() && !limits.of(Objective::kAccuracy))
      part.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    part.tolerance = question.tolerance;
    part.keep_on_source = keeps_on_source ? keep : 0;
    const auto plan = answer_to(part);
    if (plan) return true;
    if (plan.error().code == ErrorCode::kInfeasible) return false;
    return plan.error();
  };
  for (const Objective objective : kObjectives) {
    const auto limit = question.limits.of(objective);
    if (!limit) continue;
    LimitReport entry{.quantity = std::string(to_string(objective)), .limit = *limit};
    Question best = alone;
    best.objective = objective;
    if (question.may_lose_accuracy()) best.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    const auto plan = answer_to(best);
    if (!plan && plan.error().code != ErrorCode::kInfeasible) return plan.error();
    if (plan) entry.alone = plan->of(objective);
    report.push_back(std::move(entry));
  }
  if (question.limits.memory) report.push_back({.quantity = "memory"});
  if (keep > 0) report.push_back({.quantity = "keep-on-source", .limit = static_cast<double>(keep)});
  // Drop one after the other; what cannot be dropped clashes.
  Limits limits = question.limits;
  bool keeps_on_source = keep > 0;
  for (LimitReport& entry : report) {
    const Limits before = limits;
    const bool kept_before = keeps_on_source;
    if (entry.quantity == "memory") {
      limits.memory = false;
    } else if (entry.quantity == "keep-on-source") {
      keeps_on_source = false;
    } else {
      TIDELINE_TRY(const Objective objective, parse_objective(entry.quantity));
      limits.by[std::size_t(objective)] = std::nullopt;
    }
    TIDELINE_TRY(const bool possible, is_possible(limits, keeps_on_source));
    if (!possible) continue;
    entry.clashes = true;
    limits = before;
    keeps_on_source = kept_before;
  }
  return report;
}

std::string describe(const std::vector<LimitReport>& report) {
  std::vector<std::string> clashing;
  std::vector<std::string> alone;
  for (const LimitReport& entry : report) {
    const auto objective = parse_objective(entry.quantity);
    if (objective && entry.alone) alone.push_back(fmt::format("{} {}", entry.quantity, format_value(*objective, *entry.alone)));
    if (!entry.clashes) continue;
    if (entry.quantity == "memory")
      clashing.emplace_back("the devices' memory");
    else if (!objective)
      clashing.push_back(fmt::format("{} ops on the source", entry.limit));
    else
      clashing.push_back(fmt::format("{} {} {}", entry.quantity,
                                     *objective == Objective::kAccuracy ? ">=" : "<=", format_value(*objective, entry.limit)));
  }
  return fmt::format("[plan] no plan keeps {}{}{}", fmt::join(clashing, " and "), clashing.size() > 1 ? " together" : "",
                     alone.empty() ? "" : fmt::format("; alone, the best possible is {}", fmt::join(alone, ", ")));
}

}  // namespace tideline
