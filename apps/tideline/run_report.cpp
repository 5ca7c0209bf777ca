#include "run_report.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tideline::app {
namespace {

// Graph optimisers fuse differently across a cut, so the last bits may differ; this much of the largest magnitude is rounding.
constexpr double kTolerance = 1e-4;
// ... and this much whatever the magnitude: an answer of almost nothing has no digits to lose.
constexpr double kToleranceAbsolute = 1e-6;

template <typename T>
void compare_elements(const Tensor& reference, const Tensor& output, Verification& verification) {
  const std::size_t count = reference.data.size() / sizeof(T);
  double scale = 0;
  double worst = 0;
  bool comparable = true;
  for (std::size_t i = 0; i < count; ++i) {
    T a;
    T b;
    std::memcpy(&a, reference.data.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&b, output.data.data() + i * sizeof(T), sizeof(T));
    const double x = static_cast<double>(a);
    const double y = static_cast<double>(b);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x == y) continue;  // equal infinities too
    if (!std::isfinite(x) || !std::isfinite(y)) comparable = false;
    scale = std::max(scale, std::abs(x));
    worst = std::max(worst, std::abs(x - y));
  }
  for (std::size_t i = 0; worst > 0 && i < count; ++i) {
    T a;
    std::memcpy(&a, reference.data.data() + i * sizeof(T), sizeof(T));
    if (std::isfinite(static_cast<double>(a))) scale = std::max(scale, std::abs(static_cast<double>(a)));
  }
  verification.max_abs_diff = std::max(verification.max_abs_diff, worst);
  if (!comparable || worst > kTolerance * scale + kToleranceAbsolute) verification.within_tolerance = false;
}

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

nlohmann::json to_json(const RunReport& report) {
  const Percentiles latency = percentiles(latencies(report));
  nlohmann::json json{{"latency_ms", {{"median", latency.median}, {"p90", latency.p90}, {"p99", latency.p99}}},
                      {"requests", report.answers.size()},
                      {"planner", report.planner},
                      {"segments_pushed", report.deployed.segments_pushed},
                      {"bytes_pushed", report.deployed.bytes_pushed},
                      {"stages", nlohmann::json::array()}};
  json["predicted_ms"] = report.predicted ? nlohmann::json(report.predicted->latency.count()) : nlohmann::json(nullptr);
  if (!report.emulation.empty()) json["emulation"] = report.emulation;
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
    json["verified"] = report.verification.within_tolerance;
    json["bit_identical"] = report.verification.bit_identical;
    json["max_abs_diff"] = report.verification.max_abs_diff;
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

void print_table(const RunReport& report) {
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
  if (!report.emulation.empty()) fmt::print("  links: {}\n", report.emulation);
  if (report.verification.done) {
    const Verification& v = report.verification;
    if (v.bit_identical)
      fmt::print("\nidentical to the unsplit model: every bit of {} output tensors\n", v.outputs);
    else if (v.within_tolerance)
      fmt::print(
          "\nequal to the unsplit model within rounding: largest difference {:.3g} in {} output tensors (allowed: {:g} of the "
          "largest magnitude)\n",
          v.max_abs_diff, v.outputs, v.tolerance);
    else
      fmt::print("\nDIFFERENT from the unsplit model: largest difference {:.3g}\n", v.max_abs_diff);
  }
}

}  // namespace

Percentiles percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto rank = [&](double p) {
    const auto at = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
    return values[std::clamp<std::size_t>(at, 1, values.size()) - 1];
  };
  return {median(values), rank(0.90), rank(0.99)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void compare_output(const Tensor& reference, const Tensor& output, Verification& verification) {
  if (!verification.done) verification = {.done = true, .bit_identical = true, .within_tolerance = true, .tolerance = kTolerance};
  ++verification.outputs;
  if (reference.spec.dtype != output.spec.dtype || reference.spec.shape != output.spec.shape ||
      reference.data.size() != output.data.size()) {
    verification.bit_identical = verification.within_tolerance = false;
    return;
  }
  if (reference.data.empty() || std::memcmp(reference.data.data(), output.data.data(), reference.data.size()) == 0) return;
  verification.bit_identical = false;
  switch (reference.spec.dtype) {
    case DType::kFloat32: return compare_elements<float>(reference, output, verification);
    case DType::kFloat64: return compare_elements<double>(reference, output, verification);
    case DType::kInt64: return compare_elements<std::int64_t>(reference, output, verification);
    case DType::kInt32: return compare_elements<std::int32_t>(reference, output, verification);
    case DType::kUint8: return compare_elements<std::uint8_t>(reference, output, verification);
    case DType::kInt8: return compare_elements<std::int8_t>(reference, output, verification);
    // Of the other types only equal bits count.
    default: verification.within_tolerance = false;
  }
}

void print_run(const Context& context, const RunReport& report) {
  if (context.output == Output::kJson)
    fmt::print("{}\n", to_json(report).dump(2));
  else
    print_table(report);
}

}  // namespace tideline::app
