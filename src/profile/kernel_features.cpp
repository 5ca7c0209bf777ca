#include "profile/kernel_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace tideline {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr double kFloat = 4;
// Up to so few channels the first convolution of a network reads them as they are, without blocks.
constexpr double kPlainChannelsMax = 15;

double product_of(const Dims& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1.0,
                         [](double all, std::int64_t dim) { return all * static_cast<double>(dim); });
}
double dim_of(const Dims& shape, std::size_t i) {
  return i < shape.size() ? static_cast<double>(std::max<std::int64_t>(shape[i], 1)) : 1;
}
double last_of(const Dims& shape) { return shape.empty() ? 1 : dim_of(shape, shape.size() - 1); }
double log2_of(double value) { return std::log2(std::max(value, 1e-6)); }

double moved(const SampleKernel& kernel) {
  double elements = 0;
  for (const Dims& input : kernel.inputs)
    if (!input.empty()) elements += product_of(input);
  for (const Dims& output : kernel.outputs)
    if (!output.empty()) elements += product_of(output);
  return kFloat * elements;
}

bool is_conv(const SampleKernel& kernel) {
  return (kernel.type == "Conv" || kernel.type == "FusedConv") && kernel.inputs.size() >= 2 && kernel.inputs[0].size() == 4 &&
         kernel.inputs[1].size() == 4 && kernel.outputs[0].size() == 4;
}
bool is_matrix(const SampleKernel& kernel) {
  return (kernel.type == "Gemm" || kernel.type == "FusedGemm" || kernel.type == "MatMul" || kernel.type == "FusedMatMul") &&
         kernel.inputs.size() >= 2 && !kernel.inputs[0].empty() && !kernel.inputs[1].empty();
}
bool is_pool(const SampleKernel& kernel) {
  return (kernel.type == "MaxPool" || kernel.type == "AveragePool") && !kernel.kernel.empty() && !kernel.inputs.empty() &&
         kernel.inputs[0].size() == 4;
}
bool is_global_pool(const SampleKernel& kernel) {
  return kernel.type.starts_with("Global") && !kernel.inputs.empty() && kernel.inputs[0].size() == 4;
}
double stride_of(const SampleKernel& kernel, std::size_t axis) { return kernel.stride.empty() ? 1 : dim_of(kernel.stride, axis); }

// Of the elements of all windows along one axis, the share that is not padding. The padding follows from the sizes; half of it,
// at the most, stands in front.
double share_within(double in, double out, double window, double stride) {
  const double front = std::floor(std::max(0.0, (out - 1) * stride + window - in) / 2);
  double reached = 0;
  // Beyond this many windows those at the ends do not count.
  constexpr double kWindowsMax = 4096;
  if (out > kWindowsMax) return 1;
  for (double o = 0; o < out; ++o) {
    const double begin = o * stride - front;
    reached += std::max(0.0, std::min(begin + window, in) - std::max(begin, 0.0));
  }
  return std::clamp(reached / (out * window), 0.05, 1.0);
}

