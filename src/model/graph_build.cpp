#include "model/graph_build.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/onnx_file.h"
#include "model/weights.h"

namespace tideline {
namespace {

constexpr std::array<std::string_view, 7> kRandomOps{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
                                                     "Multinomial",  "Bernoulli",        "Dropout"};

class Builder {
 public:
  explicit Builder(const onnx::ModelProto& model) : graph_(model.graph()), determinism_(model) {}

  Result<BuiltGraph> build() {
    out_.graph.name = graph_.name();
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      TensorSpec spec = spec_of(input);
      // Not even the number of dimensions is known: one that is unknown says that a size must be given.
      if (input.type().has_tensor_type() && !input.type().tensor_type().has_shape()) spec.shape = {kUnknownDim};
      out_.graph.inputs.push_back(add_tensor(std::move(spec)));
    }
    for (const onnx::TensorProto& tensor : graph_.initializer()) TIDELINE_CHECK_OK(add_weight(tensor));
    for (const onnx::SparseTensorProto& tensor : graph_.sparse_initializer()) TIDELINE_CHECK_OK(add_sparse_weight(tensor));
    for (const onnx::NodeProto& node : graph_.node()) TIDELINE_CHECK_OK(add_op(node));
    for (const onnx::ValueInfoProto& value : graph_.value_info()) declare(value);
    for (const onnx::ValueInfoProto& output : graph_.output()) {
      declare(output);
      out_.graph.outputs.push_back(out_.tensor_by_name.at(output.name()));
    }
    mark_dead();
    count_parameters();
    return std::move(out_);
  }

 private:
  GraphTensor& tensor(TensorId id) { return out_.graph.tensors[static_cast<std::size_t>(id)]; }

  TensorId add_tensor(TensorSpec spec) {
    const TensorId id{static_cast<std::uint32_t>(out_.graph.tensors.size())};
    out_.tensor_by_name.emplace(spec.name, id);
    out_.graph.tensors.push_back({.spec = std::move(spec)});
    out_.weights.emplace_back();
    return id;
  }

  static void set_weight(GraphTensor& tensor, const TensorSize& size, int onnx_type, bool is_scalar) {
    using T = onnx::TensorProto;
    tensor.weight_bytes = tensor.bytes = size.bytes;
    tensor.is_measured = true;
    const bool counts = onnx_type != T::INT64 && onnx_type != T::BOOL && onnx_type != T::STRING && !is_scalar;
    tensor.weight_elements = counts ? size.elements : 0;
  }

  static TensorSpec spec_of_tensor(const onnx::TensorProto& proto) {
    const int type = proto.data_type();
    return {proto.name(), type <= 16 ? static_cast<DType>(type) : DType::kUndefined, {proto.dims().begin(), proto.dims().end()}};
  }

  Status add_weight(const onnx::TensorProto& proto) {
    TIDELINE_TRY(const TensorSize size, onnx_tensor_size(proto));
    const TensorId id = add_tensor(spec_of_tensor(proto));
    out_.weights[static_cast<std::size_t>(id)].tensor = &proto;
    tensor(id).measured_shape = tensor(id).spec.shape;
    tensor(id).is_initializer = tensor(id).is_constant = true;
    set_weight(tensor(id), size, proto.data_type(), proto.dims().empty());
    return {};
  }

  Status add_sparse_weight(const onnx::SparseTensorProto& proto) {
    TensorSpec spec = spec_of_tensor(proto.values());
    spec.shape = {proto.dims().begin(), proto.dims().end()};
    // The engine makes it dense, so a few bytes of file could ask for any amount of memory.
    if (const auto dense = byte_size(spec.dtype, spec.shape); !dense || *dense > limits::kModelWeightsBytesMax / 8)
      return model_error(fmt::format("the sparse tensor '{}' is invalid or too large once dense", printable(spec.name)));
    TIDELINE_TRY(const TensorSize values, onnx_tensor_size(proto.values()));
    TIDELINE_TRY(const TensorSize indices, onnx_tensor_size(proto.indices()));
    const TensorId id = add_tensor(std::move(spec));
    out_.weights[static_cast<std::size_t>(id)].sparse = &proto;
    tensor(id).measured_shape = tensor(id).spec.shape;
    tensor(id).is_initializer = tensor(id).is_constant = true;
    set_weight(tensor(id), {values.elements, values.bytes + indices.bytes}, proto.values().data_type(), false);
    return {};
  }

