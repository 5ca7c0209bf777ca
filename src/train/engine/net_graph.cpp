#include "train/engine/net_graph.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "base/text.h"
#include "model/model.h"

namespace tideline::train {
namespace {

// What train/engine/operators.cpp computes.
constexpr std::array<std::string_view, 24> kOperators = {"Add",
                                                         "AveragePool",
                                                         "BatchNormalization",
                                                         "Clip",
                                                         "Concat",
                                                         "Constant",
                                                         "Conv",
                                                         "Dropout",
                                                         "Flatten",
                                                         "Gemm",
                                                         "GlobalAveragePool",
                                                         "Identity",
                                                         "LRN",
                                                         "LeakyRelu",
                                                         "MatMul",
                                                         "MaxPool",
                                                         "Mul",
                                                         "Relu",
                                                         "Reshape",
                                                         "Sigmoid",
                                                         "Softmax",
                                                         "SpaceToDepth",
                                                         "Tanh",
                                                         "Transpose"};

Error unsupported(std::string message) { return Error{ErrorCode::kUnsupported, "[train] " + std::move(message)}; }

template <typename T>
std::vector<T> raw_numbers(const std::string& raw) {
  std::vector<T> numbers(raw.size() / sizeof(T));
  std::memcpy(numbers.data(), raw.data(), numbers.size() * sizeof(T));
  return numbers;
}

Status read_numbers(const onnx::TensorProto& from, NetTensor& to) {
  to.shape.assign(from.dims().begin(), from.dims().end());
  const bool is_raw = from.has_raw_data();
  switch (from.data_type()) {
    case onnx::TensorProto::FLOAT:
      to.floats =
          is_raw ? raw_numbers<float>(from.raw_data()) : std::vector<float>(from.float_data().begin(), from.float_data().end());
      return {};
    case onnx::TensorProto::INT64:
      to.is_integer = true;
      to.integers = is_raw ? raw_numbers<std::int64_t>(from.raw_data())
                           : std::vector<std::int64_t>(from.int64_data().begin(), from.int64_data().end());
      return {};
    case onnx::TensorProto::BOOL:
      to.is_integer = true;
      if (is_raw)
        to.integers.assign(from.raw_data().begin(), from.raw_data().end());
      else
        to.integers.assign(from.int32_data().begin(), from.int32_data().end());
      return {};
    default:
      return unsupported(fmt::format("'{}' holds numbers of ONNX type {}; training takes float32 weights and int64 shapes",
                                     printable(to.name), from.data_type()));
  }
}

bool is_parameter_at(const std::string& type, int position) {
  if (type == "Conv" || type == "Gemm" || type == "BatchNormalization") return position == 1 || position == 2;
  return type == "MatMul" || type == "Add";
}

class Reader {
 public:
  explicit Reader(const onnx::ModelProto& model) : model_(model) {}

  Result<NetGraph> read() {
    for (const auto& entry : model_.opset_import())
      if (entry.domain().empty() || entry.domain() == "ai.onnx") graph_.opset = entry.version();
    for (const auto& initializer : model_.graph().initializer()) {
      const int tensor = tensor_of(initializer.name());
      at(tensor).role = TensorRole::kConstant;
      TIDELINE_CHECK_OK(read_numbers(initializer, at(tensor)));
    }
    if (model_.graph().sparse_initializer_size() > 0)
      return unsupported("sparse initialisers cannot be trained; make them dense");
    TIDELINE_CHECK_OK(read_inputs());
    for (const auto& node : model_.graph().node()) TIDELINE_CHECK_OK(read_node(node));
    TIDELINE_CHECK_OK(set_roles());
    for (const auto& output : model_.graph().output()) graph_.outputs.push_back(tensor_of(output.name()));
    TIDELINE_CHECK_OK(find_logits());
    return std::move(graph_);
  }

 private:
  NetTensor& at(int tensor) { return graph_.tensors[static_cast<std::size_t>(tensor)]; }

  int tensor_of(const std::string& name) {
    const auto [found, is_new] = index_.try_emplace(name, static_cast<int>(graph_.tensors.size()));
    if (is_new) {
      graph_.tensors.emplace_back();
      graph_.tensors.back().name = name;
    }
    return found->second;
  }

