#include "model/flops.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string_view>

namespace tideline {
namespace {

using Count = std::uint64_t;
using std::string_view_literals::operator""sv;

// Saturating, because the numbers come from a file.
Count times(Count a, Count b) {
  Count product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<Count>::max() : product;
}
Count plus(Count a, Count b) {
  Count sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Count>::max() : sum;
}

Count product(std::span<const std::int64_t> dims) {
  Count count = 1;
  for (const std::int64_t dim : dims) count = times(count, static_cast<Count>(std::max<std::int64_t>(dim, 0)));
  return count;
}
Count elements(const GraphTensor& tensor) { return product(tensor.measured_shape); }

const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const onnx::AttributeProto& found : node.attribute())
    if (found.name() == name) return &found;
  return nullptr;
}
std::int64_t integer(const onnx::NodeProto& node, std::string_view name, std::int64_t fallback) {
  const onnx::AttributeProto* found = attribute(node, name);
  return found == nullptr ? fallback : found->i();
}

template <std::size_t N>
bool is_one_of(std::string_view type, const std::array<std::string_view, N>& types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

constexpr std::array kMovement{"Reshape"sv,
                               "Transpose"sv,
                               "Concat"sv,
                               "Slice"sv,
                               "Split"sv,
                               "Gather"sv,
                               "GatherElements"sv,
                               "GatherND"sv,
                               "ScatterND"sv,
                               "ScatterElements"sv,
                               "Scatter"sv,
                               "Pad"sv,
                               "Identity"sv,
                               "Cast"sv,
                               "CastLike"sv,
                               "Shape"sv,
                               "Size"sv,
                               "Squeeze"sv,
                               "Unsqueeze"sv,
                               "Flatten"sv,
                               "Expand"sv,
                               "Tile"sv,
                               "Constant"sv,
                               "ConstantOfShape"sv,
                               "DepthToSpace"sv,
                               "SpaceToDepth"sv,
                               "Dropout"sv,
                               "Range"sv,
                               "EyeLike"sv,
                               "OneHot"sv,
                               "NonZero"sv,
                               "ReverseSequence"sv,
                               "Compress"sv,
                               "Optional"sv,
                               "SequenceAt"sv,
                               "SequenceConstruct"sv,
                               "SequenceInsert"sv,
                               "SplitToSequence"sv,
                               "ConcatFromSequence"sv};
constexpr std::array kConvolutions{"Conv"sv, "ConvInteger"sv, "QLinearConv"sv, "FusedConv"sv, "NhwcConv"sv};
constexpr std::array kProducts{"MatMul"sv,      "MatMulInteger"sv, "QLinearMatMul"sv, "FusedMatMul"sv,
                               "MatMulNBits"sv, "Gemm"sv,          "QGemm"sv};
constexpr std::array kPools{"MaxPool"sv, "AveragePool"sv, "LpPool"sv, "QLinearAveragePool"sv};
constexpr std::array kGlobalPools{"GlobalAveragePool"sv, "GlobalMaxPool"sv, "GlobalLpPool"sv, "QLinearGlobalAveragePool"sv};
constexpr std::array kNormalisations{
    "LayerNormalization"sv,        "InstanceNormalization"sv, "GroupNormalization"sv,     "LRN"sv,
    "MeanVarianceNormalization"sv, "LpNormalization"sv,       "SkipLayerNormalization"sv, "RMSNormalization"sv};

}  // namespace

const GraphTensor* FlopCounter::measured(const std::string& name) const {
  const auto found = built_.tensor_by_name.find(name);
  if (name.empty() || found == built_.tensor_by_name.end()) return nullptr;
  const GraphTensor& tensor = built_.graph.tensor(found->second);
  return tensor.is_measured ? &tensor : nullptr;
}

const GraphTensor* FlopCounter::input(const onnx::NodeProto& node, int index) const {
  return index < node.input_size() ? measured(node.input(index)) : nullptr;
}

