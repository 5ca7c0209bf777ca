#include "model/segment.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/layout_anchor.h"
#include "model/model_impl.h"
#include "model/onnx_write.h"
#include "model/segment_header.h"
#include "output/output_steps.h"

namespace tideline {
namespace {

Error segment_error(ErrorCode code, std::string message) { return Error{code, "[segment] " + std::move(message)}; }

// What a segment takes, makes and consists of, before anything is written.
struct Contents {
  std::vector<InputStep> steps;
  std::vector<OutputStep> output_steps;
  std::vector<std::string> output_inputs;  // what the first of those reads
  std::vector<OpId> ops;                   // of the blocks, in their order
  std::vector<OpId> constant_ops;          // in topological order
  std::vector<TensorId> weights;           // initialisers
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::vector<TensorId> onnx_inputs;
  std::vector<TensorId> onnx_outputs;
};

class Collector {
 public:
  Collector(const Model& model, const Chain& chain, std::uint32_t first, std::uint32_t last)
      : built_(model.impl().built),
        graph_(built_.graph),
        chain_(chain),
        first_(first),
        last_(last),
        state_(graph_.tensors.size(), kUnknown) {}

  Result<Contents> collect() {
    for (std::uint32_t k = first_; k <= last_; ++k) {
      const Block& block = chain_.blocks[k];
      if (block.step) contents_.steps.push_back(*block.step);
      if (block.output_step) contents_.output_steps.push_back(chain_.output_steps[*block.output_step]);
      for (const OpId id : block.ops) {
        if (static_cast<std::size_t>(id) >= graph_.ops.size()) return mismatch();
        contents_.ops.push_back(id);
      }
    }
    for (const OpId id : contents_.ops) {
      for (const TensorId input : graph_.op(id).inputs) need(input);
      for (const TensorId output : graph_.op(id).outputs) state_[index(output)] = kMade;
    }
    if (chain_.blocks[first_].output_step) {
      TIDELINE_CHECK_OK(collect_steps_alone());
      return std::move(contents_);
    }
    // Where output steps end the segment, what its ops hand on is what those read.
    const bool has_output_steps = !contents_.output_steps.empty();
    onnx_end_ = has_output_steps ? chain_.output_cut() : last_ + 1;
    TIDELINE_CHECK_OK(collect_inputs());
    TIDELINE_CHECK_OK(collect_outputs());
    if (has_output_steps) TIDELINE_CHECK_OK(end_with_steps());
    sort_constants();
    return std::move(contents_);
  }

 private:
  enum State : char { kUnknown, kNeeded, kMade, kConstant };

  static Error mismatch() { return segment_error(ErrorCode::kInvalidArgument, "the chain was not made from this model"); }

  void need(TensorId first) {
    std::vector<TensorId> pending{first};
    while (!pending.empty()) {
      const TensorId id = pending.back();
      pending.pop_back();
      const GraphTensor& tensor = graph_.tensor(id);
      if (state_[index(id)] != kUnknown) continue;
      state_[index(id)] = tensor.is_constant ? kConstant : kNeeded;
      if (tensor.is_initializer) contents_.weights.push_back(id);
      if (!tensor.is_constant || tensor.producer == kNoOp) continue;
      contents_.constant_ops.push_back(tensor.producer);
      for (const TensorId input : graph_.op(tensor.producer).inputs) pending.push_back(input);
    }
  }

  void sort_constants() {
    // Ops are numbered in topological order; one with two outputs may have been found twice.
    std::vector<OpId>& ops = contents_.constant_ops;
    std::sort(ops.begin(), ops.end());
    ops.erase(std::unique(ops.begin(), ops.end()), ops.end());
    std::sort(contents_.weights.begin(), contents_.weights.end());
  }

  // The place of the image among the tensors of a cut: the model's input that the steps make.
  std::size_t image_place() const {
    const std::vector<TensorSpec>& made = chain_.cuts[kInputSteps].tensors;
    const std::vector<TensorSpec>& raw = chain_.cuts.front().tensors;
    std::size_t place = 0;
    while (place + 1 < made.size() && made[place].name == raw[place].name) ++place;
    return place;
  }

  // Step k reads cut k; sizes that depend on the picture are not known before the run.
  TensorSpec step_spec(std::size_t cut) const {
    TensorSpec spec = chain_.cuts[cut].tensors[image_place()];
    if (cut == 0) spec.shape = {kUnknownDim};
    if (cut == 2 && chain_.input->follow) spec.shape = {kUnknownDim, kUnknownDim, spec.shape.back()};
    // The sides of the model's input follow the picture too: behind the batch, behind its channels or before them.
    const std::size_t side = chain_.input->layout == ImageLayout::kNchw ? 2 : 1;
    if (cut == kInputSteps && chain_.input->follow) spec.shape[side] = spec.shape[side + 1] = kUnknownDim;
    if (cut == 1) spec.shape = {kUnknownDim, kUnknownDim, spec.shape.back()};
    return spec;
  }