  Status read_inputs() {
    for (const auto& input : model_.graph().input()) {
      const int tensor = tensor_of(input.name());
      if (at(tensor).role == TensorRole::kConstant) continue;
      if (input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT)
        return unsupported(
            fmt::format("input '{}' is no float32 tensor; training takes float32 inputs", printable(input.name())));
      at(tensor).role = TensorRole::kInput;
      at(tensor).has_batch = true;
      for (const auto& dim : input.type().tensor_type().shape().dim())
        at(tensor).shape.push_back(dim.has_dim_value() ? dim.dim_value() : -1);
      graph_.inputs.push_back(tensor);
    }
    if (graph_.inputs.empty()) return unsupported("the model has no input");
    const auto& shape = at(graph_.inputs.front()).shape;
    graph_.declared_batch = shape.empty() ? -1 : shape.front();
    return {};
  }

  Status read_node(const onnx::NodeProto& from) {
    NetNode node;
    node.name = from.name();
    node.type = from.op_type();
    const bool is_onnx = from.domain().empty() || from.domain() == "ai.onnx";
    if (!is_onnx || std::find(kOperators.begin(), kOperators.end(), node.type) == kOperators.end())
      return unsupported(fmt::format("operator {}{} of node '{}' does not train; these do: {}",
                                     is_onnx ? "" : printable(from.domain()) + ".", printable(node.type), printable(node.name),
                                     fmt::join(kOperators, ", ")));
    bool has_batch = false;
    for (const std::string& input : from.input()) {
      node.inputs.push_back(input.empty() ? kNoTensor : tensor_of(input));
      has_batch = has_batch || (!input.empty() && at(node.inputs.back()).has_batch);
    }
    if (from.output_size() == 0 || from.output(0).empty())
      return unsupported(fmt::format("node '{}' has no first output", printable(node.name)));
    for (int extra = 1; extra < from.output_size(); ++extra) {
      if (!from.output(extra).empty() && is_used(from.output(extra)))
        return unsupported(fmt::format("output {} of {} '{}' is used; training computes first outputs only", extra, node.type,
                                       printable(node.name)));
    }
    node.output = tensor_of(from.output(0));
    at(node.output).has_batch = has_batch;
    TIDELINE_CHECK_OK(read_attributes(from, node));
    graph_.nodes.push_back(std::move(node));
    return {};
  }

  bool is_used(const std::string& name) const {
    for (const auto& node : model_.graph().node())
      if (std::find(node.input().begin(), node.input().end(), name) != node.input().end()) return true;
    return std::any_of(model_.graph().output().begin(), model_.graph().output().end(),
                       [&](const auto& output) { return output.name() == name; });
  }

  Status read_attributes(const onnx::NodeProto& from, NetNode& node) {
    for (const auto& attribute : from.attribute()) {
      const std::string& key = attribute.name();
      if (attribute.has_t()) {
        if (node.type != "Constant")
          return unsupported(
              fmt::format("{} '{}' has a tensor as attribute '{}'", node.type, printable(node.name), printable(key)));
        at(node.output).role = TensorRole::kConstant;
        TIDELINE_CHECK_OK(read_numbers(attribute.t(), at(node.output)));
      } else if (attribute.ints_size() > 0) {
        node.integers[key].assign(attribute.ints().begin(), attribute.ints().end());
      } else if (attribute.has_i()) {
        node.integer[key] = attribute.i();
      } else if (attribute.has_f()) {
        node.number[key] = attribute.f();
      } else if (attribute.has_s()) {
        node.text[key] = attribute.s();
      }
    }
    if (node.type == "Constant" && at(node.output).role != TensorRole::kConstant) return read_short_constant(node);
    return {};
  }

