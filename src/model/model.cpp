#include "model/model.h"

#include <algorithm>
#include <filesystem>

#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/fix_inputs.h"
#include "model/flops.h"
#include "model/fold_shapes.h"
#include "model/model_impl.h"
#include "model/onnx_file.h"
#include "model/onnx_write.h"
#include "platform/files.h"
#include "platform/linked_file.h"

namespace tideline {
namespace {

Status build(Model::Impl& impl) {
  TIDELINE_TRY(impl.built, build_graph(impl.proto));
  // Exporters call every graph "main_graph"; people know the file.
  impl.built.graph.name = impl.name.ends_with(".onnx") ? impl.name.substr(0, impl.name.size() - 5) : impl.name;
  for (const onnx::ValueInfoProto& input : impl.default_inputs)
    impl.built.graph.default_inputs.push_back(impl.built.tensor_by_name.at(input.name()));
  return {};
}

Status keep_outputs(onnx::GraphProto& graph, const ModelOptions& options) {
  if (options.outputs.empty() && options.exits.empty()) return {};
  google::protobuf::RepeatedPtrField<onnx::ValueInfoProto> all;
  all.Swap(graph.mutable_output());
  const auto is_exit = [&](const std::string& name) {
    return std::find(options.exits.begin(), options.exits.end(), name) != options.exits.end();
  };
  const auto keep = [&](const std::string& name, std::string_view what) -> Status {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const onnx::ValueInfoProto& output) { return output.name() == name; });
    if (found == all.end()) {
      std::vector<std::string_view> names;
      for (const onnx::ValueInfoProto& output : all) names.push_back(output.name());
      return Error{ErrorCode::kInvalidArgument, fmt::format("{} '{}', but the outputs are: {}", what, printable(name),
                                                            printable(fmt::format("{}", fmt::join(names, ", ")), 400))};
    }
    *graph.add_output() = *found;
    return {};
  };
  for (const std::string& name : options.outputs) {
    if (is_exit(name))
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("the output section reads '{}', which is an exit: name the whole model's output in output.tensor",
                               printable(name))};
    TIDELINE_CHECK_OK(keep(name, "the output section reads"));
  }
  if (options.outputs.empty())
    for (const onnx::ValueInfoProto& output : all)
      if (!is_exit(output.name())) *graph.add_output() = output;
  if (graph.output().empty())
    return Error{ErrorCode::kInvalidArgument, "every output is an exit: leave the one of the whole model out of exits"};
  for (const std::string& name : options.exits) TIDELINE_CHECK_OK(keep(name, "an exit is"));
  return {};
}