  Result<TensorId> find(const std::string& name) const {
    const auto found = built_.tensor_by_name.find(name);
    if (found == built_.tensor_by_name.end()) return mismatch();
    return found->second;
  }

  // What output step `step` reads and makes, as far as it is known before a run: from the model's outputs through the steps
  // before.
  Result<std::vector<TensorSpec>> specs_at(std::uint32_t cut) const {
    std::vector<TensorSpec> specs;
    for (const TensorSpec& output : chain_.cuts[chain_.output_cut()].tensors) {
      TIDELINE_TRY(const TensorId id, find(output.name));
      specs.push_back(graph_.tensor(id).spec);
    }
    for (std::uint32_t at = chain_.output_cut(); at < cut; ++at) {
      TIDELINE_TRY(specs, output_step_specs(chain_.output_steps[*chain_.blocks[at].output_step], specs, OpenSizes::kUnknown));
      for (std::size_t i = 0; i < specs.size(); ++i) specs[i].name = chain_.cuts[at + 1].tensors[i].name;
    }
    return specs;
  }

  Status collect_steps_alone() {
    TIDELINE_TRY(contents_.inputs, specs_at(first_));
    TIDELINE_TRY(contents_.outputs, specs_at(last_ + 1));
    for (const TensorSpec& spec : contents_.inputs) contents_.output_inputs.push_back(spec.name);
    return {};
  }

  // The outputs of the ops are the steps' inputs; outputs of the model that were made before come from outside.
  Status end_with_steps() {
    TIDELINE_TRY(const std::vector<TensorSpec> read, specs_at(chain_.output_cut()));
    for (const TensorSpec& spec : read) {
      contents_.output_inputs.push_back(spec.name);
      const auto has = [&](const std::vector<TensorSpec>& specs) {
        return std::any_of(specs.begin(), specs.end(), [&](const TensorSpec& one) { return one.name == spec.name; });
      };
      if (!has(contents_.outputs) && !has(contents_.inputs)) contents_.inputs.push_back(spec);
    }
    TIDELINE_TRY(contents_.outputs, specs_at(last_ + 1));
    return {};
  }

  Status collect_inputs() {
    std::unordered_set<std::size_t> known;
    const bool starts_with_step = chain_.blocks[first_].step.has_value();
    const std::vector<TensorSpec>& crossing = chain_.cuts[first_].tensors;
    for (std::size_t i = 0; i < crossing.size(); ++i) {
      if (starts_with_step && i == image_place()) {
        contents_.inputs.push_back(step_spec(first_));
        continue;
      }
      TIDELINE_TRY(const TensorId id, find(crossing[i].name));
      known.insert(index(id));
      if (state_[index(id)] != kNeeded) continue;
      contents_.inputs.push_back(graph_.tensor(id).spec);
      contents_.onnx_inputs.push_back(id);
    }
    if (starts_with_step && !contents_.ops.empty()) {
      // The last step hands its result to the ONNX part.
      TIDELINE_TRY(const TensorId id, find(chain_.cuts[kInputSteps].tensors[image_place()].name));
      known.insert(index(id));
      contents_.onnx_inputs.push_back(id);
    }
    for (std::size_t i = 0; i < state_.size(); ++i)
      if (state_[i] == kNeeded && !known.contains(i)) return mismatch();
    return {};
  }

  Status collect_outputs() {
    const bool ends_with_step = chain_.blocks[last_].step.has_value();
    const bool has_step = chain_.blocks[first_].step.has_value();
    const bool is_end = onnx_end_ == chain_.output_cut();
    const std::vector<TensorSpec>& crossing = chain_.cuts[onnx_end_].tensors;
    for (std::size_t i = 0; i < crossing.size(); ++i) {
      if (ends_with_step) {
        if (i == image_place()) contents_.outputs.push_back(step_spec(last_ + 1));
        continue;
      }
      TIDELINE_TRY(const TensorId id, find(crossing[i].name));
      const bool of_steps = has_step && crossing[i].name == chain_.cuts[kInputSteps].tensors[image_place()].name;
      const bool constant = is_end && graph_.tensor(id).is_constant;
      if (constant) need(id);
      if (!constant && !of_steps && state_[index(id)] != kMade) continue;
      contents_.outputs.push_back(graph_.tensor(id).spec);
      contents_.onnx_outputs.push_back(id);
    }
    return {};
  }

