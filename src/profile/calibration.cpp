#include "profile/calibration.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"
#include "profile/read_list.h"

namespace tideline {
namespace {

constexpr int kCalibrationVersion = 1;
// Times beyond a day, in milliseconds, are damage.
constexpr NumberRange kSampleMillis{.min = 0, .max = 86'400'000};
// A petabyte per second is faster than any memory.
constexpr NumberRange kRate{.min = 0, .max = 1e15};
// Loads that take this much longer come from further away; those of one cache grow by less from one working set to the next.
constexpr double kStep = 1.5;
constexpr double kPlateau = 1.15;

Result<std::vector<std::int64_t>> read_shape(const nlohmann::json& json, const JsonMap& map, std::string_view key) {
  std::vector<std::int64_t> shape;
  if (!json.is_array() || json.size() > limits::kTensorRankMax)
    return map.error(key, fmt::format("must be a list of at most {} dimensions", limits::kTensorRankMax));
  for (const nlohmann::json& dim : json) {
    if (!dim.is_number_integer() || dim < 0 || dim > limits::kCalibrationDimensionMax)
      return map.error(key, fmt::format("must have whole dimensions of 0 to {}", limits::kCalibrationDimensionMax));
    shape.push_back(dim.get<std::int64_t>());
  }
  return shape;
}

Result<std::vector<std::int64_t>> read_pair(JsonMap& map, std::string_view key) {
  if (!map.has(key)) return std::vector<std::int64_t>{};
  TIDELINE_TRY(const nlohmann::json* json, map.array(key));
  TIDELINE_TRY(std::vector<std::int64_t> pair, read_shape(*json, map, key));
  if (pair.size() != 2) return map.error(key, "must be a height and a width");
  return pair;
}

Result<std::vector<std::vector<std::int64_t>>> read_shapes(JsonMap& map, std::string_view key, std::size_t min) {
  std::vector<std::vector<std::int64_t>> shapes;
  TIDELINE_TRY(const nlohmann::json* list, map.array(key));
  if (list->size() < min || list->size() > limits::kCalibrationPartsMax)
    return map.error(key, fmt::format("must be {} to {} shapes", min, limits::kCalibrationPartsMax));
  for (const nlohmann::json& json : *list) {
    TIDELINE_TRY(std::vector<std::int64_t> shape, read_shape(json, map, key));
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

Result<std::vector<std::int64_t>> read_window(JsonMap& map, std::string_view key) {
  if (!map.has(key)) return std::vector<std::int64_t>{};
  TIDELINE_TRY(const nlohmann::json* json, map.array(key));
  return read_shape(*json, map, key);
}

Result<SampleKernel> read_kernel(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  SampleKernel kernel;
  TIDELINE_TRY(kernel.type, map.text("type"));
  TIDELINE_TRY(const double time, map.number("time_ms", kSampleMillis));
  TIDELINE_TRY(kernel.blocked, map.boolean_or("blocked", false));
  if (map.has("inputs")) {
    TIDELINE_TRY(kernel.inputs, read_shapes(map, "inputs", 0));
  }
  if (map.has("outputs")) {
    TIDELINE_TRY(kernel.outputs, read_shapes(map, "outputs", 0));
  }
  TIDELINE_TRY(kernel.kernel, read_window(map, "kernel"));
  TIDELINE_TRY(kernel.stride, read_window(map, "stride"));
  TIDELINE_TRY(kernel.groups, map.integer_or("groups", 1, 1, limits::kCalibrationDimensionMax));
  TIDELINE_CHECK_OK(map.finish());
  kernel.time = Millis(time);
  return kernel;
}

Result<OperatorSample> read_operator(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  OperatorSample sample;
  TIDELINE_TRY(sample.kind, map.text("kind"));
  TIDELINE_TRY(const nlohmann::json* ops, map.array("ops"));
  if (ops->empty() || ops->size() > limits::kCalibrationPartsMax)
    return map.error("ops", fmt::format("must be 1 to {} names of operators", limits::kCalibrationPartsMax));
  for (const nlohmann::json& op : *ops) {
    if (!op.is_string()) return map.error("ops", "must be names of operators");
    sample.ops.push_back(op.get<std::string>());
  }
  TIDELINE_TRY(sample.inputs, read_shapes(map, "inputs", 1));
  TIDELINE_TRY(const nlohmann::json* output, map.array("output"));
  TIDELINE_TRY(sample.output, read_shape(*output, map, "output"));
  TIDELINE_TRY(sample.kernel, read_pair(map, "kernel"));
  TIDELINE_TRY(sample.stride, read_pair(map, "stride"));
  TIDELINE_TRY(sample.groups, map.integer_or("groups", 1, 1, limits::kCalibrationDimensionMax));
  TIDELINE_TRY(const std::int64_t flops, map.integer("flops", 0, limits::kCalibrationCountMax));
  TIDELINE_TRY(const std::int64_t weights, map.integer("weight_bytes", 0, limits::kCalibrationCountMax));
  TIDELINE_TRY(const double time, map.number("time_ms", kSampleMillis));
  TIDELINE_TRY(const double spread, map.number("spread_ms", kSampleMillis));
  TIDELINE_TRY(const double wall, map.number("wall_ms", kSampleMillis));
  TIDELINE_CHECK_OK(read_list(map, "kernels", sample.kernels, read_kernel, limits::kCalibrationPartsMax));
  TIDELINE_CHECK_OK(map.finish());
  sample.flops = static_cast<std::uint64_t>(flops);
  sample.weight_bytes = static_cast<Bytes>(weights);
  sample.time = Millis(time);
  sample.spread = Millis(spread);
  sample.wall = Millis(wall);
  return sample;
}

Result<MemoryPoint> read_memory(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  MemoryPoint point;
  TIDELINE_TRY(const std::int64_t bytes, map.integer("bytes", 1, limits::kCalibrationCountMax));
  TIDELINE_TRY(point.read_bytes_per_s, map.number("read_bytes_per_s", kRate));
  TIDELINE_TRY(point.copy_bytes_per_s, map.number("copy_bytes_per_s", kRate));
  TIDELINE_TRY(point.latency_ns, map.number("latency_ns", {.min = 0, .max = 1e12}));
  TIDELINE_CHECK_OK(map.finish());
  point.bytes = static_cast<Bytes>(bytes);
  return point;
}

Result<ThreadPoint> read_scaling(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  ThreadPoint point;
  TIDELINE_TRY(point.kind, map.text("kind"));
  TIDELINE_TRY(const std::int64_t threads, map.integer("threads", 1, limits::kEngineThreadsMax));
  TIDELINE_TRY(const double time, map.number("time_ms", kSampleMillis));
  TIDELINE_CHECK_OK(map.finish());
  point.threads = static_cast<int>(threads);
  point.time = Millis(time);
  return point;
}

nlohmann::ordered_json kernel_json(const SampleKernel& kernel) {
  nlohmann::ordered_json json{{"type", kernel.type}, {"time_ms", kernel.time.count()}};
  if (kernel.blocked) json["blocked"] = true;
  if (!kernel.inputs.empty()) json["inputs"] = kernel.inputs;
  if (!kernel.outputs.empty()) json["outputs"] = kernel.outputs;
  if (!kernel.kernel.empty()) json["kernel"] = kernel.kernel;
  if (!kernel.stride.empty()) json["stride"] = kernel.stride;
  if (kernel.groups != 1) json["groups"] = kernel.groups;
  return json;
}

nlohmann::ordered_json operator_json(const OperatorSample& sample) {
  nlohmann::ordered_json json{{"kind", sample.kind}, {"ops", sample.ops}, {"inputs", sample.inputs}, {"output", sample.output}};
  if (!sample.kernel.empty()) json["kernel"] = sample.kernel;
  if (!sample.stride.empty()) json["stride"] = sample.stride;
  if (sample.groups != 1) json["groups"] = sample.groups;
  json["flops"] = sample.flops;
  json["weight_bytes"] = sample.weight_bytes;
  json["time_ms"] = sample.time.count();
  json["spread_ms"] = sample.spread.count();
  json["wall_ms"] = sample.wall.count();
  json["kernels"] = nlohmann::ordered_json::array();
  for (const SampleKernel& kernel : sample.kernels) json["kernels"].push_back(kernel_json(kernel));
  return json;
}

Status check_order(const JsonMap& map, const Calibration& calibration) {
  for (std::size_t i = 1; i < calibration.memory.size(); ++i)
    if (calibration.memory[i].bytes <= calibration.memory[i - 1].bytes)
      return map.error("memory", "must have ascending bytes, each once");
  if (calibration.caches != cache_steps(calibration.memory))
    return map.error("caches", "must be the steps of latency_ns in memory (docs/formats/calibration.md)");
  return {};
}

}  // namespace

std::vector<Bytes> cache_steps(const std::vector<MemoryPoint>& memory) {
  std::vector<Bytes> steps;
  if (memory.empty()) return steps;
  double level = memory.front().latency_ns;
  for (std::size_t i = 1; i < memory.size(); ++i) {
    if (memory[i].latency_ns < kStep * level) continue;
    steps.push_back(memory[i - 1].bytes);
    // The way up to the next plateau is no step of its own.
    while (i + 1 < memory.size() && memory[i + 1].latency_ns > kPlateau * memory[i].latency_ns) ++i;
    level = memory[i].latency_ns;
  }
  return steps;
}

Millis operator_time(const OperatorSample& sample) {
  constexpr std::string_view kMaker = "Neg";
  if (std::find(sample.ops.begin(), sample.ops.end(), kMaker) != sample.ops.end()) return sample.time;
  Millis all(0);
  Millis own(0);
  for (const SampleKernel& kernel : sample.kernels) {
    all += kernel.time;
    if (kernel.type != kMaker) own += kernel.time;
  }
  return all > Millis(0) && own > Millis(0) ? sample.time * (own / all) : sample.time;
}

std::string write_calibration(const Calibration& calibration) {
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  // A line each: thousands of them, with a number on a line of its own, would be ten times as long.
  std::string operators;
  for (const OperatorSample& sample : calibration.operators)
    operators += (operators.empty() ? "\n  " : ",\n  ") + operator_json(sample).dump(-1, ' ', false, kReplace);
  auto memory = nlohmann::ordered_json::array();
  for (const MemoryPoint& point : calibration.memory)
    memory.push_back({{"bytes", point.bytes},
                      {"read_bytes_per_s", point.read_bytes_per_s},
                      {"copy_bytes_per_s", point.copy_bytes_per_s},
                      {"latency_ns", point.latency_ns}});
  auto scaling = nlohmann::ordered_json::array();
  for (const ThreadPoint& point : calibration.scaling)
    scaling.push_back({{"kind", point.kind}, {"threads", point.threads}, {"time_ms", point.time.count()}});
  const nlohmann::ordered_json json{{"tideline_calibration", kCalibrationVersion},
                                    {"host", calibration.host},
                                    {"threads", calibration.threads},
                                    {"engine", calibration.engine},
                                    {"date", calibration.date},
                                    {"complete", calibration.complete},
                                    {"reference_ms", calibration.reference.count()},
                                    {"reference_spread_ms", calibration.reference_spread.count()},
                                    {"caches", calibration.caches},
                                    {"memory", std::move(memory)},
                                    {"scaling", std::move(scaling)}};
  std::string text = json.dump(1, ' ', false, kReplace);
  text.resize(text.size() - 2);  // without the end: "\n}"
  return text + ",\n \"operators\": [" + operators + "\n ]\n}\n";
}

Result<Calibration> parse_calibration(std::string_view text, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(text, name));
  JsonMap map(document, std::string(name), "");
  TIDELINE_TRY(const std::int64_t version, map.integer("tideline_calibration", 0, 1 << 30));
  if (version != kCalibrationVersion)
    return map.error("tideline_calibration",
                     fmt::format("is version {}, this build reads version {}; measure again with: tideline calibrate", version,
                                 kCalibrationVersion));
  Calibration calibration;
  TIDELINE_TRY(calibration.host, map.text("host"));
  TIDELINE_TRY(const std::int64_t threads, map.integer("threads", 1, limits::kEngineThreadsMax));
  TIDELINE_TRY(calibration.engine, map.text("engine"));
  TIDELINE_TRY(calibration.date, map.text("date"));
  TIDELINE_TRY(calibration.complete, map.boolean_or("complete", true));
  TIDELINE_TRY(const double reference, map.number("reference_ms", kSampleMillis));
  TIDELINE_TRY(const double spread, map.number("reference_spread_ms", kSampleMillis));
  TIDELINE_TRY(const nlohmann::json* caches, map.array("caches"));
  for (const nlohmann::json& cache : *caches) {
    if (!cache.is_number_integer() || cache < 1 || cache > limits::kCalibrationCountMax ||
        calibration.caches.size() >= limits::kCalibrationPartsMax)
      return map.error("caches", fmt::format("must be at most {} sizes in bytes", limits::kCalibrationPartsMax));
    calibration.caches.push_back(cache.get<Bytes>());
  }
  TIDELINE_CHECK_OK(read_list(map, "memory", calibration.memory, read_memory, limits::kCalibrationPartsMax));
  TIDELINE_CHECK_OK(read_list(map, "scaling", calibration.scaling, read_scaling, limits::kCalibrationPartsMax));
  TIDELINE_CHECK_OK(read_list(map, "operators", calibration.operators, read_operator, limits::kCalibrationSamplesMax));
  TIDELINE_CHECK_OK(map.finish());
  if (calibration.operators.empty()) return map.error("operators", "must not be empty");
  TIDELINE_CHECK_OK(check_order(map, calibration));
  calibration.threads = static_cast<int>(threads);
  calibration.reference = Millis(reference);
  calibration.reference_spread = Millis(spread);
  return calibration;
}

}  // namespace tideline
