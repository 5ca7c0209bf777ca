#include "model/layout_anchor.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace tideline {
namespace {

// The widest block of channels that engines use on the processors we know (AVX-512; others 8 or 4).
constexpr std::int64_t kChannelBlock = 16;

bool is_blocked_image(const TensorSpec& spec) {
  return spec.dtype == DType::kFloat32 && spec.shape.size() == 4 && spec.shape[1] > 0 && spec.shape[1] % kChannelBlock == 0;
}

bool is_elementwise(const Op& op) {
  return op.domain.empty() && (op.type == "Relu" || op.type == "Clip" || op.type == "LeakyRelu" || op.type == "Sigmoid" ||
                               op.type == "HardSwish" || op.type == "BatchNormalization");
}

// Whether `input` is added to what a convolution made, or averaged over the whole image; activations in between do not matter.
bool is_carried(const Graph& graph, TensorId input, std::span<const OpId> ops) {
  std::set<TensorId> carried{input};
  std::set<TensorId> convolved;
  for (const OpId id : ops) {
    const Op& op = graph.op(id);
    const auto reads = [&](const std::set<TensorId>& tensors) {
      return std::any_of(op.inputs.begin(), op.inputs.end(), [&](TensorId tensor) { return tensors.contains(tensor); });
    };
    if (op.domain.empty() && op.type == "Conv") convolved.insert(op.outputs.front());
    if (is_elementwise(op) && reads(convolved)) convolved.insert(op.outputs.front());
    if (!reads(carried)) continue;
    if (is_elementwise(op)) carried.insert(op.outputs.front());
    if (op.domain.empty() && op.type == "GlobalAveragePool") return true;
    if (op.domain.empty() && (op.type == "Add" || op.type == "Sum") && reads(convolved)) return true;
  }
  return false;
}

}  // namespace

void add_layout_anchors(const Graph& graph, std::span<const TensorId> inputs, std::span<const OpId> ops, OnnxParts& parts) {
  std::unordered_map<std::string, std::string> anchored;
  std::unordered_set<std::string> taken;
  for (const GraphTensor& tensor : graph.tensors) taken.insert(tensor.spec.name);
  for (const TensorId input : inputs) {
    const TensorSpec& spec = graph.tensor(input).spec;
    if (!is_blocked_image(spec) || !is_carried(graph, input, ops)) continue;
    std::string name = spec.name + "/anchor";
    while (!taken.insert(name).second) name += "_";
    anchored.emplace(spec.name, std::move(name));
  }
  if (anchored.empty()) return;
  std::vector<const onnx::NodeProto*> nodes;
  for (const auto& [from, to] : anchored) {
    onnx::NodeProto& pool = parts.own_nodes.emplace_back();
    pool.set_op_type("MaxPool");
    pool.set_name(to);
    pool.add_input(from);
    pool.add_output(to);
    onnx::AttributeProto& kernel = *pool.add_attribute();
    kernel.set_name("kernel_shape");
    kernel.set_type(onnx::AttributeProto::INTS);
    kernel.add_ints(1);
    kernel.add_ints(1);
    nodes.push_back(&pool);
  }
  for (const onnx::NodeProto* node : parts.nodes) {
    const bool reads =
        std::any_of(node->input().begin(), node->input().end(), [&](const std::string& name) { return anchored.contains(name); });
    if (!reads) {
      nodes.push_back(node);
      continue;
    }
    onnx::NodeProto& copy = parts.own_nodes.emplace_back(*node);
    for (std::string& name : *copy.mutable_input())
      if (const auto found = anchored.find(name); found != anchored.end()) name = found->second;
    nodes.push_back(&copy);
  }
  parts.nodes = std::move(nodes);
}

}  // namespace tideline