  const BuiltGraph& built_;
  const Graph& graph_;
  const Chain& chain_;
  const std::uint32_t first_;
  const std::uint32_t last_;
  std::uint32_t onnx_end_ = 0;  // the cut behind the last op or input step
  std::vector<State> state_;
  Contents contents_;
};

// The local functions that nodes call, with those that they call in turn.
class FunctionUse {
 public:
  explicit FunctionUse(const onnx::ModelProto& model) {
    for (const onnx::FunctionProto& function : model.functions())
      functions_[function_key(function.domain(), function.name())].push_back(&function);
  }
  void add(const onnx::NodeProto& node, onnx::ModelProto& shell) {
    if (functions_.empty()) return;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      for (const onnx::NodeProto& inner : attribute.g().node()) add(inner, shell);
      for (const onnx::GraphProto& graph : attribute.graphs())
        for (const onnx::NodeProto& inner : graph.node()) add(inner, shell);
    }
    const std::string key = function_key(node.domain(), node.op_type());
    const auto found = functions_.find(key);
    if (found == functions_.end() || !used_.insert(key).second) return;
    for (const onnx::FunctionProto* function : found->second) {
      *shell.add_functions() = *function;
      for (const onnx::NodeProto& inner : function->node()) add(inner, shell);
    }
  }

 private:
  std::unordered_map<std::string, std::vector<const onnx::FunctionProto*>> functions_;
  std::unordered_set<std::string> used_;
};

// What the file calls dimensions that only the run tells ("batch").
class Symbols {
 public:
  explicit Symbols(const onnx::GraphProto& graph) {
    for (const auto* values : {&graph.output(), &graph.value_info()})
      for (const onnx::ValueInfoProto& value : *values) declared_.emplace(value.name(), &value);
  }
  void name(onnx::ValueInfoProto& value) const {
    const auto found = declared_.find(value.name());
    if (found == declared_.end()) return;
    const onnx::TensorShapeProto& known = found->second->type().tensor_type().shape();
    if (!value.type().tensor_type().has_shape() || known.dim_size() != value.type().tensor_type().shape().dim_size()) return;
    onnx::TensorShapeProto& shape = *value.mutable_type()->mutable_tensor_type()->mutable_shape();
    for (int i = 0; i < known.dim_size(); ++i)
      if (!shape.dim(i).has_dim_value() && known.dim(i).has_dim_param())
        shape.mutable_dim(i)->set_dim_param(known.dim(i).dim_param());
  }

 private:
  std::unordered_map<std::string_view, const onnx::ValueInfoProto*> declared_;
};

// Types of what is made on the way, and quantisation notes, so that other tools show them.
void add_notes(const Model& model, const Contents& contents, const Symbols& symbols, onnx::GraphProto& graph) {
  std::set<TensorId> outputs(contents.onnx_outputs.begin(), contents.onnx_outputs.end());
  std::unordered_set<std::string_view> names;
  const Graph& source = model.graph();
  for (const OpId id : contents.ops)
    for (const TensorId output : source.op(id).outputs) {
      const TensorSpec& spec = source.tensor(output).spec;
      names.insert(spec.name);
      if (outputs.contains(output) || spec.dtype == DType::kUndefined) continue;
      set_type(*graph.add_value_info(), spec);
      symbols.name(*graph.mutable_value_info(graph.value_info_size() - 1));
    }
  for (const TensorId id : contents.onnx_inputs) names.insert(source.tensor(id).spec.name);
  for (const onnx::TensorAnnotation& note : model.impl().proto.graph().quantization_annotation())
    if (names.contains(note.tensor_name())) *graph.add_quantization_annotation() = note;
}

Result<OnnxParts> onnx_parts(const Model& model, const Contents& contents, const std::string& name) {
  const Model::Impl& impl = model.impl();
  const Graph& source = impl.built.graph;
  OnnxParts parts;
  parts.shell.set_ir_version(impl.proto.ir_version());
  parts.shell.set_producer_name("tideline");
  copy_origin(impl.proto, parts.shell);
  *parts.shell.mutable_opset_import() = impl.proto.opset_import();
  onnx::GraphProto& graph = *parts.shell.mutable_graph();
  graph.set_name(name);
  const Symbols symbols(impl.proto.graph());
  const auto add_values = [&](const std::vector<TensorId>& ids, auto add) -> Status {
    for (const TensorId id : ids) {
      const TensorSpec& spec = source.tensor(id).spec;
      if (element_bytes(spec.dtype) == 0)
        return segment_error(ErrorCode::kUnsupported,
                             fmt::format("tensor '{}' holds elements of type {}, which have no fixed size", printable(spec.name),
                                         to_string(spec.dtype)));
      onnx::ValueInfoProto& value = *add();
      set_type(value, spec);
      symbols.name(value);
    }
    return {};
  };
  TIDELINE_CHECK_OK(add_values(contents.onnx_inputs, [&] { return graph.add_input(); }));
  TIDELINE_CHECK_OK(add_values(contents.onnx_outputs, [&] { return graph.add_output(); }));
  add_notes(model, contents, symbols, graph);
  FunctionUse functions(impl.proto);
  for (const std::vector<OpId>* ops : {&contents.constant_ops, &contents.ops})
    for (const OpId id : *ops) {
      const onnx::NodeProto& node = impl.proto.graph().node(static_cast<int>(id));
      functions.add(node, parts.shell);
      parts.nodes.push_back(&node);
    }
  for (const TensorId id : contents.weights) {
    const Weight& weight = impl.built.weights[index(id)];
    if (weight.tensor != nullptr) parts.initializers.push_back(weight.tensor);
    if (weight.sparse != nullptr) parts.sparse_initializers.push_back(weight.sparse);
  }
  return parts;
}

Result<Contents> contents_of(const Model& model, const Chain& chain, std::uint32_t first, std::uint32_t last) {
  if (first > last || last >= chain.block_count())
    return segment_error(ErrorCode::kInvalidArgument, fmt::format("there are blocks 0 to {}, so {}:{} is no range of them",
                                                                  chain.block_count() - 1, first, last));
  if (chain.model_sha256 != model.sha256())
    return segment_error(ErrorCode::kInvalidArgument, "the chain was not made from this model");
  TIDELINE_TRY(Contents contents, Collector(model, chain, first, last).collect());
  if (std::max(contents.inputs.size(), contents.outputs.size()) > limits::kFrameTensorsMax)
    return segment_error(ErrorCode::kUnsupported, fmt::format("blocks {}:{} have more than {} tensors on one side", first, last,
                                                              limits::kFrameTensorsMax));
  return contents;
}

std::string segment_name(const Chain& chain, std::uint32_t first, std::uint32_t last) {
  return fmt::format("{} blocks {} to {}", chain.model_name, first, last);
}

}  // namespace

