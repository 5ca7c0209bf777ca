#include "engine/onnxruntime/kernel_profile.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <unordered_map>

#include <onnx/onnx_pb.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline::ort {
namespace {

constexpr std::string_view kSuffix = "_kernel_time";

struct Samples {
  std::string op_type;
  std::vector<double> micros;
};

// Kernels are timed by the clock: a neighbour's burst must not show.
double lower_quartile(std::vector<double> values) {
  const auto at = static_cast<std::ptrdiff_t>((values.size() - 1) / 4);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::unordered_map<std::string, onnx::NodeProto> nodes_by_name(const std::string& path) {
  std::unordered_map<std::string, onnx::NodeProto> nodes;
  const auto bytes = read_file(path, limits::kModelFileBytesMax);
  onnx::ModelProto model;
  // Without the optimised graph the kernels still have their names.
  if (!bytes || !model.ParseFromString(*bytes)) return nodes;
  for (const onnx::NodeProto& node : model.graph().node()) nodes.emplace(node.name(), node);
  return nodes;
}

}  // namespace

Result<std::string> make_profile_folder() {
  std::error_code code;
  std::string path = (std::filesystem::temp_directory_path(code) / "tideline-profile-XXXXXX").string();
  if (code || ::mkdtemp(path.data()) == nullptr) {
    return Error{ErrorCode::kOverloaded, "[engine] cannot make a temporary folder; set TMPDIR to a writable one"};
  }
  return path;
}

Result<std::vector<KernelTime>> read_kernel_profile(const std::string& trace_path, const std::string& optimized_model_path) {
  TIDELINE_TRY(const std::string text, read_file(trace_path, limits::kKernelTraceBytesMax));
  const nlohmann::json trace = nlohmann::json::parse(text, nullptr, false);
  if (!trace.is_array()) return Error{ErrorCode::kInternal, "[engine] the engine's profile is not readable"};
  std::vector<std::string> order;
  std::unordered_map<std::string, Samples> samples;
  for (const auto& event : trace) {
    if (event.value("cat", "") != "Node") continue;
    std::string name = event.value("name", "");
    if (!name.ends_with(kSuffix)) continue;
    name.resize(name.size() - kSuffix.size());
    const auto [found, is_new] = samples.try_emplace(name);
    if (is_new) {
      order.push_back(name);
      if (const auto args = event.find("args"); args != event.end()) found->second.op_type = args->value("op_name", "");
    }
    found->second.micros.push_back(event.value("dur", 0.0));
  }
  const auto nodes = nodes_by_name(optimized_model_path);
  std::vector<KernelTime> kernels;
  for (const std::string& name : order) {
    Samples& sample = samples[name];
    if (sample.micros.size() > 1) sample.micros.erase(sample.micros.begin());
    KernelTime kernel{.name = name, .op_type = sample.op_type, .time = Millis(lower_quartile(sample.micros) / 1000)};
    if (const auto node = nodes.find(name); node != nodes.end()) {
      kernel.inputs.assign(node->second.input().begin(), node->second.input().end());
      kernel.outputs.assign(node->second.output().begin(), node->second.output().end());
    }
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

}  // namespace tideline::ort
