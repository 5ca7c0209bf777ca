#include "model/fix_inputs.h"

#include <optional>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/graph_build.h"
#include "model/onnx_file.h"

namespace tideline {
namespace {

using Dimension = onnx::TensorShapeProto::Dimension;

// Symbol to size; no size once two sizes were given for it: some exporters call every dimension "?".
using Symbols = std::map<std::string, std::optional<std::int64_t>>;

void set_dimension(Dimension& dim, std::int64_t size, Symbols& symbols) {
  if (!dim.dim_param().empty()) {
    const auto [known, inserted] = symbols.emplace(dim.dim_param(), size);
    if (!inserted && known->second != size) known->second.reset();
  }
  dim.set_dim_value(size);
}

Status check_declared(onnx::ValueInfoProto& input) {
  if (!input.type().has_tensor_type()) return {};
  onnx::TypeProto::Tensor& type = *input.mutable_type()->mutable_tensor_type();
  if (onnx_element_bits(type.elem_type()) < 0)
    return model_error(
        fmt::format("input '{}' has element type {}, which does not exist", printable(input.name()), type.elem_type()));
  if (type.shape().dim_size() > static_cast<int>(limits::kTensorRankMax))
    return model_error(fmt::format("input '{}' has {} dimensions, above the limit of {}", printable(input.name()),
                                   type.shape().dim_size(), limits::kTensorRankMax));
  if (!type.has_shape()) return {};
  for (Dimension& dim : *type.mutable_shape()->mutable_dim()) {
    // Some exporters write -1 for a dimension that is not known.
    if (dim.has_dim_value() && dim.dim_value() == -1) dim.clear_dim_value();
    if (dim.has_dim_value() && dim.dim_value() < 0)
      return model_error(fmt::format("input '{}' has a dimension of {}", printable(input.name()), dim.dim_value()),
                         ErrorCode::kCorrupt);
  }
  return {};
}

Status apply_given(onnx::ValueInfoProto& input, const std::vector<std::int64_t>& sizes, Symbols& symbols) {
  const auto contradiction = [&] {
    return model_error(fmt::format("--shape for input '{}' has {}, but the model says {}", printable(input.name()),
                                   describe({"", DType::kUndefined, sizes}).substr(9), describe(spec_of(input))));
  };
  if (!input.type().has_tensor_type())
    return model_error(fmt::format("input '{}' is no tensor, so it cannot be given a shape", printable(input.name())));
  onnx::TypeProto::Tensor& type = *input.mutable_type()->mutable_tensor_type();
  if (!type.has_shape())
    for (std::size_t i = 0; i < sizes.size() && i <= limits::kTensorRankMax; ++i) type.mutable_shape()->add_dim();
  if (static_cast<int>(sizes.size()) != type.shape().dim_size()) return contradiction();
  for (int i = 0; i < type.shape().dim_size(); ++i) {
    Dimension& dim = *type.mutable_shape()->mutable_dim(i);
    const std::int64_t size = sizes[static_cast<std::size_t>(i)];
    // 0 is a size like any other: the first step of a language model has a past of length 0.
    if (size < 0)
      return model_error(fmt::format("--shape for input '{}' has {}; sizes are 0 or more", printable(input.name()), size));
    if (dim.has_dim_value() && dim.dim_value() != size) return contradiction();
    set_dimension(dim, size, symbols);
  }
  return {};
}

void apply_section(onnx::GraphProto& graph, const InputSection& section, Symbols& symbols) {
  for (onnx::ValueInfoProto& input : *graph.mutable_input()) {
    const bool meant = section.tensor.empty() ? graph.input_size() == 1 : input.name() == section.tensor;
    if (!meant || !input.type().has_tensor_type()) continue;
    onnx::TensorShapeProto& shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
    while (shape.dim_size() == 0 && shape.add_dim() != nullptr)
      for (int i = 0; i < 3; ++i) shape.add_dim();
    // Anything else does not fit an image; make_chain says so.
    if (shape.dim_size() != 4) continue;
    const std::int64_t channels = section.channel_count();
    const bool channels_first = section.layout == ImageLayout::kNchw;
    const std::array<std::int64_t, 4> sizes{1, channels_first ? channels : section.height,
                                            channels_first ? section.height : section.width,
                                            channels_first ? section.width : channels};
    const int sides_from = channels_first ? 2 : 1;
    for (int i = 0; i < 4; ++i) {
      // A side that follows the picture is left to the run.
      if (section.follow && (i == sides_from || i == sides_from + 1)) continue;
      if (!shape.dim(i).has_dim_value()) set_dimension(*shape.mutable_dim(i), sizes[static_cast<std::size_t>(i)], symbols);
    }
  }
}

void apply_symbols(onnx::GraphProto& graph, const Symbols& symbols) {
  for (onnx::ValueInfoProto& input : *graph.mutable_input()) {
    if (!input.type().has_tensor_type() || !input.type().tensor_type().has_shape()) continue;
    for (Dimension& dim : *input.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim())
      if (const auto known = symbols.find(dim.dim_param()); known != symbols.end() && known->second && !dim.has_dim_value())
        dim.set_dim_value(*known->second);
  }
}

}  // namespace

Status fix_inputs(onnx::GraphProto& graph, const ModelOptions& options) {
  std::vector<std::string_view> names;
  for (onnx::ValueInfoProto& input : *graph.mutable_input()) {
    TIDELINE_CHECK_OK(check_declared(input));
    names.push_back(input.name());
  }
  Symbols symbols;
  for (const auto& [name, sizes] : options.shapes) {
    onnx::ValueInfoProto* found = nullptr;
    for (onnx::ValueInfoProto& input : *graph.mutable_input())
      if (input.name() == name) found = &input;
    if (found == nullptr) {
      const std::string_view near = nearest(name, names);
      return model_error(
          fmt::format("--shape names '{}', which is no input{}", printable(name),
                      near.empty() ? fmt::format("; the inputs are: {}", printable(fmt::format("{}", fmt::join(names, ", "))))
                                   : fmt::format("; did you mean '{}'?", printable(near))));
    }
    TIDELINE_CHECK_OK(apply_given(*found, sizes, symbols));
  }
  if (options.input) apply_section(graph, *options.input, symbols);
  apply_symbols(graph, symbols);
  for (const onnx::ValueInfoProto& input : graph.input()) {
    const TensorSpec spec = spec_of(input);
    const bool known = std::all_of(spec.shape.begin(), spec.shape.end(), [](std::int64_t dim) { return dim >= 0; });
    if (element_bytes(spec.dtype) > 0 && known)
      if (const auto size = byte_size(spec.dtype, spec.shape); !size)
        return with_context(size.error(), fmt::format("input '{}'", printable(input.name())));
  }
  return {};
}

}  // namespace tideline