Result<std::string> extract_onnx(const Model& model, const Chain& chain, std::uint32_t first_block, std::uint32_t last_block) {
  TIDELINE_TRY(const Contents contents, contents_of(model, chain, first_block, last_block));
  if (contents.ops.empty())
    return segment_error(
        ErrorCode::kInvalidArgument,
        fmt::format("blocks {}:{} are steps of the input or output section, which are not ONNX; name blocks from {} to {}",
                    first_block, last_block, chain.input ? kInputSteps : 0, chain.output_cut() - 1));
  TIDELINE_TRY(const OnnxParts parts, onnx_parts(model, contents, segment_name(chain, first_block, last_block)));
  std::string bytes;
  TIDELINE_CHECK_OK(append_onnx(parts, bytes));
  return bytes;
}

Result<Segment> extract_segment(const Model& model, const Chain& chain, std::uint32_t first_block, std::uint32_t last_block) {
  TIDELINE_TRY(Contents contents, contents_of(model, chain, first_block, last_block));
  SegmentParts header{.first_block = first_block, .last_block = last_block, .steps = contents.steps};
  if (!contents.steps.empty()) header.input = chain.input;
  header.output_steps = contents.output_steps;
  header.output_inputs = contents.output_inputs;
  header.inputs = contents.inputs;
  header.outputs = contents.outputs;
  OnnxParts parts;
  if (!contents.ops.empty()) {
    TIDELINE_TRY(parts, onnx_parts(model, contents, segment_name(chain, first_block, last_block)));
    add_layout_anchors(model.graph(), contents.onnx_inputs, contents.ops, parts);
  }
  const std::uint64_t onnx_bytes = contents.ops.empty() ? 0 : onnx_size(parts);
  Segment segment{.first_block = first_block, .last_block = last_block};
  TIDELINE_TRY(segment.bytes, write_segment_header(header, onnx_bytes));
  if (onnx_bytes > 0) TIDELINE_CHECK_OK(append_onnx(parts, segment.bytes));
  if (segment.bytes.size() > limits::kSegmentBytesMax)
    return segment_error(ErrorCode::kUnsupported,
                         fmt::format("blocks {}:{} have {}, above the limit of {}", first_block, last_block,
                                     format_bytes(segment.bytes.size()), format_bytes(limits::kSegmentBytesMax)));
  segment.hash = sha256(segment.bytes);
  segment.inputs = std::move(contents.inputs);
  segment.outputs = std::move(contents.outputs);
  return segment;
}

}  // namespace tideline
