#include "split_models.h"

#include <onnx/onnx_pb.h>

#include "zoo/zoo.h"

namespace tideline::bench {
namespace {

Prepared prepare(const std::string& onnx, const std::string& name) { return {need(load_model_bytes(onnx, name, {}, {}))}; }

void add_value(onnx::ValueInfoProto& value, const char* name, std::size_t count) {
  value.set_name(name);
  auto* type = value.mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_value(static_cast<std::int64_t>(count));
}

void add_constant(onnx::GraphProto& graph, const char* name, std::int64_t value) {
  auto* tensor = graph.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->add_dims(1);
  tensor->add_int64_data(value);
}

}  // namespace

double Prepared::run_whole(Unsplit& unsplit) const {
  std::vector<RunOutput> outputs(unsplit.session().outputs().size());
  const auto begin = std::chrono::steady_clock::now();
  need(unsplit.session().run(sample_views(), outputs, {}));
  return Millis(std::chrono::steady_clock::now() - begin).count();
}

Prepared prepare_zoo(const std::string& name) { return prepare(need(zoo_model(name, 1)), name); }

Prepared prepare_slice(std::size_t in, std::size_t out) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  auto& graph = *model.mutable_graph();
  graph.set_name("slice");
  add_value(*graph.add_input(), "x", in);
  add_value(*graph.add_output(), "y", out);
  add_constant(graph, "starts", 0);
  add_constant(graph, "ends", static_cast<std::int64_t>(out));
  auto* node = graph.add_node();
  node->set_op_type("Slice");
  node->set_name("slice");
  for (const char* name : {"x", "starts", "ends"}) node->add_input(name);
  node->add_output("y");
  return prepare(model.SerializeAsString(), "slice");
}

}  // namespace tideline::bench
