#include "session/advice.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

namespace tideline {
namespace {

std::vector<StageTime> stage_times(const RunReport& report) {
  std::vector<StageTime> times;
  const std::vector<StageEstimate>& predicted = report.predicted->stages;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    if (!predicted[i].has_segment) continue;
    StageTime stage{.node = predicted[i].node, .predicted = predicted[i].compute};
    for (const RunAnswer& answer : report.answers)
      if (i < answer.stages.size() && answer.stages[i].node == stage.node)
        stage.measured_ms.push_back(answer.stages[i].compute.count());
    times.push_back(std::move(stage));
  }
  return times;
}

bool same_placement(const Plan& a, const Plan& b) { return a.route == b.route && a.segments == b.segments; }

std::string placement(const Plan& plan) {
  std::string text;
  for (const PlanSegment& segment : plan.segments)
    text += fmt::format("{}{} blocks {}..{}", text.empty() ? "" : ", ", segment.node, segment.first_block, segment.last_block);
  return text;
}

}  // namespace

Result<Advice> advise(const RunReport& report, const ChosenPlan& chosen, const Cluster& cluster, const CancelToken& cancel) {
  Advice advice;
  if (!report.predicted || report.answers.empty() || chosen.inputs.by_node.size() != cluster.nodes.size()) return advice;
  for (HostFactor& factor : host_factors(stage_times(report)))
    if (factor.is_notable) advice.notable.push_back(std::move(factor));
  if (advice.notable.empty()) return advice;
  std::vector<std::unique_ptr<Profile>> profiles;
  CostInput cost = chosen.inputs.cost(cluster);
  for (std::size_t node = 0; node < cluster.nodes.size(); ++node) {
    const auto found = std::find_if(advice.notable.begin(), advice.notable.end(),
                                    [&](const HostFactor& factor) { return factor.node == cluster.nodes[node].name; });
    if (found == advice.notable.end()) continue;
    profiles.push_back(std::make_unique<Profile>(scaled(*cost.profiles[node], found->factor)));
    cost.profiles[node] = profiles.back().get();
  }
  TIDELINE_TRY(const Estimate now, estimate(cost, chosen.plan));
  advice.now = now.latency;
  TIDELINE_TRY(PlanResult best, run_planner({.cost = cost, .cancel = cancel}, "auto"));
  if (!same_placement(best.plan, chosen.plan) && best.estimate.latency < advice.now) advice.better = std::move(best);
  return advice;
}

std::vector<std::string> describe(const Advice& advice) {
  std::vector<std::string> lines;
  for (const HostFactor& factor : advice.notable) lines.push_back(describe(factor));
  if (advice.better)
    lines.push_back(
        fmt::format("on hosts as they are now the best plan would be: {} ({} instead of {}); measure again with `tideline "
                    "profile` for exact figures",
                    placement(advice.better->plan), format_millis(advice.better->estimate.latency), format_millis(advice.now)));
  return lines;
}

}  // namespace tideline