  void add_input(Op& op, OpId id, const std::string& name) {
    const TensorId input = out_.tensor_by_name.at(name);
    if (std::vector<OpId>& consumers = tensor(input).consumers; consumers.empty() || consumers.back() != id) {
      consumers.push_back(id);
      op.inputs.push_back(input);
    }
  }

  Status add_op(const onnx::NodeProto& node) {
    const OpId id{static_cast<std::uint32_t>(out_.graph.ops.size())};
    Op op{.name = node.name(), .type = node.op_type(), .domain = node.domain() == "ai.onnx" ? "" : node.domain()};
    for (const std::string& name : node.input())
      if (!name.empty()) add_input(op, id, name);
    for (const std::string& name : captured_names(node)) add_input(op, id, name);
    op.is_constant = std::all_of(op.inputs.begin(), op.inputs.end(), [&](TensorId input) { return tensor(input).is_constant; }) &&
                     determinism_.holds(node);
    for (const std::string& name : node.output()) {
      if (name.empty()) continue;
      const TensorId output = add_tensor({.name = name});
      tensor(output).producer = id;
      tensor(output).is_constant = op.is_constant;
      op.outputs.push_back(output);
    }
    if (node.op_type() == "Constant" && op.domain.empty() && op.outputs.size() == 1)
      TIDELINE_CHECK_OK(set_constant(node, op.outputs.front()));
    out_.graph.ops.push_back(std::move(op));
    return {};
  }

  Status set_constant(const onnx::NodeProto& node, TensorId output) {
    GraphTensor& made = tensor(output);
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_t()) {
        TIDELINE_TRY(const TensorSize size, onnx_tensor_size(attribute.t()));
        set_weight(made, size, attribute.t().data_type(), attribute.t().dims().empty());
        std::string name = made.spec.name;
        made.spec = spec_of_tensor(attribute.t());
        made.spec.name = std::move(name);
        made.measured_shape = made.spec.shape;
      } else if (attribute.has_sparse_tensor()) {
        TIDELINE_TRY(const TensorSize values, onnx_tensor_size(attribute.sparse_tensor().values()));
        set_weight(made, values, attribute.sparse_tensor().values().data_type(), false);
      } else {
        const auto floats = static_cast<Bytes>(attribute.floats_size() + (attribute.has_f() ? 1 : 0));
        const auto ints = static_cast<Bytes>(attribute.ints_size() + (attribute.has_i() ? 1 : 0));
        set_weight(made, {floats, 4 * floats + 8 * ints}, onnx::TensorProto::FLOAT, attribute.floats_size() == 0);
      }
    }
    return {};
  }

  void declare(const onnx::ValueInfoProto& value) {
    const auto found = out_.tensor_by_name.find(value.name());
    if (found == out_.tensor_by_name.end()) return;
    GraphTensor& known = tensor(found->second);
    if (known.spec.dtype == DType::kUndefined && !known.is_initializer) known.spec = spec_of(value);
  }

  void mark_dead() {
    std::vector<char> needed(out_.graph.tensors.size(), 0);
    for (const TensorId output : out_.graph.outputs) needed[static_cast<std::size_t>(output)] = 1;
    for (std::size_t i = out_.graph.ops.size(); i-- > 0;) {
      Op& op = out_.graph.ops[i];
      op.is_dead =
          std::none_of(op.outputs.begin(), op.outputs.end(), [&](TensorId id) { return needed[static_cast<std::size_t>(id)]; });
      if (op.is_dead) continue;
      for (const TensorId input : op.inputs) needed[static_cast<std::size_t>(input)] = 1;
    }
  }

  void count_parameters() {
    WeightCounter counter(out_.graph);
    std::vector<OpId> live;
    for (std::size_t i = 0; i < out_.graph.ops.size(); ++i) {
      Op& op = out_.graph.ops[i];
      if (op.is_dead || op.is_constant) continue;
      const OpId id{static_cast<std::uint32_t>(i)};
      live.push_back(id);
      const WeightSum sum = counter.of({&id, 1});
      op.parameter_bytes = sum.bytes;
      op.parameters = sum.elements;
    }
    const WeightSum sum = counter.of(live);
    out_.graph.parameter_bytes = sum.bytes;
    out_.graph.parameters = sum.elements;
  }

  const onnx::GraphProto& graph_;
  Determinism determinism_;
  BuiltGraph out_;
};

}  // namespace

