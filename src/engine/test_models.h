// Models built by hand for the tests of this folder: valid ones that ask for what must not be given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

namespace tideline::test {

inline onnx::ModelProto empty_model() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  model.mutable_graph()->set_name("g");
  return model;
}

inline void add_value(onnx::ValueInfoProto* value, const std::string& name, int type, const std::vector<std::int64_t>& shape) {
  value->set_name(name);
  auto* tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  for (const std::int64_t dim : shape) {
    auto* const entry = tensor->mutable_shape()->add_dim();
    if (dim >= 0) entry->set_dim_value(dim);
  }
}

inline onnx::NodeProto* add_node(onnx::GraphProto* graph, const std::string& type, const std::vector<std::string>& inputs,
                                 const std::vector<std::string>& outputs) {
  auto* node = graph->add_node();
  node->set_op_type(type);
  node->set_name(type + "_" + outputs[0]);
  for (const auto& input : inputs) node->add_input(input);
  for (const auto& output : outputs) node->add_output(output);
  return node;
}

inline void add_int64(onnx::GraphProto* graph, const std::string& name, const std::vector<std::int64_t>& values,
                      bool is_scalar = false) {
  auto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  if (!is_scalar) tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor->add_int64_data(value);
}

// y = x doubled 2^62 times: no run of it ever ends.
inline std::string endless_loop() {
  onnx::ModelProto model = empty_model();
  auto* graph = model.mutable_graph();
  add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {4});
  add_value(graph->add_output(), "y", onnx::TensorProto::FLOAT, {4});
  add_int64(graph, "trips", {std::int64_t{1} << 62}, true);
  auto* go = graph->add_initializer();
  go->set_name("go");
  go->set_data_type(onnx::TensorProto::BOOL);
  go->add_int32_data(1);
  auto* attribute = add_node(graph, "Loop", {"trips", "go", "x"}, {"y"})->add_attribute();
  attribute->set_name("body");
  attribute->set_type(onnx::AttributeProto::GRAPH);
  auto* body = attribute->mutable_g();
  body->set_name("body");
  add_value(body->add_input(), "i", onnx::TensorProto::INT64, {});
  add_value(body->add_input(), "go_in", onnx::TensorProto::BOOL, {});
  add_value(body->add_input(), "x_in", onnx::TensorProto::FLOAT, {4});
  add_node(body, "Identity", {"go_in"}, {"go_out"});
  add_node(body, "Add", {"x_in", "x_in"}, {"x_out"});
  add_value(body->add_output(), "go_out", onnx::TensorProto::BOOL, {});
  add_value(body->add_output(), "x_out", onnx::TensorProto::FLOAT, {4});
  return model.SerializeAsString();
}

// y = x + the largest of an Expand of one number to `elements`. `constant`: of an initialiser, so that an optimiser may fold it.
inline std::string expand(std::int64_t elements, bool constant) {
  onnx::ModelProto model = empty_model();
  auto* graph = model.mutable_graph();
  add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {1});
  add_value(graph->add_output(), "y", onnx::TensorProto::FLOAT, {1});
  add_int64(graph, "shape", {elements});
  auto* one = graph->add_initializer();
  one->set_name("one");
  one->set_data_type(onnx::TensorProto::FLOAT);
  one->add_dims(1);
  one->add_float_data(1);
  add_node(graph, "Expand", {constant ? "one" : "x", "shape"}, {"big"});
  add_node(graph, "ReduceMax", {"big"}, {"top"});
  add_node(graph, "Add", {"top", "x"}, {"y"});
  return model.SerializeAsString();
}

// y = relu(the first of a sequence that x was split into); the sequence is no tensor. `rows` may be -1: dynamic.
inline std::string through_a_sequence(std::int64_t rows) {
  onnx::ModelProto model = empty_model();
  auto* graph = model.mutable_graph();
  add_value(graph->add_input(), "x", onnx::TensorProto::FLOAT, {rows, 2});
  add_value(graph->add_output(), "y", onnx::TensorProto::FLOAT, {-1, 2});
  add_int64(graph, "one", {1}, true);
  add_int64(graph, "zero", {0}, true);
  add_node(graph, "Abs", {"x"}, {"a"});
  add_node(graph, "SplitToSequence", {"a", "one"}, {"rows"});
  add_node(graph, "SequenceAt", {"rows", "zero"}, {"first"});
  add_node(graph, "Relu", {"first"}, {"y"});
  return model.SerializeAsString();
}

}  // namespace tideline::test
