#include "model/model.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/fix_inputs.h"
#include "model/flops.h"
#include "model/model_impl.h"
#include "model/onnx_file.h"
#include "model/onnx_write.h"
#include "platform/files.h"

namespace tideline {
namespace {

Status parse_into(Model::Impl& impl, std::string_view bytes, const std::string& folder, const ModelOptions& options) {
  TIDELINE_TRY(impl.proto, read_onnx(bytes, folder, impl.sha256));
  TIDELINE_CHECK_OK(check_and_normalise(impl.proto));
  TIDELINE_CHECK_OK(fix_inputs(*impl.proto.mutable_graph(), options));
  TIDELINE_TRY(impl.built, build_graph(impl.proto));
  return {};
}

bool agrees(std::int64_t declared, std::int64_t measured) { return declared == kUnknownDim || declared == measured; }

}  // namespace

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

const std::string& Model::name() const { return impl_->name; }
const Sha256& Model::sha256() const { return impl_->sha256; }
const Graph& Model::graph() const { return impl_->built.graph; }

Result<Model> Model::parse(std::string_view bytes, std::string_view name, const std::string& folder,
                           const ModelOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->name = printable(name, 255);
  if (const Status status = parse_into(*impl, bytes, folder, options); !status)
    return Error{status.error().code, fmt::format("[model] '{}': {}", impl->name, status.error().message)};
  return Model(std::move(impl));
}

Result<Model> Model::load(const std::string& path, const ModelOptions& options) {
  const std::filesystem::path file(path);
  TIDELINE_TRY(const std::string bytes, read_file(path, limits::kModelFileBytesMax));
  const std::string folder = file.parent_path().string();
  return parse(bytes, file.filename().string(), folder.empty() ? "." : folder, options);
}

Status Model::set_shapes(const std::vector<KnownShape>& shapes) {
  Graph& graph = impl_->built.graph;
  for (const KnownShape& shape : shapes) {
    const auto found = impl_->built.tensor_by_name.find(shape.tensor);
    if (found == impl_->built.tensor_by_name.end())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[model] '{}' has no tensor '{}' to give a shape", impl_->name, printable(shape.tensor))};
    GraphTensor& tensor = graph.tensors[static_cast<std::size_t>(found->second)];
    Bytes bytes = 0;
    if (element_bytes(shape.dtype) > 0) {
      TIDELINE_TRY(bytes, byte_size(shape.dtype, shape.measured));
    }
    tensor.spec.dtype = shape.dtype;
    tensor.spec.shape = shape.declared;
    // What was declared but is not so is not known.
    tensor.spec.shape.resize(shape.measured.size(), kUnknownDim);
    for (std::size_t i = 0; i < shape.measured.size(); ++i)
      if (!agrees(tensor.spec.shape[i], shape.measured[i])) tensor.spec.shape[i] = kUnknownDim;
    tensor.measured_shape = shape.measured;
    tensor.is_measured = true;
    tensor.bytes = bytes;
  }
  const FlopCounter counter(impl_->built);
  for (int i = 0; i < impl_->proto.graph().node_size(); ++i) {
    Op& op = graph.ops[static_cast<std::size_t>(i)];
    op.flops = op.is_constant ? 0 : counter.of(impl_->proto.graph().node(i));
  }
  return {};
}

Result<std::string> Model::onnx_bytes(bool all_outputs) const {
  OnnxParts parts;
  const onnx::ModelProto& proto = impl_->proto;
  // Everything but nodes and weights is small; those stay where they are.
  parts.shell.set_ir_version(proto.ir_version());
  parts.shell.set_producer_name(proto.producer_name());
  *parts.shell.mutable_opset_import() = proto.opset_import();
  *parts.shell.mutable_functions() = proto.functions();
  *parts.shell.mutable_metadata_props() = proto.metadata_props();
  onnx::GraphProto& graph = *parts.shell.mutable_graph();
  graph.set_name(proto.graph().name().empty() ? "graph" : proto.graph().name());
  *graph.mutable_input() = proto.graph().input();
  *graph.mutable_output() = proto.graph().output();
  *graph.mutable_value_info() = proto.graph().value_info();
  *graph.mutable_quantization_annotation() = proto.graph().quantization_annotation();
  for (const onnx::NodeProto& node : proto.graph().node()) parts.nodes.push_back(&node);
  for (const onnx::TensorProto& tensor : proto.graph().initializer()) parts.initializers.push_back(&tensor);
  for (const onnx::SparseTensorProto& tensor : proto.graph().sparse_initializer()) parts.sparse_initializers.push_back(&tensor);
  if (all_outputs) {
    std::vector<char> is_output(impl_->built.graph.tensors.size(), 0);
    for (const TensorId id : impl_->built.graph.outputs) is_output[static_cast<std::size_t>(id)] = 1;
    for (const Op& op : impl_->built.graph.ops) {
      if (op.is_dead || op.is_constant) continue;
      for (const TensorId id : op.outputs)
        if (is_output[static_cast<std::size_t>(id)] == 0) graph.add_output()->set_name(impl_->built.graph.tensor(id).spec.name);
    }
  }
  std::string bytes;
  TIDELINE_CHECK_OK(append_onnx(parts, bytes));
  return bytes;
}

}  // namespace tideline