  // Constant nodes of newer files may hold one number or a list instead of a tensor.
  Status read_short_constant(const NetNode& node) {
    NetTensor& tensor = at(node.output);
    tensor.role = TensorRole::kConstant;
    if (node.number.count("value_float") != 0) {
      tensor.floats = {node.number.at("value_float")};
    } else if (node.integer.count("value_int") != 0) {
      tensor.is_integer = true;
      tensor.integers = {node.integer.at("value_int")};
    } else if (node.integers.count("value_ints") != 0) {
      tensor.is_integer = true;
      tensor.integers = node.integers.at("value_ints");
      tensor.shape = {static_cast<std::int64_t>(tensor.integers.size())};
    } else {
      return unsupported(fmt::format("Constant '{}' is none of value, value_float, value_int, value_ints", printable(node.name)));
    }
    return {};
  }

  Status set_roles() {
    std::vector<char> made(graph_.tensors.size(), 0);
    for (const NetNode& node : graph_.nodes) made[static_cast<std::size_t>(node.output)] = 1;
    for (const NetNode& node : graph_.nodes) {
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNoTensor || made[static_cast<std::size_t>(node.inputs[i])] != 0) continue;
        NetTensor& tensor = at(node.inputs[i]);
        const bool is_statistic = node.type == "BatchNormalization" && i >= 3;
        if (is_statistic && tensor.role != TensorRole::kConstant && tensor.role != TensorRole::kBuffer)
          return unsupported(fmt::format("'{}' is both a running statistic of '{}' and something else, or no initialiser",
                                         printable(tensor.name), printable(node.name)));
        if (tensor.role == TensorRole::kInput || tensor.role == TensorRole::kActivation || tensor.is_integer) continue;
        if (is_statistic)
          tensor.role = TensorRole::kBuffer;
        else if (is_parameter_at(node.type, static_cast<int>(i)) && !tensor.shape.empty() && tensor.role == TensorRole::kConstant)
          tensor.role = TensorRole::kParameter;
      }
    }
    const bool has_parameters = std::any_of(graph_.tensors.begin(), graph_.tensors.end(),
                                            [](const NetTensor& tensor) { return tensor.role == TensorRole::kParameter; });
    if (!has_parameters)
      return unsupported(
          "the model has nothing to train: no float32 initialiser is a weight or bias of Conv, Gemm, MatMul, "
          "BatchNormalization or Add");
    return {};
  }

  // log(softmax(x)) loses what log-softmax keeps, so the loss takes what the last Softmax reads.
  Status find_logits() {
    graph_.logits = graph_.outputs.front();
    for (const NetNode& node : graph_.nodes) {
      if (node.output != graph_.outputs.front()) continue;
      if (node.type == "Softmax" && !node.inputs.empty() && node.inputs.front() != kNoTensor) graph_.logits = node.inputs.front();
    }
    return {};
  }

  const onnx::ModelProto& model_;
  NetGraph graph_;
  std::unordered_map<std::string, int> index_;
};

}  // namespace

std::int64_t NetNode::integer_or(const std::string& key, std::int64_t fallback) const {
  const auto found = integer.find(key);
  return found == integer.end() ? fallback : found->second;
}
float NetNode::number_or(const std::string& key, float fallback) const {
  const auto found = number.find(key);
  return found == number.end() ? fallback : found->second;
}
std::string NetNode::text_or(const std::string& key, const std::string& fallback) const {
  const auto found = text.find(key);
  return found == text.end() ? fallback : found->second;
}
std::vector<std::int64_t> NetNode::integers_or(const std::string& key, std::vector<std::int64_t> fallback) const {
  const auto found = integers.find(key);
  return found == integers.end() ? std::move(fallback) : found->second;
}

Result<NetGraph> read_net_graph(std::string_view onnx, std::string_view name) {
  TIDELINE_TRY(const Model model, Model::parse(onnx, name, ""));
  // The checked and sorted form; every name in it is the file's.
  TIDELINE_TRY(const std::string checked, model.onnx_bytes());
  onnx::ModelProto proto;
  if (!proto.ParseFromString(checked)) return Error{ErrorCode::kInternal, "[train] the checked form of the model does not parse"};
  if (proto.graph().output_size() == 0) return unsupported("the model has no output");
  auto graph = Reader(proto).read();
  if (!graph) return with_context(std::move(graph).error(), fmt::format("'{}'", printable(name)));
  return graph;
}

}  // namespace tideline::train
