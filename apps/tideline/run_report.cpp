#include "run_report.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plan/plan.h"
#include "plan_print.h"
#include "platform/files.h"
#include "report/table.h"
#include "session/advice.h"
#include "session/statistics.h"

namespace tideline::app {
namespace {

std::vector<double> latencies(const RunReport& report) {
  std::vector<double> values;
  for (const RunAnswer& answer : report.answers) values.push_back(answer.latency.count());
  return values;
}

// The requests in the middle by latency: their means are what a request takes, and the parts add up to the whole.
class Typical {
 public:
  explicit Typical(const RunReport& report) : report_(report), picks_(middle_half(latencies(report))) {}
  template <class Value>
  double mean(Value value) const {
    double sum = 0;
    for (const std::size_t pick : picks_) sum += value(pick);
    return sum / static_cast<double>(picks_.size());
  }
  double mean(std::size_t stage, Millis StageReport::*field) const {
    return mean([&](std::size_t pick) {
      const std::vector<StageReport>& stages = report_.answers[pick].stages;
      return stage < stages.size() ? (stages[stage].*field).count() : 0.0;
    });
  }
  double mean(Millis RunAnswer::*field) const {
    return mean([&](std::size_t pick) { return (report_.answers[pick].*field).count(); });
  }
  double wait() const {
    return mean([&](std::size_t pick) { return report_.waits_ms[pick]; });
  }

 private:
  const RunReport& report_;
  const std::vector<std::size_t> picks_;
};

// What was predicted for a stage, and for the call that it makes; null where nothing was.
const StageEstimate* predicted_stage(const std::optional<Estimate>& predicted, const StageReport& stage) {
  if (!predicted) return nullptr;
  for (const StageEstimate& other : predicted->stages)
    if (other.at == stage.stage) return &other;
  return nullptr;
}

const HopEstimate* predicted_hop(const std::optional<Estimate>& predicted, const StageReport& stage) {
  if (!predicted) return nullptr;
  for (const HopEstimate& other : predicted->hops)
    if (other.at == stage.stage) return &other;
  return nullptr;
}

nlohmann::json to_json(const RunReport& report, const std::string& emulation, const Advice& advice) {
  const Percentiles latency = percentiles(latencies(report));
  nlohmann::json json{{"latency_ms", {{"median", latency.median}, {"p90", latency.p90}, {"p99", latency.p99}}},
                      {"requests", report.answers.size()},
                      {"complete", !report.ended},
                      {"planner", report.planner},
                      {"exit", report.exit ? nlohmann::json(*report.exit) : nlohmann::json(nullptr)},
                      {"result_to", to_string(report.result_to)},
                      {"segments_pushed", report.deployed.segments_pushed},
                      {"bytes_pushed", report.deployed.bytes_pushed},
                      {"throughput_per_s", report.throughput_per_s},
                      {"in_flight", report.settings.in_flight},
                      {"bottleneck_ms", report.bottleneck.time.count()},
                      {"bottleneck", report.bottleneck.what},
                      {"dropped", report.dropped},
                      {"source_wait_ms", median(report.waits_ms)},
                      {"stages", nlohmann::json::array()}};
  if (report.ended) json["error"] = error_json(*report.ended);
  json["predicted_ms"] = report.predicted ? nlohmann::json(report.predicted->latency.count()) : nlohmann::json(nullptr);
  json["measured_over_predicted"] = advice.ratio > 0 ? nlohmann::json(advice.ratio) : nlohmann::json(nullptr);
  json["hosts"] = nlohmann::json::array();
  for (const HostFactor& host : advice.hosts) json["hosts"].push_back({{"node", host.node}, {"times_slower", host.factor}});
  json["advice"] = advice.sentences;
  json["corrected_plan"] = nullptr;
  if (advice.correction)
    json["corrected_plan"] = {{"plan", nlohmann::json::parse(write_plan(advice.correction->plan))},
                              {"latency_ms", advice.correction->latency.count()},
                              {"latency_ms_as_it_is", advice.correction->as_it_is.count()}};
  if (!emulation.empty()) json["emulation"] = emulation;
  json["made_up_inputs"] = report.made_up_inputs;
  const std::vector<StageReport>& shape = report.answers.front().stages;
  const Typical typical(report);
  json["inject_ms"] = typical.mean(&RunAnswer::inject);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    nlohmann::json stage{{"node", shape[i].node},
                         {"compute_ms", typical.mean(i, &StageReport::compute)},
                         {"send_ms", typical.mean(i, &StageReport::send)},
                         {"wait_ms", typical.mean(i, &StageReport::queue)},
                         {"overhead_ms", typical.mean(i, &StageReport::overhead)},
                         {"encode_ms", typical.mean(i, &StageReport::encode)},
                         {"decode_ms", typical.mean(i, &StageReport::decode)},
                         {"bytes", shape[i].bytes}};
    if (const StageEstimate* predicted = predicted_stage(report.predicted, shape[i])) {
      stage["predicted_compute_ms"] = predicted->compute.count();
      stage["predicted_encode_ms"] = predicted->encode.count();
      stage["predicted_decode_ms"] = predicted->decode.count();
      if (predicted->has_segment) stage["blocks"] = {predicted->first_block, predicted->last_block};
    }
    if (const HopEstimate* hop = predicted_hop(report.predicted, shape[i])) stage["predicted_send_ms"] = hop->on_link().count();
    json["stages"].push_back(std::move(stage));
  }
  if (report.verification.done) {
    // A model that draws random numbers has no answer to compare with.
    if (report.verification.random_ops.empty() && !report.verification.is_unjudged())
      json["verified"] = report.verification.holds();
    else
      json["verified"] = nullptr;
    json["random_ops"] = report.verification.random_ops;
    json["differs_by_engine"] = report.verification.is_engines;
    json["bit_identical"] = report.verification.difference.is_identical;
    json["max_abs_diff"] = report.verification.difference.absolute;
    json["max_rel_diff"] = report.verification.difference.relative;
    json["tolerance"] = report.verification.allowed.value_or(report.verification.tolerance);
    json["lossy_codecs"] = report.verification.lossy_codecs;
  } else {
    json["verified"] = nullptr;
    json["max_abs_diff"] = nullptr;
  }
  return json;
}

// Where the time went: a row for each stage, hop and wait, then the whole.
class TimeTable {
 public:
  explicit TimeTable(std::size_t requests)
      : table_({{fmt::format("where the time went ({} requests)", requests), "what", report::Table::kLeft},
                {"measured", "measured_ms"},
                {"predicted", "predicted_ms"},
                {"ratio", "predicted_over_measured"}}) {}