std::uint64_t FlopCounter::convolution(const onnx::NodeProto& node, const GraphTensor& output) const {
  // The weight comes after the quantisation parameters in the quantised form.
  const bool quantised = node.op_type() == "QLinearConv";
  const GraphTensor* data = input(node, 0);
  const GraphTensor* weight = input(node, quantised ? 3 : 1);
  const int bias_input = quantised ? 8 : 2;
  const bool has_bias = node.op_type() != "ConvInteger" && node.input_size() > bias_input && !node.input(bias_input).empty();
  const Count bias = has_bias ? elements(output) : 0;
  // Weights are [channels out, channels in / group, kernel...], for ConvTranspose [channels in, channels out / group, kernel...]:
  // either way one value of the other side costs the product of all dimensions but the first.
  Count per_value = 0;
  if (weight != nullptr && weight->measured_shape.size() >= 2) {
    per_value = product(std::span(weight->measured_shape).subspan(1));
  } else if (data != nullptr && data->measured_shape.size() >= 2) {
    const onnx::AttributeProto* kernel = attribute(node, "kernel_shape");
    if (kernel == nullptr) return 0;
    const std::int64_t channels = node.op_type() == "ConvTranspose"
                                      ? output.measured_shape.size() >= 2 ? output.measured_shape[1] : 0
                                      : data->measured_shape[1];
    per_value = times(static_cast<Count>(std::max<std::int64_t>(channels, 0)) /
                          static_cast<Count>(std::max<std::int64_t>(1, integer(node, "group", 1))),
                      product({kernel->ints().data(), static_cast<std::size_t>(kernel->ints_size())}));
  }
  const GraphTensor* values = node.op_type() == "ConvTranspose" ? data : &output;
  if (values == nullptr) return 0;
  return plus(times(2, times(elements(*values), per_value)), bias);
}

std::uint64_t FlopCounter::matrix_product(const onnx::NodeProto& node, const GraphTensor& output) const {
  const GraphTensor* left = input(node, 0);
  if (left == nullptr || left->measured_shape.empty()) return 0;
  const std::vector<std::int64_t>& shape = left->measured_shape;
  const bool transposed = integer(node, "transA", 0) != 0 && shape.size() >= 2;
  const std::int64_t inner = transposed ? shape[shape.size() - 2] : shape.back();
  const bool has_bias = node.op_type() == "Gemm" && node.input_size() > 2 && !node.input(2).empty();
  return plus(times(2, times(elements(output), static_cast<Count>(std::max<std::int64_t>(inner, 0)))),
              has_bias ? elements(output) : 0);
}

std::uint64_t FlopCounter::recurrent(const onnx::NodeProto& node) const {
  const GraphTensor* data = input(node, 0);
  if (data == nullptr || data->measured_shape.size() != 3) return 0;
  const Count gates = node.op_type() == "LSTM" ? 4 : node.op_type() == "GRU" ? 3 : 1;
  const onnx::AttributeProto* direction = attribute(node, "direction");
  const Count directions = direction != nullptr && direction->s() == "bidirectional" ? 2 : 1;
  const auto hidden = static_cast<Count>(std::max<std::int64_t>(0, integer(node, "hidden_size", 0)));
  const Count positions = product(std::span(data->measured_shape).first(2));  // steps x batch, in either layout
  const Count width = plus(static_cast<Count>(data->measured_shape[2]), hidden);
  return times(times(times(directions, positions), times(gates, hidden)), plus(times(2, width), 4));
}

std::uint64_t FlopCounter::pool(const onnx::NodeProto& node, const GraphTensor& output) const {
  const onnx::AttributeProto* kernel = attribute(node, "kernel_shape");
  if (kernel == nullptr) return 0;
  return times(elements(output), product({kernel->ints().data(), static_cast<std::size_t>(kernel->ints_size())}));
}

std::uint64_t FlopCounter::of(const onnx::NodeProto& node) const {
  const std::string& type = node.op_type();
  if (is_one_of(type, kMovement)) return 0;
  Count outputs = 0;
  const GraphTensor* first = nullptr;
  for (const std::string& name : node.output())
    if (const GraphTensor* made = measured(name); made != nullptr) {
      if (first == nullptr) first = made;
      outputs = plus(outputs, elements(*made));
    }
  if (type == "LSTM" || type == "GRU" || type == "RNN") return recurrent(node);
  if (first == nullptr) return 0;
  if (type == "ConvTranspose" || is_one_of(type, kConvolutions)) return convolution(node, *first);
  if (is_one_of(type, kProducts)) return matrix_product(node, *first);
  // A second output of a pool is where the maxima were found: no more work.
  if (is_one_of(type, kPools)) return pool(node, *first);
  const bool reduces = type.starts_with("Reduce") || type == "ArgMax" || type == "ArgMin" || is_one_of(type, kGlobalPools);
  if (reduces) return input(node, 0) == nullptr ? 0 : elements(*input(node, 0));
  if (type == "BatchNormalization") return times(2, elements(*first));
  if (is_one_of(type, kNormalisations)) return times(8, elements(*first));
  if (type == "Softmax" || type == "LogSoftmax") return times(5, elements(*first));
  if (type == "Resize" || type == "Upsample") {
    const onnx::AttributeProto* mode = attribute(node, "mode");
    return mode == nullptr || mode->s() == "nearest" ? 0 : times(8, elements(*first));
  }
  return outputs;
}

}  // namespace tideline
