// Small ONNX models built by hand, for tests only.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include "model/chain.h"
#include "model/model.h"

namespace tideline::test {

using Names = std::vector<std::string>;
using Dims = std::vector<std::int64_t>;

inline onnx::ModelProto empty_model(std::int64_t opset = 13) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name("test");
  return model;
}

// A dimension of -1 is left without a value.
inline void add_value(onnx::ValueInfoProto* value, const std::string& name, const Dims& dims,
                      int type = onnx::TensorProto::FLOAT) {
  value->set_name(name);
  auto* tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  for (const std::int64_t dim : dims) {
    auto* made = tensor->mutable_shape()->add_dim();
    if (dim >= 0) made->set_dim_value(dim);
  }
}
inline void add_input(onnx::ModelProto& model, const std::string& name, const Dims& dims = {1, 4},
                      int type = onnx::TensorProto::FLOAT) {
  add_value(model.mutable_graph()->add_input(), name, dims, type);
}
inline void add_output(onnx::ModelProto& model, const std::string& name, const Dims& dims = {1, 4},
                       int type = onnx::TensorProto::FLOAT) {
  add_value(model.mutable_graph()->add_output(), name, dims, type);
}

inline onnx::NodeProto* add_node(onnx::GraphProto& graph, const std::string& type, const Names& inputs, const Names& outputs) {
  auto* node = graph.add_node();
  node->set_op_type(type);
  if (!outputs.empty()) node->set_name(outputs.front());
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  return node;
}
inline onnx::NodeProto* add_node(onnx::ModelProto& model, const std::string& type, const Names& inputs, const Names& outputs) {
  return add_node(*model.mutable_graph(), type, inputs, outputs);
}

inline void set_floats(onnx::TensorProto& tensor, const std::string& name, const Dims& dims, float value = 1) {
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    tensor.add_dims(dim);
    count *= dim;
  }
  std::string bytes;
  for (std::int64_t i = 0; i < count; ++i) bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  tensor.set_raw_data(bytes);
}
inline onnx::TensorProto* add_weight(onnx::ModelProto& model, const std::string& name, const Dims& dims = {1, 4},
                                     float value = 1) {
  auto* tensor = model.mutable_graph()->add_initializer();
  set_floats(*tensor, name, dims, value);
  return tensor;
}

inline onnx::AttributeProto* add_attribute(onnx::NodeProto* node, const std::string& name,
                                           onnx::AttributeProto::AttributeType type) {
  auto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}
inline void set_ints(onnx::NodeProto* node, const std::string& name, const Dims& values) {
  auto* attribute = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute->add_ints(value);
}
inline onnx::GraphProto* add_body(onnx::NodeProto* node, const std::string& name) {
  auto* graph = add_attribute(node, name, onnx::AttributeProto::GRAPH)->mutable_g();
  graph->set_name(name);
  return graph;
}
inline onnx::NodeProto* add_constant(onnx::ModelProto& model, const std::string& name, const Dims& dims = {1, 4},
                                     float value = 2) {
  auto* node = add_node(model, "Constant", {}, {name});
  set_floats(*add_attribute(node, "value", onnx::AttributeProto::TENSOR)->mutable_t(), "", dims, value);
  return node;
}

// x -> a -> b -> ... , Relu after Relu, `length` of them; the last is called "y".
inline onnx::ModelProto chain_model(int length) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  std::string last = "x";
  for (int i = 0; i < length; ++i) {
    const std::string name = i + 1 == length ? "y" : "t" + std::to_string(i);
    add_node(model, "Relu", {last}, {name});
    last = name;
  }
  add_output(model, "y");
  return model;
}

// x -> left, right -> sum -> y: one branch each way between two single-tensor cuts.
inline onnx::ModelProto diamond_model() {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  add_node(model, "Relu", {"x"}, {"top"});
  add_node(model, "Sigmoid", {"top"}, {"left"});
  add_node(model, "Tanh", {"top"}, {"right"});
  add_node(model, "Add", {"left", "right"}, {"sum"});
  add_node(model, "Relu", {"sum"}, {"y"});
  add_output(model, "y");
  return model;
}

inline Result<Model> parse(const onnx::ModelProto& proto, const ModelOptions& options = {}, const std::string& folder = "") {
  return Model::parse(proto.SerializeAsString(), "test.onnx", folder, options);
}

// Every tensor that is no weight is float32[1,4] unless `shape_of` says otherwise.
inline void set_all_shapes(Model& model, const std::function<Dims(const std::string&)>& shape_of = {}) {
  std::vector<Model::KnownShape> shapes;
  for (const GraphTensor& tensor : model.graph().tensors) {
    if (tensor.is_initializer) continue;
    const DType dtype = tensor.spec.dtype == DType::kUndefined ? DType::kFloat32 : tensor.spec.dtype;
    const Dims dims = shape_of ? shape_of(tensor.spec.name) : Dims{1, 4};
    shapes.push_back({tensor.spec.name, dtype, dims, dims});
  }
  if (const Status status = model.set_shapes(shapes); !status) std::abort();
}

inline onnx::ModelProto reread(std::string_view bytes) {
  onnx::ModelProto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) std::abort();
  return proto;
}

// A model and its chain, with its shapes known.
struct Cutting {
  Model model;
  Chain chain;
};
inline Cutting cut(const onnx::ModelProto& proto, std::uint32_t width = 1) {
  Model model = parse(proto).value();
  set_all_shapes(model);
  Chain chain = make_chain(model.graph(), model.sha256(), {.cut_width = width}).value();
  return {std::move(model), std::move(chain)};
}

}  // namespace tideline::test
