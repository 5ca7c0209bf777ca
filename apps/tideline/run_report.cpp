#include "run_report.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "plan_print.h"
#include "session/statistics.h"

namespace tideline::app {
namespace {

double field_median(const std::vector<RunAnswer>& answers, std::size_t stage, Millis StageReport::*field) {
  std::vector<double> values;
  for (const RunAnswer& answer : answers)
    if (stage < answer.stages.size()) values.push_back((answer.stages[stage].*field).count());
  return values.empty() ? 0 : median(std::move(values));
}

std::vector<double> latencies(const RunReport& report) {
  std::vector<double> values;
  for (const RunAnswer& answer : report.answers) values.push_back(answer.latency.count());
  return values;
}

nlohmann::json to_json(const RunReport& report, const std::string& emulation) {
  const Percentiles latency = percentiles(latencies(report));
  nlohmann::json json{{"latency_ms", {{"median", latency.median}, {"p90", latency.p90}, {"p99", latency.p99}}},
                      {"requests", report.answers.size()},
                      {"planner", report.planner},
                      {"segments_pushed", report.deployed.segments_pushed},
                      {"bytes_pushed", report.deployed.bytes_pushed},
                      {"stages", nlohmann::json::array()}};
  json["predicted_ms"] = report.predicted ? nlohmann::json(report.predicted->latency.count()) : nlohmann::json(nullptr);
  if (!emulation.empty()) json["emulation"] = emulation;
  json["made_up_inputs"] = report.made_up_inputs;
  const std::vector<StageReport>& shape = report.answers.front().stages;
  std::vector<double> inject;
  for (const RunAnswer& answer : report.answers) inject.push_back(answer.inject.count());
  json["inject_ms"] = median(inject);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    nlohmann::json stage{{"node", shape[i].node},
                         {"compute_ms", field_median(report.answers, i, &StageReport::compute)},
                         {"send_ms", field_median(report.answers, i, &StageReport::send)},
                         {"wait_ms", field_median(report.answers, i, &StageReport::queue)},
                         {"overhead_ms", field_median(report.answers, i, &StageReport::overhead)}};
    if (report.predicted && i < report.predicted->stages.size()) {
      const StageEstimate& predicted = report.predicted->stages[i];
      stage["predicted_compute_ms"] = predicted.compute.count();
      if (predicted.has_segment) stage["blocks"] = {predicted.first_block, predicted.last_block};
      if (i < report.predicted->hops.size()) stage["predicted_send_ms"] = report.predicted->hops[i].total().count();
    }
    json["stages"].push_back(std::move(stage));
  }
  if (report.verification.done) {
    // A model that draws random numbers has no answer to compare with.
    if (report.verification.random_ops.empty())
      json["verified"] = report.verification.holds();
    else
      json["verified"] = nullptr;
    json["random_ops"] = report.verification.random_ops;
    json["differs_by_engine"] = report.verification.is_engines;
    json["bit_identical"] = report.verification.difference.is_identical;
    json["max_abs_diff"] = report.verification.difference.absolute;
    json["tolerance"] = report.verification.tolerance;
  } else {
    json["verified"] = nullptr;
    json["max_abs_diff"] = nullptr;
  }
  return json;
}

std::string against(double measured, std::optional<double> predicted) {
  if (!predicted) return fmt::format("{:>11} {:>11} {:>7}", format_millis(Millis(measured)), "", "");
  const std::string ratio = measured > 0 ? fmt::format("{:.2f}", *predicted / measured) : "";
  return fmt::format("{:>11} {:>11} {:>7}", format_millis(Millis(measured)), format_millis(Millis(*predicted)), ratio);
}

void print_table(const RunReport& report, const std::string& emulation) {
  const Percentiles latency = percentiles(latencies(report));
  const std::optional<Estimate>& predicted = report.predicted;
  fmt::print("\n{:<34} {:>11} {:>11} {:>7}\n", fmt::format("where the time went ({} requests)", report.answers.size()),
             "measured", "predicted", "ratio");
  const std::vector<StageReport>& shape = report.answers.front().stages;
  double accounted = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const StageEstimate* stage = predicted && i < predicted->stages.size() ? &predicted->stages[i] : nullptr;
    std::string what = fmt::format("{} computes", shape[i].node);
    if (stage != nullptr)
      what = stage->has_segment ? fmt::format("{} computes blocks {}..{}", shape[i].node, stage->first_block, stage->last_block)
                                : fmt::format("{} passes on", shape[i].node);
    const double compute = field_median(report.answers, i, &StageReport::compute);
    accounted += compute;
    fmt::print("  {:<32} {}\n", what, against(compute, stage != nullptr ? std::optional(stage->compute.count()) : std::nullopt));
    const double queue = field_median(report.answers, i, &StageReport::queue);
    if (queue > 0.05) fmt::print("  {:<32} {}\n", fmt::format("{} queue", shape[i].node), against(queue, 0));
    accounted += queue;
    if (i + 1 < shape.size()) {
      const double send = field_median(report.answers, i, &StageReport::send);
      accounted += send;
      std::optional<double> hop;
      if (predicted && i < predicted->hops.size()) hop = predicted->hops[i].total().count();
      fmt::print("  {:<32} {}\n", fmt::format("{} -> {} ({})", shape[i].node, shape[i + 1].node, format_bytes(shape[i].bytes)),
                 against(send, hop));
    }
  }
  fmt::print("  {:<32} {}\n", "everything else", against(std::max(0.0, latency.median - accounted), std::nullopt));
  fmt::print("  {:<32} {}\n", "latency, median",
             against(latency.median, predicted ? std::optional(predicted->latency.count()) : std::nullopt));
  fmt::print("  {:<32} {:>11} {:>11}\n", "latency, p90 and p99", format_millis(Millis(latency.p90)),
             format_millis(Millis(latency.p99)));
  if (!emulation.empty()) fmt::print("  links: {}\n", emulation);
  if (report.verification.done) {
    const Verification& v = report.verification;
    if (!v.random_ops.empty())
      fmt::print(
          "\nnot compared with the unsplit model: the model draws random numbers ({}), so that two runs of it give two answers\n",
          fmt::join(v.random_ops, ", "));
    else if (v.is_engines)
      fmt::print(
          "\ndifferent from the unsplit model (largest difference {:.3g}), and not by the split: without the engine's optimiser "
          "the "
          "unsplit model differs from itself as much ({:.3g})\n",
          v.difference.absolute, v.engine_difference.absolute);
    else if (v.difference.is_identical)
      fmt::print("\nidentical to the unsplit model: every bit of {} output tensors\n", v.outputs);
    else if (v.difference.is_within_tolerance)
      fmt::print(
          "\nequal to the unsplit model within rounding: largest difference {:.3g} in {} output tensors (allowed: {:g} of the "
          "largest magnitude)\n",
          v.difference.absolute, v.outputs, v.tolerance);
    else
      fmt::print("\nDIFFERENT from the unsplit model: largest difference {:.3g}\n", v.difference.absolute);
  }
}

}  // namespace

void print_choice(const Context& context, const Cluster& cluster, const ChosenPlan& chosen) {
  if (context.output == Output::kTable && chosen.estimate) {
    const CostInput cost = chosen.inputs.cost(cluster);
    print_plan_table({.cost = &cost,
                      .input_name = chosen.inputs.input_name,
                      .chosen = {chosen.plan, *chosen.estimate, chosen.stats},
                      .candidates = chosen.candidates});
  }
  if (context.quiet) return;
  for (const std::string& note : chosen.inputs.notes) fmt::print(stderr, "note: {}\n", note);
}

void print_run(const Context& context, const RunReport& report, const std::string& emulation) {
  if (context.output == Output::kJson)
    fmt::print("{}\n", to_json(report, emulation).dump(2));
  else
    print_table(report, emulation);
}

int exit_code_of(const RunReport& report) {
  return report.verification.done && !report.verification.holds() ? kExitThresholdMissed : kExitOk;
}

}  // namespace tideline::app
