#include "model/fold_shapes.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <unordered_set>

namespace tideline {
namespace {

// Ops of ONNX's own domain whose outputs have sizes that follow from the sizes of their inputs and from attributes.
constexpr std::string_view kBySizes[] = {"Abs",
                                         "Acos",
                                         "Acosh",
                                         "Add",
                                         "And",
                                         "ArgMax",
                                         "ArgMin",
                                         "Asin",
                                         "Asinh",
                                         "Atan",
                                         "Atanh",
                                         "AveragePool",
                                         "BatchNormalization",
                                         "BitShift",
                                         "BitwiseAnd",
                                         "BitwiseNot",
                                         "BitwiseOr",
                                         "BitwiseXor",
                                         "Cast",
                                         "CastLike",
                                         "Ceil",
                                         "Celu",
                                         "Clip",
                                         "Concat",
                                         "Conv",
                                         "ConvInteger",
                                         "ConvTranspose",
                                         "Cos",
                                         "Cosh",
                                         "CumSum",
                                         "DepthToSpace",
                                         "DequantizeLinear",
                                         "Div",
                                         "Dropout",
                                         "DynamicQuantizeLinear",
                                         "Einsum",
                                         "Elu",
                                         "Equal",
                                         "Erf",
                                         "Exp",
                                         "EyeLike",
                                         "Flatten",
                                         "Floor",
                                         "GRU",
                                         "Gather",
                                         "GatherElements",
                                         "GatherND",
                                         "Gelu",
                                         "Gemm",
                                         "GlobalAveragePool",
                                         "GlobalLpPool",
                                         "GlobalMaxPool",
                                         "Greater",
                                         "GreaterOrEqual",
                                         "GridSample",
                                         "GroupNormalization",
                                         "HardSigmoid",
                                         "HardSwish",
                                         "Hardmax",
                                         "Identity",
                                         "InstanceNormalization",
                                         "IsInf",
                                         "IsNaN",
                                         "LRN",
                                         "LSTM",
                                         "LayerNormalization",
                                         "LeakyRelu",
                                         "Less",
                                         "LessOrEqual",
                                         "Log",
                                         "LogSoftmax",
                                         "LpNormalization",
                                         "LpPool",
                                         "MatMul",
                                         "MatMulInteger",
                                         "Max",
                                         "MaxPool",
                                         "Mean",
                                         "MeanVarianceNormalization",
                                         "Min",
                                         "Mish",
                                         "Mod",
                                         "Mul",
                                         "Neg",
                                         "Not",
                                         "Or",
                                         "PRelu",
                                         "Pow",
                                         "QLinearConv",
                                         "QLinearMatMul",
                                         "QuantizeLinear",
                                         "RMSNormalization",
                                         "RNN",
                                         "RandomNormalLike",
                                         "RandomUniformLike",
                                         "Reciprocal",
                                         "Relu",
                                         "ReverseSequence",
                                         "Round",
                                         "ScatterElements",
                                         "ScatterND",
                                         "Selu",
                                         "Shape",
                                         "Shrink",
                                         "Sigmoid",
                                         "Sign",
                                         "Sin",
                                         "Sinh",
                                         "Size",
                                         "Softmax",
                                         "Softplus",
                                         "Softsign",
                                         "SpaceToDepth",
                                         "Sqrt",
                                         "Sub",
                                         "Sum",
                                         "Tan",
                                         "Tanh",
                                         "ThresholdedRelu",
                                         "Transpose",
                                         "Trilu",
                                         "Where",
                                         "Xor"};
static_assert(std::ranges::is_sorted(kBySizes));

// ... and those that also look at values, which must be constant: the inputs from this place on.
struct Deciding {
  std::string_view type;
  int from;
};
constexpr Deciding kByValues[] = {{"ConstantOfShape", 0},
                                  {"Expand", 1},
                                  {"OneHot", 1},
                                  {"Pad", 1},
                                  {"Range", 0},
                                  {"ReduceL1", 1},
                                  {"ReduceL2", 1},
                                  {"ReduceLogSum", 1},
                                  {"ReduceLogSumExp", 1},
                                  {"ReduceMax", 1},
                                  {"ReduceMean", 1},
                                  {"ReduceMin", 1},
                                  {"ReduceProd", 1},
                                  {"ReduceSum", 1},
                                  {"ReduceSumSquare", 1},
                                  {"Reshape", 1},
                                  {"Resize", 1},
                                  {"Slice", 1},
                                  {"Split", 1},
                                  {"Squeeze", 1},
                                  {"Tile", 1},
                                  {"TopK", 1},
                                  {"Unsqueeze", 1},
                                  {"Upsample", 1}};

bool is_own(const onnx::NodeProto& node) { return node.domain().empty() || node.domain() == "ai.onnx"; }

class Folder {
 public:
  Folder(onnx::ModelProto& model, const BuiltGraph& built)
      : model_(model),
        built_(built),
        determinism_(model),
        settled_(built.graph.tensors.size(), 0),
        ranked_(built.graph.tensors.size(), 0),
        constant_(built.graph.tensors.size(), 0) {
    for (std::size_t i = 0; i < settled_.size(); ++i) {
      const GraphTensor& tensor = built.graph.tensors[i];
      constant_[i] = tensor.is_constant ? 1 : 0;
      settled_[i] = tensor.is_constant || (tensor.is_measured && tensor.spec.shape == tensor.measured_shape) ? 1 : 0;
      ranked_[i] = settled_[i] != 0 || (tensor.is_measured && has_rank(tensor.spec.shape)) ? 1 : 0;
    }
    for (const onnx::FunctionProto& function : model.functions())
      functions_.insert(function_key(function.domain(), function.name()));
  }

