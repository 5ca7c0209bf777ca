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
// The domain of kernels whose tensors have their channels in blocks.
constexpr std::string_view kBlockedDomain = "com.microsoft.nchwc";

using Shape = std::vector<std::int64_t>;

struct Samples {
  std::string op_type;
  std::vector<double> micros;
  std::vector<Shape> outputs;  // of the first run
};

// [{"float": [1, 3, 8, 8]}, ...] of an event's arguments.
std::vector<Shape> shapes_of(const nlohmann::json& list) {
  std::vector<Shape> shapes;
  if (!list.is_array()) return shapes;
  for (const auto& entry : list) {
    Shape shape;
    if (entry.is_object() && !entry.empty() && entry.begin()->is_array())
      for (const auto& dim : *entry.begin())
        if (dim.is_number_integer()) shape.push_back(dim.get<std::int64_t>());
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

// Kernels are timed by the clock: a neighbour's burst must not show.
double lower_quartile(std::vector<double> values) {
  const auto at = static_cast<std::ptrdiff_t>((values.size() - 1) / 4);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

// The optimised graph: its nodes by name, and the shapes of its weights and inputs. Those of other tensors are what the runs had.
struct Optimized {
  std::unordered_map<std::string, onnx::NodeProto> nodes;
  std::unordered_map<std::string, Shape> shapes;
};

Optimized read_optimized(const std::string& path) {
  Optimized optimized;
  const auto bytes = read_file(path, limits::kModelFileBytesMax);
  onnx::ModelProto model;
  // Without the optimised graph the kernels still have their names.
  if (!bytes || !model.ParseFromString(*bytes)) return optimized;
  for (const onnx::NodeProto& node : model.graph().node()) optimized.nodes.emplace(node.name(), node);
  for (const onnx::TensorProto& weight : model.graph().initializer())
    optimized.shapes.emplace(weight.name(), Shape(weight.dims().begin(), weight.dims().end()));
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    Shape shape;
    for (const auto& dim : input.type().tensor_type().shape().dim()) shape.push_back(dim.has_dim_value() ? dim.dim_value() : 1);
    optimized.shapes.emplace(input.name(), std::move(shape));
  }
  return optimized;
}

// What the node says of its kernel, and the shapes that are known; `shapes` learns those of its outputs.
void describe(const onnx::NodeProto& node, const std::vector<Shape>& outputs, std::unordered_map<std::string, Shape>& shapes,
              KernelTime& kernel) {
  kernel.inputs.assign(node.input().begin(), node.input().end());
  kernel.outputs.assign(node.output().begin(), node.output().end());
  kernel.blocked = node.domain() == kBlockedDomain;
  for (const std::string& input : kernel.inputs) {
    const auto found = shapes.find(input);
    kernel.input_shapes.push_back(found == shapes.end() ? Shape{} : found->second);
  }
  std::size_t made = 0;  // outputs that nobody wants have an empty name and are not in the trace
  for (const std::string& output : kernel.outputs) {
    kernel.output_shapes.push_back(!output.empty() && made < outputs.size() ? outputs[made++] : Shape{});
    if (!output.empty()) shapes[output] = kernel.output_shapes.back();
  }
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == "kernel_shape") kernel.kernel.assign(attribute.ints().begin(), attribute.ints().end());
    if (attribute.name() == "strides") kernel.stride.assign(attribute.ints().begin(), attribute.ints().end());
    if (attribute.name() == "group") kernel.groups = attribute.i();
  }
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
      if (const auto args = event.find("args"); args != event.end()) {
        found->second.op_type = args->value("op_name", "");
        if (const auto made = args->find("output_type_shape"); made != args->end()) found->second.outputs = shapes_of(*made);
      }
    }
    found->second.micros.push_back(event.value("dur", 0.0));
  }
  Optimized optimized = read_optimized(optimized_model_path);
  std::vector<KernelTime> kernels;
  for (const std::string& name : order) {
    Samples& sample = samples[name];
    if (sample.micros.size() > 1) sample.micros.erase(sample.micros.begin());
    KernelTime kernel{.name = name, .op_type = sample.op_type, .time = Millis(lower_quartile(sample.micros) / 1000)};
    if (const auto node = optimized.nodes.find(name); node != optimized.nodes.end())
      describe(node->second, sample.outputs, optimized.shapes, kernel);
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

}  // namespace tideline::ort
