#include "engine/onnxruntime/safe_names.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

namespace tideline::ort {
namespace {

bool is_unsafe(char c) { return c == '"' || c == '\\' || c == '%' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Calls `visit` with every name there is; recursion is as deep as the subgraphs are.
class Names {
 public:
  using Visit = std::function<void(std::string*)>;
  explicit Names(Visit visit) : visit_(std::move(visit)) {}

  void model(onnx::ModelProto& model) {
    graph(*model.mutable_graph());
    for (onnx::FunctionProto& function : *model.mutable_functions()) {
      for (std::string& name : *function.mutable_input()) visit_(&name);
      for (std::string& name : *function.mutable_output()) visit_(&name);
      for (onnx::NodeProto& inner : *function.mutable_node()) node(inner);
    }
  }

 private:
  void graph(onnx::GraphProto& graph) {
    for (auto* values : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()})
      for (onnx::ValueInfoProto& value : *values) visit_(value.mutable_name());
    for (onnx::TensorProto& tensor : *graph.mutable_initializer()) visit_(tensor.mutable_name());
    for (onnx::SparseTensorProto& tensor : *graph.mutable_sparse_initializer()) visit_(tensor.mutable_values()->mutable_name());
    for (onnx::TensorAnnotation& note : *graph.mutable_quantization_annotation()) {
      visit_(note.mutable_tensor_name());
      for (onnx::StringStringEntryProto& entry : *note.mutable_quant_parameter_tensor_names()) visit_(entry.mutable_value());
    }
    for (onnx::NodeProto& inner : *graph.mutable_node()) node(inner);
  }
  void node(onnx::NodeProto& node) {
    visit_(node.mutable_name());
    for (std::string& name : *node.mutable_input()) visit_(&name);
    for (std::string& name : *node.mutable_output()) visit_(&name);
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) graph(*attribute.mutable_g());
      for (onnx::GraphProto& inner : *attribute.mutable_graphs()) graph(inner);
    }
  }
  Visit visit_;
};

}  // namespace

std::string safe_name(std::string_view name) {
  std::string safe;
  for (const char c : name) {
    if (is_unsafe(c))
      safe += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      safe += c;
  }
  return safe;
}

std::string original_name(std::string_view safe) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string name;
  for (std::size_t i = 0; i < safe.size(); ++i) {
    const bool is_code = safe[i] == '%' && i + 2 < safe.size() && digit(safe[i + 1]) >= 0 && digit(safe[i + 2]) >= 0;
    if (!is_code) {
      name += safe[i];
      continue;
    }
    name += static_cast<char>(16 * digit(safe[i + 1]) + digit(safe[i + 2]));
    i += 2;
  }
  return name;
}

bool has_unsafe_names(const onnx::ModelProto& model) {
  bool found = false;
  Names([&](std::string* name) {
    found = found || std::any_of(name->begin(), name->end(), is_unsafe);
  }).model(const_cast<onnx::ModelProto&>(model));  // only looked at
  return found;
}

void make_names_safe(onnx::ModelProto& model) {
  Names([](std::string* name) { *name = safe_name(*name); }).model(model);
}

}  // namespace tideline::ort