  FoldedShapes fold() {
    std::size_t folded = 0;
    // Somebody's own op of that name would be called instead.
    const bool may_fold = !functions_.contains(function_key("", "Constant"));
    for (std::size_t i = 0; i < built_.graph.ops.size(); ++i) {
      onnx::NodeProto& node = *model_.mutable_graph()->mutable_node(static_cast<int>(i));
      const Op& op = built_.graph.ops[i];
      if (op.is_constant || op.is_dead) continue;
      if (all(op.inputs, constant_) && determinism_.holds(node)) {
        set(op.outputs, constant_);
        set(op.outputs, settled_);
        set(op.outputs, ranked_);
      } else if (is_own(node) && !functions_.contains(function_key(node.domain(), node.op_type()))) {
        if (follows(node, op)) set(op.outputs, settled_);
        if (has_one_rank(node, op)) set(op.outputs, ranked_);
        if (may_fold && make_constant(node, op)) {
          set(op.outputs, constant_);
          ++folded;
        }
      }
    }
    return {folded, std::move(settled_), std::move(ranked_)};
  }

 private:
  static bool all(const std::vector<TensorId>& ids, const std::vector<char>& marks) {
    return std::all_of(ids.begin(), ids.end(), [&](TensorId id) { return marks[static_cast<std::size_t>(id)] != 0; });
  }
  static void set(const std::vector<TensorId>& ids, std::vector<char>& marks) {
    for (const TensorId id : ids) marks[static_cast<std::size_t>(id)] = 1;
  }
  bool is_constant(const std::string& name) const {
    return name.empty() || constant_[static_cast<std::size_t>(built_.tensor_by_name.at(name))] != 0;
  }

  // Whether the sizes of its outputs are the same in every run.
  bool follows(const onnx::NodeProto& node, const Op& op) const {
    if (!all(op.inputs, settled_)) return false;
    if (std::binary_search(std::begin(kBySizes), std::end(kBySizes), std::string_view(node.op_type()))) return true;
    const auto* const deciding = std::find_if(std::begin(kByValues), std::end(kByValues),
                                              [&](const Deciding& known) { return known.type == node.op_type(); });
    if (deciding == std::end(kByValues)) return false;
    return std::all_of(node.input().begin() + std::min(deciding->from, node.input_size()), node.input().end(),
                       [&](const std::string& name) { return is_constant(name); });
  }