Status parse_into(Model::Impl& impl, std::string_view bytes, const DataFolders& folders, const ModelOptions& options) {
  TIDELINE_TRY(impl.proto, read_onnx(bytes, folders, impl.sha256));
  TIDELINE_CHECK_OK(check_and_normalise(impl.proto, impl.default_inputs));
  TIDELINE_CHECK_OK(fix_inputs(*impl.proto.mutable_graph(), options));
  TIDELINE_CHECK_OK(keep_outputs(*impl.proto.mutable_graph(), options));
  return build(impl);
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

namespace {

Result<std::unique_ptr<Model::Impl>> make_impl(std::string_view bytes, std::string_view name, const DataFolders& folders,
                                               const ModelOptions& options) {
  auto impl = std::make_unique<Model::Impl>();
  impl->name = printable(name, 255);
  if (const Status status = parse_into(*impl, bytes, folders, options); !status)
    return Error{status.error().code, fmt::format("[model] '{}': {}", impl->name, status.error().message)};
  return impl;
}

}  // namespace

Result<Model> Model::parse(std::string_view bytes, std::string_view name, const std::string& folder,
                           const ModelOptions& options) {
  TIDELINE_TRY(auto impl, make_impl(bytes, name, {.folder = folder, .behind_link = std::nullopt}, options));
  return Model(std::move(impl));
}

Result<Model> Model::load(const std::string& path, const ModelOptions& options) {
  const std::filesystem::path file(path);
  TIDELINE_TRY(const std::string bytes, read_file(path, limits::kModelFileBytesMax));
  const std::string folder = file.parent_path().string();
  TIDELINE_TRY(auto impl, make_impl(bytes, file.filename().string(),
                                    {.folder = folder.empty() ? "." : folder, .behind_link = folder_behind_link(path)}, options));
  return Model(std::move(impl));
}

namespace {

Status apply_shapes(Model::Impl& impl, const std::vector<Model::KnownShape>& shapes) {
  Graph& graph = impl.built.graph;
  for (const Model::KnownShape& shape : shapes) {
    const auto found = impl.built.tensor_by_name.find(shape.tensor);
    if (found == impl.built.tensor_by_name.end())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[model] '{}' has no tensor '{}' to give a shape", impl.name, printable(shape.tensor))};
    GraphTensor& tensor = graph.tensors[static_cast<std::size_t>(found->second)];
    Bytes bytes = 0;
    if (element_bytes(shape.dtype) > 0) {
      TIDELINE_TRY(bytes, byte_size(shape.dtype, shape.measured));
    }
    tensor.spec.dtype = shape.dtype;
    tensor.spec.shape = shape.declared;
    // What was declared but is not so is not known.
    if (shape.declared.size() != shape.measured.size()) tensor.spec.shape = {kUnknownRank};
    for (std::size_t i = 0; has_rank(tensor.spec.shape) && i < shape.measured.size(); ++i)
      if (!agrees(tensor.spec.shape[i], shape.measured[i])) tensor.spec.shape[i] = kUnknownDim;
    tensor.measured_shape = shape.measured;
    tensor.is_measured = true;
    tensor.bytes = bytes;
  }
  return {};
}

}  // namespace

Status Model::set_shapes(const std::vector<KnownShape>& shapes) {
  TIDELINE_CHECK_OK(apply_shapes(*impl_, shapes));
  const FoldedShapes folded = fold_shapes(impl_->proto, impl_->built);
  // What a tensor's makers tell is declared, as far as the engine has not seen it.
  std::vector<KnownShape> known = shapes;
  for (KnownShape& shape : known) {
    const auto id = static_cast<std::size_t>(impl_->built.tensor_by_name.at(shape.tensor));
    if (folded.settled[id] != 0)
      shape.declared = shape.measured;
    else if (folded.ranked[id] != 0 && (!has_rank(shape.declared) || shape.declared.size() != shape.measured.size()))
      shape.declared.assign(shape.measured.size(), kUnknownDim);
  }
  if (folded.folded > 0) TIDELINE_CHECK_OK(build(*impl_));
  TIDELINE_CHECK_OK(apply_shapes(*impl_, known));
  const FlopCounter counter(impl_->built);
  for (int i = 0; i < impl_->proto.graph().node_size(); ++i) {
    Op& op = impl_->built.graph.ops[static_cast<std::size_t>(i)];
    op.flops = op.is_constant ? 0 : counter.of(impl_->proto.graph().node(i));
  }
  return {};
}

Status Model::fix_shapes(const std::map<std::string, std::vector<std::int64_t>>& shapes) {
  if (const Status status =
          fix_inputs(*impl_->proto.mutable_graph(), {.shapes = shapes, .input = std::nullopt, .outputs = {}, .exits = {}});
      !status)
    return Error{status.error().code, fmt::format("[model] '{}': {}", impl_->name, status.error().message)};
  return build(*impl_);
}

Status Model::set_default(const Tensor& value) {
  const auto refused = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[model] '{}': {}", impl_->name, why)};
  };
  const auto declared = std::find_if(impl_->default_inputs.begin(), impl_->default_inputs.end(),
                                     [&](const auto& input) { return input.name() == value.spec.name; });
  onnx::TensorProto* weight = nullptr;
  for (onnx::TensorProto& tensor : *impl_->proto.mutable_graph()->mutable_initializer())
    if (tensor.name() == value.spec.name) weight = &tensor;
  if (declared == impl_->default_inputs.end() || weight == nullptr)
    return refused(fmt::format("'{}' is no input with a default", printable(value.spec.name)));
  const TensorSpec spec = spec_of(*declared);
  bool fits = spec.dtype == value.spec.dtype && (!has_rank(spec.shape) || spec.shape.size() == value.spec.shape.size());
  for (std::size_t i = 0; fits && has_rank(spec.shape) && i < spec.shape.size(); ++i)
    fits = agrees(spec.shape[i], value.spec.shape[i]);
  if (!fits)
    return refused(fmt::format("the input '{}' is {}, the given value is {}", printable(value.spec.name), describe(spec),
                               describe(value.spec)));
  const int dtype = weight->data_type();
  weight->Clear();
  weight->set_name(value.spec.name);
  weight->set_data_type(dtype);
  for (const std::int64_t dim : value.spec.shape) weight->add_dims(dim);
  weight->set_raw_data(value.data.data(), value.data.size());
  // Another value is another model.
  Sha256Stream hash;
  hash.update(
      fmt::format("{} with {}:{}{}:", impl_->sha256.hex(), value.spec.name.size(), value.spec.name, describe(value.spec)));
  hash.update({reinterpret_cast<const char*>(value.data.data()), value.data.size()});
  impl_->sha256 = hash.finish();
  return build(*impl_);
}

Result<std::string> Model::onnx_bytes(bool all_outputs) const {
  OnnxParts parts;
  const onnx::ModelProto& proto = impl_->proto;
  // Everything but nodes and weights is small; those stay where they are.
  parts.shell.set_ir_version(proto.ir_version());
  parts.shell.set_producer_name(proto.producer_name());
  *parts.shell.mutable_opset_import() = proto.opset_import();
  *parts.shell.mutable_functions() = proto.functions();
  copy_origin(proto, parts.shell);
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