KernelFeatures conv_features(const SampleKernel& kernel) {
  const Dims& x = kernel.inputs[0];
  const Dims& w = kernel.inputs[1];
  const Dims& y = kernel.outputs[0];
  const double groups = static_cast<double>(std::max<std::int64_t>(kernel.groups, 1));
  const double in = dim_of(w, 1);
  const double out = dim_of(y, 1);
  const double high = dim_of(w, 2);
  const double wide = dim_of(w, 3);
  // A sum that is fused to it is a third or fourth input of four dimensions.
  const bool adds = std::any_of(kernel.inputs.begin() + 2, kernel.inputs.end(), [](const Dims& d) { return d.size() == 4; });
  KernelFeatures features{.family = "conv.general", .flops = 2 * product_of(y) * in * high * wide, .bytes = moved(kernel)};
  const double places = dim_of(y, 0) * dim_of(y, 2) * dim_of(y, 3);
  // In blocks a window goes along one row of the plane after another, and what it does not reach is not computed; a window of one
  // element, and the product of matrices that others become, see no rows.
  const bool by_rows = kernel.blocked && high * wide > 1;
  if (by_rows)
    features.flops *= share_within(dim_of(x, 2), dim_of(y, 2), high, stride_of(kernel, 0)) *
                      share_within(dim_of(x, 3), dim_of(y, 3), wide, stride_of(kernel, 1));
  const double run = log2_of(by_rows ? dim_of(y, 3) : places);
  features.place = {log2_of(out / groups), run, log2_of(stride_of(kernel, 0)), adds ? 1.0 : 0.0};
  if (groups > 1 && in == 1) {
    features.family = "conv.depthwise";
    features.place = {log2_of(out), run, log2_of(stride_of(kernel, 0)), log2_of(high * wide)};
  } else if (kernel.blocked && groups == 1 && dim_of(x, 1) <= kPlainChannelsMax) {
    features.family = "conv.first";
    features.place.insert(features.place.end(), {log2_of(in), log2_of(high * wide)});
  } else if (high == 1 && wide == 1 && groups == 1) {
    features.family = "conv.pointwise";
    features.place.push_back(log2_of(in));
  } else {
    // A window is gathered first, unless it is one element.
    if (groups > 1) features.family = high == 1 && wide == 1 ? "conv.grouped.pointwise" : "conv.grouped";
    features.place.insert(features.place.end(), {log2_of(in), log2_of(high * wide), log2_of(high / wide), log2_of(groups)});
  }
  return features;
}

KernelFeatures transposed_features(const SampleKernel& kernel) {
  const Dims& w = kernel.inputs[1];
  const double work = product_of(kernel.inputs[0]) * product_of(w) / dim_of(w, 0);
  return {"conv.transposed",
          2 * work,
          moved(kernel),
          {log2_of(dim_of(w, 0)), log2_of(dim_of(w, 1)), log2_of(product_of(kernel.inputs[0]) / dim_of(w, 0)),
           log2_of(product_of(w) / dim_of(w, 0) / dim_of(w, 1))}};
}

KernelFeatures matrix_features(const SampleKernel& kernel) {
  const Dims& b = kernel.inputs[1];
  const double out = last_of(kernel.outputs[0]);
  const double all_rows = product_of(kernel.outputs[0]) / out;
  const double inner = product_of(kernel.inputs[0]) / all_rows;
  // As many products as the second matrix has layers.
  const double batch = std::max(1.0, product_of(b) / (inner * out));
  return {b.size() > 2 ? "matmul.two" : "matmul",
          2 * all_rows * inner * out,
          moved(kernel),
          {log2_of(all_rows / batch), log2_of(inner), log2_of(out), log2_of(batch)}};
}

// By rows of the last dimension.
KernelFeatures row_features(const SampleKernel& kernel) {
  const double elements = product_of(kernel.inputs[0]);
  const double row = last_of(kernel.inputs[0]);
  return {kernel.type, elements, moved(kernel), {log2_of(elements), log2_of(row)}};
}

KernelFeatures other_features(const SampleKernel& kernel) {
  const double out = product_of(kernel.outputs[0]);
  double in = 0;
  double least = out;  // a factor for each channel is spread over its plane
  for (const Dims& input : kernel.inputs)
    if (!input.empty()) {
      in += product_of(input);
      least = std::min(least, product_of(input));
    }
  return {kernel.type, out, moved(kernel), {log2_of(out), log2_of(in / out), std::min(log2_of(out / least), 3.0)}};
}

KernelFeatures data_features(const SampleKernel& kernel) {
  const double out = product_of(kernel.outputs[0]);
  return {
      kernel.type, 0, moved(kernel), {log2_of(out), log2_of(last_of(kernel.outputs[0])), log2_of(dim_of(kernel.outputs[0], 1))}};
}

bool has_shapes(const SampleKernel& kernel) {
  return !kernel.outputs.empty() && !kernel.outputs[0].empty() && !kernel.inputs.empty() && !kernel.inputs[0].empty();
}