  // Whether its outputs have the same number of dimensions in every run: always, but for ops that run a body or take axes as
  // values, and those that take a whole shape, whose length must be known.
  bool has_one_rank(const onnx::NodeProto& node, const Op& op) const {
    if (!all(op.inputs, ranked_)) return false;
    const std::string_view type = node.op_type();
    if (std::binary_search(std::begin(kBySizes), std::end(kBySizes), type)) return true;
    if (type == "NonZero" || type == "Compress" || type == "Unique" || type == "NonMaxSuppression") return true;
    const auto* const deciding =
        std::find_if(std::begin(kByValues), std::end(kByValues), [&](const Deciding& known) { return known.type == type; });
    if (deciding == std::end(kByValues) || deciding->from >= node.input_size()) return deciding != std::end(kByValues);
    if (type == "Squeeze" || type == "Unsqueeze" || type.starts_with("Reduce")) return is_constant(node.input(deciding->from));
    if (type != "Reshape" && type != "Expand" && type != "ConstantOfShape") return true;
    const auto target = built_.tensor_by_name.find(node.input(deciding->from));
    return target != built_.tensor_by_name.end() && settled_[static_cast<std::size_t>(target->second)] != 0;
  }

  bool make_constant(onnx::NodeProto& node, const Op& op) const {
    const bool is_shape = node.op_type() == "Shape";
    if ((!is_shape && node.op_type() != "Size") || op.inputs.size() != 1 || op.outputs.size() != 1) return false;
    const auto input = static_cast<std::size_t>(op.inputs.front());
    const GraphTensor& tensor = built_.graph.tensors[input];
    if (settled_[input] == 0 || !tensor.is_measured) return false;
    onnx::TensorProto value;
    value.set_data_type(onnx::TensorProto::INT64);
    if (is_shape) {
      const std::span<const std::int64_t> dims = part_of(node, tensor.measured_shape);
      value.add_dims(static_cast<std::int64_t>(dims.size()));
      for (const std::int64_t dim : dims) value.add_int64_data(dim);
    } else {
      std::int64_t count = 1;
      for (const std::int64_t dim : tensor.measured_shape)
        if (__builtin_mul_overflow(count, dim, &count)) return false;
      value.add_int64_data(count);
    }
    node.clear_input();
    node.clear_attribute();
    node.set_domain("");
    node.set_op_type("Constant");
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name("value");
    attribute.set_type(onnx::AttributeProto::TENSOR);
    *attribute.mutable_t() = std::move(value);
    return true;
  }

  // Shape's attributes start and end, from opset 15 on; negative ones count from the back.
  static std::span<const std::int64_t> part_of(const onnx::NodeProto& node, const std::vector<std::int64_t>& dims) {
    const auto rank = static_cast<std::int64_t>(dims.size());
    std::int64_t start = 0;
    std::int64_t end = rank;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      const std::int64_t place = std::clamp(attribute.i() < 0 ? attribute.i() + rank : attribute.i(), std::int64_t{0}, rank);
      if (attribute.name() == "start") start = place;
      if (attribute.name() == "end") end = place;
    }
    return std::span(dims).subspan(static_cast<std::size_t>(start),
                                   static_cast<std::size_t>(std::max(end - start, std::int64_t{0})));
  }

  onnx::ModelProto& model_;
  const BuiltGraph& built_;
  Determinism determinism_;
  std::vector<char> settled_;   // its sizes are the same in every run
  std::vector<char> ranked_;    // their number is
  std::vector<char> constant_;  // its values are
  std::unordered_set<std::string> functions_;
};

}  // namespace

FoldedShapes fold_shapes(onnx::ModelProto& model, const BuiltGraph& built) { return Folder(model, built).fold(); }

}  // namespace tideline