Determinism::Determinism(const onnx::ModelProto& model) {
  for (const onnx::FunctionProto& function : model.functions())
    functions_.emplace(function_key(function.domain(), function.name()), &function);
}

bool Determinism::graph_holds(const onnx::GraphProto& graph) {
  return std::all_of(graph.node().begin(), graph.node().end(), [&](const onnx::NodeProto& node) { return holds(node); });
}

bool Determinism::holds(const onnx::NodeProto& node) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g() && !graph_holds(attribute.g())) return false;
    for (const onnx::GraphProto& graph : attribute.graphs())
      if (!graph_holds(graph)) return false;
  }
  if (!functions_.empty()) {
    const std::string key = function_key(node.domain(), node.op_type());
    if (const auto function = functions_.find(key); function != functions_.end()) {
      if (const auto known = known_.find(key); known != known_.end()) return known->second;
      const auto& nodes = function->second->node();
      const bool answer = std::all_of(nodes.begin(), nodes.end(), [&](const onnx::NodeProto& inner) { return holds(inner); });
      known_[key] = answer;
      return answer;
    }
  }
  const std::string& domain = node.domain();
  const std::string& type = node.op_type();
  if (domain.empty() || domain == "ai.onnx" || domain == "ai.onnx.ml")
    return std::find(kRandomOps.begin(), kRandomOps.end(), type) == kRandomOps.end();
  return domain == "com.microsoft" && type.find("Random") == std::string::npos && type.find("Dropout") == std::string::npos &&
         type.find("Sampling") == std::string::npos;
}

Result<BuiltGraph> build_graph(const onnx::ModelProto& model) { return Builder(model).build(); }

TensorSpec spec_of(const onnx::ValueInfoProto& value) {
  TensorSpec spec{.name = value.name()};
  if (!value.type().has_tensor_type()) return spec;
  const onnx::TypeProto::Tensor& type = value.type().tensor_type();
  if (type.elem_type() >= 1 && type.elem_type() <= 16) spec.dtype = static_cast<DType>(type.elem_type());
  if (!type.has_shape()) spec.shape = {kUnknownRank};
  for (const onnx::TensorShapeProto::Dimension& dim : type.shape().dim())
    spec.shape.push_back(dim.has_dim_value() && dim.dim_value() >= 0 ? dim.dim_value() : kUnknownDim);
  return spec;
}

void set_type(onnx::ValueInfoProto& value, const TensorSpec& spec) {
  value.set_name(spec.name);
  value.clear_type();
  if (spec.dtype == DType::kUndefined) return;
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(static_cast<int>(spec.dtype));
  if (!has_rank(spec.shape)) return;
  onnx::TensorShapeProto& shape = *type.mutable_shape();
  for (const std::int64_t dim : spec.shape) {
    onnx::TensorShapeProto::Dimension& made = *shape.add_dim();
    if (dim != kUnknownDim) made.set_dim_value(dim);
  }
}

}  // namespace tideline