template <std::size_t N>
bool is_any(std::string_view type, const std::array<std::string_view, N>& types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

bool is_view(std::string_view type) {
  constexpr std::array<std::string_view, 8> kViews{"Reshape",  "Flatten", "Squeeze", "Unsqueeze",
                                                   "Identity", "Dropout", "Shape",   "Constant"};
  return is_any(type, kViews);
}

double written_bytes(const SampleKernel& kernel) {
  double elements = 0;
  for (const Dims& output : kernel.outputs)
    if (!output.empty()) elements += product_of(output);
  return kFloat * elements;
}

std::optional<KernelFeatures> features_of(const SampleKernel& kernel) {
  if (is_view(kernel.type) || !has_shapes(kernel)) return std::nullopt;
  KernelFeatures features;
  if (is_conv(kernel)) {
    features = conv_features(kernel);
  } else if (kernel.type == "ConvTranspose" && kernel.inputs.size() >= 2 && kernel.inputs[1].size() == 4) {
    features = transposed_features(kernel);
  } else if (is_matrix(kernel)) {
    features = matrix_features(kernel);
  } else if (is_pool(kernel)) {
    const double out = product_of(kernel.outputs[0]);
    const double window = product_of(kernel.kernel);
    features = {"window." + kernel.type,
                out * window,
                moved(kernel),
                {log2_of(dim_of(kernel.outputs[0], 1)), log2_of(out / dim_of(kernel.outputs[0], 1)), log2_of(window),
                 log2_of(stride_of(kernel, 0))}};
  } else if (is_global_pool(kernel)) {
    const double channels = dim_of(kernel.inputs[0], 1);
    const double in = product_of(kernel.inputs[0]);
    features = {"plane." + kernel.type, in, moved(kernel), {log2_of(channels), log2_of(in / channels)}};
  } else if (is_any<4>(kernel.type, {"Softmax", "LogSoftmax", "LayerNormalization", "ReduceMean"})) {
    features = row_features(kernel);
  } else if (is_any<8>(kernel.type,
                       {"Transpose", "Concat", "Slice", "Split", "Gather", "ReorderInput", "ReorderOutput", "Resize"})) {
    features = data_features(kernel);
  } else {
    features = other_features(kernel);
  }
  features.output_bytes = written_bytes(kernel);
  if (is_conv(kernel) || kernel.type == "ConvTranspose" || features.family == "matmul")
    features.weight_bytes = kFloat * product_of(kernel.inputs[1]);
  if (kernel.blocked) features.family = "blocked." + features.family;
  // Shapes are a file's: without elements, or with more than there can be, there is nothing to compare by.
  bool is_finite = std::isfinite(features.flops) && std::isfinite(features.bytes + features.weight_bytes);
  for (const double coordinate : features.place) is_finite = is_finite && std::isfinite(coordinate);
  if (!is_finite) return std::nullopt;
  return features;
}

std::optional<LayerFeatures> layer_features_of(const SampleKernel& kernel) {
  if (is_view(kernel.type) || !has_shapes(kernel)) return std::nullopt;
  const double in = product_of(kernel.inputs[0]);
  const double out = product_of(kernel.outputs[0]);
  if (is_conv(kernel) || (kernel.type == "ConvTranspose" && kernel.inputs.size() >= 2)) {
    const Dims& w = kernel.inputs[1];
    const double filter = std::sqrt(dim_of(w, 2) * dim_of(w, 3)) / stride_of(kernel, 0);
    return LayerFeatures{"conv", {in, filter * filter * dim_of(kernel.outputs[0], 1)}};
  }
  if (is_matrix(kernel)) return LayerFeatures{"fc", {last_of(kernel.inputs[0]), last_of(kernel.outputs[0])}};
  if (is_pool(kernel) || is_global_pool(kernel)) return LayerFeatures{"pool", {in, out}};
  if (is_any<4>(kernel.type, {"LRN", "BatchNormalization", "LayerNormalization", "Softmax"})) return LayerFeatures{"norm", {out}};
  return LayerFeatures{"activation", {out}};
}

}  // namespace tideline