  void add(const std::string& what, double measured, std::optional<double> predicted) {
    if (!predicted) return table_.add({what, time(measured)});
    const double ratio = measured > 0 ? *predicted / measured : std::nan("");
    table_.add({what, time(measured), time(*predicted), {measured > 0 ? fmt::format("{:.2f}", ratio) : "", ratio}});
  }
  const report::Table& table() const { return table_; }

 private:
  static report::Table::Cell time(double ms) { return {format_millis(Millis(ms)), ms}; }
  report::Table table_;
};

report::Table time_table(const RunReport& report) {
  const Percentiles latency = percentiles(latencies(report));
  const std::optional<Estimate>& predicted = report.predicted;
  TimeTable table(report.answers.size());
  const std::vector<StageReport>& shape = report.answers.front().stages;
  const Typical typical(report);
  double accounted = 0;
  if (const double wait = typical.wait(); wait > 0.05) {
    table.add("waits at the source", wait, std::nullopt);
    accounted += wait;
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const StageEstimate* stage = predicted_stage(predicted, shape[i]);
    // What a codec takes belongs to the hop, and stands beside it.
    const auto add_coding = [&](const char* does, Millis StageReport::*measured, Millis StageEstimate::*expected) {
      const double time = typical.mean(i, measured);
      if (time <= 0 && (stage == nullptr || (stage->*expected).count() <= 0)) return;
      accounted += time;
      table.add(fmt::format("{} {}", shape[i].node, does), time,
                stage != nullptr ? std::optional((stage->*expected).count()) : std::nullopt);
    };
    add_coding("decodes", &StageReport::decode, &StageEstimate::decode);
    std::string what = fmt::format("{} computes", shape[i].node);
    if (stage != nullptr)
      what = stage->has_segment ? fmt::format("{} computes blocks {}..{}", shape[i].node, stage->first_block, stage->last_block)
                                : fmt::format("{} passes on", shape[i].node);
    const double compute = typical.mean(i, &StageReport::compute);
    accounted += compute;
    table.add(what, compute, stage != nullptr ? std::optional(stage->compute.count()) : std::nullopt);
    const double queue = typical.mean(i, &StageReport::queue);
    if (queue > 0.05) table.add(fmt::format("{} queue", shape[i].node), queue, 0);
    accounted += queue;
    add_coding("encodes", &StageReport::encode, &StageEstimate::encode);
    const HopEstimate* hop = predicted_hop(predicted, shape[i]);
    const double send = typical.mean(i, &StageReport::send);
    // A stage on the way back need not call anybody.
    if (i + 1 < shape.size() && (hop != nullptr || send > 0)) {
      accounted += send;
      table.add(fmt::format("{} -> {} ({})", shape[i].node, shape[i + 1].node, format_bytes(shape[i].bytes)), send,
                hop != nullptr ? std::optional(hop->on_link().count()) : std::nullopt);
    }
  }
  table.add("everything else", std::max(0.0, typical.mean(&RunAnswer::latency) - accounted), std::nullopt);
  table.add("latency, median", latency.median, predicted ? std::optional(predicted->latency.count()) : std::nullopt);
  table.add("latency, p90", latency.p90, std::nullopt);
  table.add("latency, p99", latency.p99, std::nullopt);
  return table.table();
}

void print_stream(const RunReport& report) {
  fmt::print("{:.2f} frames per second with up to {} in flight; slowest: {}, {} ({:.0f} % of the time)\n",
             report.throughput_per_s, report.settings.in_flight, report.bottleneck.what, format_millis(report.bottleneck.time),
             std::min(100.0, report.throughput_per_s * report.bottleneck.time.count() / 10));
  const std::uint64_t frames = report.answers.size() + report.dropped;
  if (report.settings.drop != DropRule::kNone)
    fmt::print("dropped {} of {} frames ({:.0f} %)\n", report.dropped, frames,
               100 * static_cast<double>(report.dropped) / static_cast<double>(frames));
}

void print_verification(const Verification& v) {
  if (!v.random_ops.empty())
    fmt::print(
        "\nnot compared with the unsplit model: the model draws random numbers ({}), so that two runs of it give two answers\n",
        fmt::join(v.random_ops, ", "));
  else if (v.allowed)
    fmt::print("\n{} the unsplit model: largest difference {:.3g}, {:.3g} of the largest magnitude{} (allowed: {:g})\n",
               v.holds() ? "within the tolerance of" : "DIFFERENT from", v.difference.absolute, v.difference.relative,
               v.lossy_codecs.empty() ? "" : fmt::format(", in {}", fmt::join(v.lossy_codecs, ", ")), *v.allowed);
  else if (v.is_unjudged())
    fmt::print(
        "\ndiffers from the unsplit model by {:.3g}, {:.3g} of the largest magnitude, as {} does; give --tolerance to judge\n",
        v.difference.absolute, v.difference.relative, fmt::join(v.lossy_codecs, " and "));
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

// "12 of 20 requests", "12 requests".
std::string progress_of(const RunReport& report) {
  const std::size_t done = report.answers.size();
  return report.settings.requests > 0 ? fmt::format("{} of {} requests", done, report.settings.requests)
                                      : fmt::format("{} request{}", done, done == 1 ? "" : "s");
}

}  // namespace

void print_choice(const Context& context, const Cluster& cluster, const ChosenPlan& chosen) {
  if (is_prose(context) && chosen.estimate) {
    const CostInput cost = chosen.inputs.cost(cluster);
    print_plan_table(context, {.cost = &cost,
                               .input_name = chosen.inputs.input_name,
                               .chosen = {chosen.plan, *chosen.estimate, chosen.stats},
                               .candidates = chosen.candidates});
  }
  if (context.quiet) return;
  for (const std::string& note : chosen.inputs.notes) fmt::print(stderr, "note: {}\n", note);
}

namespace {

void print_run(const Context& context, const RunReport& report, const std::string& emulation, const Advice& advice) {
  if (report.ended)
    fmt::print(stderr, "tideline: ended after {}; the figures are of those: {}\n", progress_of(report),
               printable(report.ended->message, kMessageBytesMax));
  if (context.output == Output::kJson) {
    fmt::print("{}\n", to_json(report, emulation, advice).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  if (!is_csv(context)) fmt::print("\n");
  print_table(context, time_table(report), "  ");
  if (is_csv(context)) return;
  if (context.output == Output::kMarkdown) fmt::print("\n");
  if (report.settings.is_stream()) print_stream(report);
  if (!emulation.empty()) fmt::print("links: {}\n", emulation);
  if (report.verification.done) print_verification(report.verification);
  if (!advice.sentences.empty()) fmt::print("\n");
  for (const std::string& sentence : advice.sentences) fmt::print("{}\n", printable(sentence, kMessageBytesMax));
  if (report.ended) fmt::print("\nended after {}: the figures are of those\n", progress_of(report));
}

int exit_code_after(const RunReport& report) {
  if (report.ended) return exit_code_of(report.ended->code);
  return report.verification.done && !report.verification.holds() ? kExitThresholdMissed : kExitOk;
}

}  // namespace

Status finish_run(Context& context, const RunArguments& arguments, const RunReport& report, const ChosenPlan& chosen,
                  const Cluster& cluster, const std::string& emulation) {
  // What was measured is printed also where there is no time to think about it.
  Advice advice;
  if (!context.interrupted.cancelled())
    if (auto given = advise(report, chosen, cluster, StepBar(context).control())) advice = std::move(*given);
  print_run(context, report, emulation, advice);
  context.exit_code = exit_code_after(report);
  if (!advice.correction) return {};
  if (arguments.corrected_plan.empty()) {
    if (is_prose(context)) fmt::print("(--corrected-plan FILE writes it, for --plan)\n");
    return {};
  }
  TIDELINE_CHECK_OK(write_file_atomic(arguments.corrected_plan, write_plan(advice.correction->plan)));
  if (!context.quiet) fmt::print(stderr, "wrote {}\n", arguments.corrected_plan);
  return {};
}

}  // namespace tideline::app
