#include "session/advice.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "session/statistics.h"

namespace tideline {
namespace {

const StageReport* stage_of(const RunAnswer& answer, std::uint32_t stage) {
  for (const StageReport& report : answer.stages)
    if (report.stage == stage) return &report;
  return nullptr;
}

std::vector<double> measured(const RunReport& report, std::uint32_t stage, Millis StageReport::*field) {
  std::vector<double> values;
  for (const RunAnswer& answer : report.answers)
    if (const StageReport* found = stage_of(answer, stage)) values.push_back((found->*field).count());
  return values;
}

// The stages that computed, with what was predicted for them.
std::vector<StageTime> stage_times(const RunReport& report) {
  std::vector<StageTime> times;
  for (const StageEstimate& predicted : report.predicted->stages)
    if (predicted.has_segment)
      times.push_back({predicted.node, predicted.compute, measured(report, predicted.at, &StageReport::compute)});
  return times;
}

std::string placement_of(const Plan& plan) {
  std::string text;
  for (const PlanSegment& segment : plan.segments)
    text += fmt::format("{}{} {}-{}", text.empty() ? "" : " | ", segment.node, segment.first_block, segment.last_block);
  return text;
}

// What took longer than it should: the hop or the stage with the largest share of the difference.
std::string largest_share(const RunReport& report) {
  std::string what;
  double most = 0;
  const auto consider = [&](const std::string& name, double difference) {
    if (difference > most) {
      most = difference;
      what = fmt::format("{} ({} more than predicted)", name, format_millis(Millis(difference)));
    }
  };
  const auto median_of = [&](std::uint32_t stage, Millis StageReport::*field) {
    std::vector<double> values = measured(report, stage, field);
    return values.empty() ? 0.0 : median(std::move(values));
  };
  for (const StageEstimate& stage : report.predicted->stages) {
    consider("waiting for the engine of " + stage.node, median_of(stage.at, &StageReport::queue));
    consider(stage.node + " computing", median_of(stage.at, &StageReport::compute) - stage.compute.count());
  }
  for (const HopEstimate& hop : report.predicted->hops)
    consider(fmt::format("the link {} -> {}", hop.from, hop.to), median_of(hop.at, &StageReport::send) - hop.on_link().count());
  return what;
}

}  // namespace

Result<Advice> advise(const RunReport& report, const ChosenPlan& chosen, const Cluster& cluster, const Control& control) {
  Advice advice;
  if (!report.predicted || report.predicted->latency <= Millis(0) || chosen.inputs.by_node.size() != cluster.nodes.size())
    return advice;
  std::vector<double> latencies;
  // What frames waited for each other is no fault of the prediction, which is of one request alone.
  for (std::size_t i = 0; i < report.answers.size(); ++i)
    latencies.push_back(report.answers[i].latency.count() - (i < report.waits_ms.size() ? report.waits_ms[i] : 0));
  advice.ratio = median(latencies) / report.predicted->latency.count();

  CostInput cost = chosen.inputs.cost(cluster);
  std::vector<std::unique_ptr<Profile>> corrected;
  for (const HostFactor& host : host_factors(stage_times(report))) {
    if (!host.is_notable) continue;
    advice.hosts.push_back(host);
    advice.sentences.push_back(describe(host));
    for (std::size_t node = 0; node < cluster.nodes.size(); ++node)
      if (cluster.nodes[node].name == host.node) {
        corrected.push_back(std::make_unique<Profile>(scaled(*cost.profiles[node], host.factor)));
        cost.profiles[node] = corrected.back().get();
      }
  }
  // With several requests in flight a latency is also the others'.
  const bool alone = report.settings.in_flight == 1;
  if (alone && (advice.ratio > kRatioNotable || advice.ratio < 1 / kRatioNotable)) {
    std::string sentence = fmt::format("measured {:.2f} times the predicted latency", advice.ratio);
    if (const std::string share = largest_share(report); advice.ratio > 1 && !share.empty())
      sentence += ", most of it for " + share;
    if (advice.hosts.empty()) sentence += "; measure the links (`bandwidth` and `rtt` in the cluster file) or the profile again";
    advice.sentences.push_back(std::move(sentence));
  }
  if (advice.hosts.empty()) return advice;
  const PlanRequest request{.cost = cost, .question = {.tolerance = chosen.plan.tolerance}, .cancel = control.cancel};
  TIDELINE_TRY(PlanResult best, run_planner(request, "auto"));
  TIDELINE_TRY(const Estimate same, estimate(cost, chosen.plan));
  if ((best.plan.route == chosen.plan.route && best.plan.segments == chosen.plan.segments) ||
      best.estimate.latency >= same.latency)
    return advice;
  advice.correction = {std::move(best.plan), best.estimate.latency, same.latency};
  advice.sentences.push_back(fmt::format("with these times the best plan is {}: {} instead of {}",
                                         placement_of(advice.correction->plan), format_millis(advice.correction->latency),
                                         format_millis(advice.correction->as_it_is)));
  return advice;
}

}  // namespace tideline
