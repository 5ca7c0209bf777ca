#include "measure/operator_cases.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "measure/network_cases.h"
#include "profile/calibration.h"
#include "zoo/onnx_builder.h"

namespace tideline {
namespace {

using zoo::OnnxBuilder;
using zoo::Value;

// The largest activation is VGG's 64 x 224 x 224, and few layers have more than a billion multiply-accumulates; a small host must
// get through them too.
constexpr std::int64_t kElementsMax = 3'300'000;
constexpr std::int64_t kMacsMax = 500'000'000;
constexpr std::int64_t kWeightsMax = 8'000'000;
constexpr std::uint64_t kWeightSeed = 1;

// A point of the Halton sequence, coordinate by coordinate.
class Draw {
 public:
  explicit Draw(std::uint32_t index) : index_(index + 1) {}
  std::uint32_t index() const { return index_; }

  // Spread evenly between the logarithms of both ends.
  std::int64_t size(std::int64_t low, std::int64_t high) {
    const double ratio = static_cast<double>(high + 1) / static_cast<double>(low);
    return std::clamp(static_cast<std::int64_t>(static_cast<double>(low) * std::pow(ratio, next())), low, high);
  }
  // Three of four networks' channels are multiples of eight, and engines' kernels are fastest there.
  std::int64_t channels(std::int64_t low, std::int64_t high) {
    const std::int64_t count = size(low, high);
    return next() < 0.25 ? count : std::clamp((count + 4) / 8 * 8, low, high);
  }
  template <std::size_t N>
  std::int64_t one_of(const std::array<std::int64_t, N>& choices) {
    return choices[std::min(N - 1, static_cast<std::size_t>(next() * static_cast<double>(N)))];
  }

 private:
  double next() {
    constexpr std::array<std::uint32_t, 8> kBases{2, 3, 5, 7, 11, 13, 17, 19};
    TIDELINE_CHECK(coordinate_ < kBases.size());
    const std::uint32_t base = kBases[coordinate_++];
    double value = 0;
    double digit = 1;
    for (std::uint32_t rest = index_; rest > 0; rest /= base) {
      digit /= base;
      value += digit * (rest % base);
    }
    return value;
  }

  std::uint32_t index_;
  std::size_t coordinate_ = 0;
};

// The side of a square plane as drawn, or as much less as the limits ask.
std::int64_t side_within(std::int64_t side, std::int64_t elements_per_place, std::int64_t macs_per_place) {
  const std::int64_t places = std::min(kElementsMax / std::max<std::int64_t>(elements_per_place, 1),
                                       kMacsMax / std::max<std::int64_t>(macs_per_place, 1));
  return std::clamp(side, std::int64_t{1},
                    std::max<std::int64_t>(1, static_cast<std::int64_t>(std::sqrt(static_cast<double>(places)))));
}

// Builds one case: the model's input, the ops of a kind, its output.
struct CaseBuilder {
  OnnxBuilder onnx{"operator"};
  OperatorCase result;

  // An activation: the op before has just written it, as in the middle of a network.
  Value warm(const std::string& name, std::vector<std::int64_t> shape) {
    return onnx.unary("Neg", std::string(kWarmName) + name, onnx.input(name, std::move(shape)));
  }
  Value plane(std::int64_t channels, std::int64_t side, const char* name = "x") { return warm(name, {1, channels, side, side}); }
  Value conv(const Value& x, const zoo::ConvOptions& options) {
    result.kernel = {options.kernel[0], options.kernel[1]};
    result.stride = {options.stride[0], options.stride[1]};
    result.groups = options.groups;
    return onnx.conv("conv", x, options);
  }
  Value pool(const Value& x, const zoo::PoolOptions& options, bool maximum) {
    result.kernel = {options.kernel, options.kernel};
    result.stride = {options.stride, options.stride};
    return maximum ? onnx.max_pool("pool", x, options) : onnx.average_pool("pool", x, options);
  }
};

// A square kernel over a padded plane; `choose` says what stands behind it.
Value plain_conv(CaseBuilder& c, Draw& d, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t in = d.channels(8, 1024);
  std::int64_t out = d.channels(8, 1024);
  out = std::max<std::int64_t>(1, std::min(out, kWeightsMax / (in * kernel * kernel)));
  const std::int64_t macs = in * out * kernel * kernel / (stride * stride);
  const std::int64_t side = side_within(d.size(std::max<std::int64_t>(kernel, 4), 160), std::max(in, out), macs);
  const std::int64_t pad = kernel / 2;
  return c.conv(c.plane(in, std::max(side, kernel)),
                {.channels = out, .kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad}});
}

Value conv_1x1(CaseBuilder& c, Draw& d) { return c.onnx.relu("act", plain_conv(c, d, 1, 1)); }
Value conv_1x1_plain(CaseBuilder& c, Draw& d) { return plain_conv(c, d, 1, d.one_of<3>({1, 1, 2})); }
Value conv_3x3(CaseBuilder& c, Draw& d) { return c.onnx.relu("act", plain_conv(c, d, 3, d.one_of<3>({1, 1, 2}))); }
Value conv_3x3_norm(CaseBuilder& c, Draw& d) {
  return c.onnx.relu6("act", c.onnx.batch_norm("norm", plain_conv(c, d, 3, d.one_of<3>({1, 1, 2}))));
}
Value conv_3x3_leaky(CaseBuilder& c, Draw& d) { return c.onnx.leaky_relu("act", plain_conv(c, d, 3, 1), 0.1f); }
Value conv_wide(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<2>({5, 7});
  return c.onnx.relu("act", plain_conv(c, d, kernel, d.one_of<3>({1, 1, 2})));
}
// One dimension at a time, as Inception and text recognisers have it.
Value conv_flat(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<3>({3, 5, 7});
  const bool wide = d.one_of<2>({0, 1}) == 1;
  const std::int64_t in = d.channels(8, 768);
  const std::int64_t out = d.channels(8, 768);
  const std::int64_t side = side_within(d.size(7, 80), std::max(in, out), in * out * kernel);
  const zoo::Pair shape = wide ? zoo::Pair{1, kernel} : zoo::Pair{kernel, 1};
  return c.onnx.relu("act", c.conv(c.plane(in, std::max(side, kernel)),
                                   {.channels = out, .kernel = shape, .pad = {shape[0] / 2, shape[1] / 2}}));
}
Value conv_first(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<4>({3, 5, 7, 11});
  const std::int64_t stride = d.one_of<3>({1, 2, 4});
  const std::int64_t out = d.channels(8, 96);
  const std::int64_t side = side_within(d.size(32, 416), std::max<std::int64_t>(3, out / (stride * stride)),
                                        3 * out * kernel * kernel / (stride * stride));
  return c.onnx.relu(
      "act", c.conv(c.onnx.input("x", {1, 3, std::max(side, kernel), std::max(side, kernel)}),
                    {.channels = out, .kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {kernel / 2, kernel / 2}}));
}
Value depthwise(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<3>({3, 3, 5});
  const std::int64_t stride = d.one_of<3>({1, 1, 2});
  const std::int64_t channels = d.channels(8, 1024);
  const std::int64_t side = side_within(d.size(5, 160), channels, channels * kernel * kernel);
  return c.onnx.relu6("act", c.conv(c.plane(channels, side), {.channels = channels,
                                                              .kernel = {kernel, kernel},
                                                              .stride = {stride, stride},
                                                              .pad = {kernel / 2, kernel / 2},
                                                              .groups = channels}));
}
Value conv_grouped(CaseBuilder& c, Draw& d) {
  const std::int64_t groups = d.one_of<4>({2, 3, 4, 8});
  const std::int64_t kernel = d.one_of<3>({1, 3, 5});
  const std::int64_t in = groups * d.channels(4, 128);
  const std::int64_t out = groups * d.channels(4, 128);
  const std::int64_t side = side_within(d.size(7, 80), std::max(in, out), in * out / groups * kernel * kernel);
  return c.onnx.relu("act",
                     c.conv(c.plane(in, side),
                            {.channels = out, .kernel = {kernel, kernel}, .pad = {kernel / 2, kernel / 2}, .groups = groups}));
}
// The end of a residual branch. The engine fuses the sum into the convolution when the shortcut has its blocked layout, as it has
// in the middle of a network: a pool of one element, which changes nothing, brings it there.
Value conv_add(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<2>({1, 3});
  const std::int64_t in = d.channels(16, 512);
  const std::int64_t out = d.channels(16, 1024);
  const std::int64_t side = side_within(d.size(7, 80), std::max(in, out), in * out * kernel * kernel);
  const Value y = c.conv(c.plane(in, side), {.channels = out, .kernel = {kernel, kernel}, .pad = {kernel / 2, kernel / 2}});
  const Value shortcut = c.onnx.max_pool("layout", c.plane(out, side, "shortcut"), {.kernel = 1, .stride = 1});
  return c.onnx.relu("act", c.onnx.add("sum", y, shortcut));
}
Value transposed(CaseBuilder& c, Draw& d) {
  const std::int64_t in = d.channels(8, 256);
  const std::int64_t out = d.channels(4, 128);
  const std::int64_t side = side_within(d.size(4, 160), std::max(in, 4 * out), 4 * in * out);
  c.result.kernel = {2, 2};
  c.result.stride = {2, 2};
  return c.onnx.conv_transpose("conv", c.plane(in, side), {.channels = out, .kernel = {2, 2}, .stride = {2, 2}});
}
Value gemm(CaseBuilder& c, Draw& d) {
  const std::int64_t in = d.size(64, 16'384);
  const std::int64_t out = std::min(d.size(8, 4096), kWeightsMax / in);
  return c.onnx.relu("act", c.onnx.fully_connected("fc", c.warm("x", {1, in}), std::max<std::int64_t>(1, out)));
}
Value matmul(CaseBuilder& c, Draw& d) {
  const std::int64_t rows = d.size(1, 512);
  const std::int64_t in = d.channels(32, 2048);
  const std::int64_t out = d.channels(32, 4096);
  return c.onnx.matmul("matmul", c.warm("x", {1, std::min(rows, kMacsMax / (in * out)), in}), out);
}
Value max_pool(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<2>({2, 3});
  const std::int64_t stride = d.one_of<3>({2, 2, 1});
  const std::int64_t channels = d.channels(8, 1024);
  return c.pool(c.plane(channels, std::max(kernel, side_within(d.size(6, 160), channels, 0))),
                {.kernel = kernel, .stride = stride, .pad = kernel / 2}, true);
}
Value average_pool(CaseBuilder& c, Draw& d) {
  const std::int64_t kernel = d.one_of<3>({2, 3, 5});
  const std::int64_t stride = d.one_of<2>({1, 2});
  const std::int64_t channels = d.channels(8, 1024);
  return c.pool(c.plane(channels, std::max(kernel, side_within(d.size(6, 160), channels, 0))),
                {.kernel = kernel, .stride = stride, .pad = kernel / 2}, false);
}
// A plane of any size: what elementwise ops and those that move data read.
Value any_plane(CaseBuilder& c, Draw& d, const char* name = "x") {
  const std::int64_t channels = d.channels(8, 1024);
  return c.plane(channels, side_within(d.size(2, 224), channels, 0), name);
}
Value global_pool(CaseBuilder& c, Draw& d) { return c.onnx.global_average_pool("pool", any_plane(c, d)); }
Value relu(CaseBuilder& c, Draw& d) { return c.onnx.relu("act", any_plane(c, d)); }
Value clip(CaseBuilder& c, Draw& d) { return c.onnx.relu6("act", any_plane(c, d)); }
Value leaky_relu(CaseBuilder& c, Draw& d) { return c.onnx.leaky_relu("act", any_plane(c, d), 0.1f); }
Value tanh_op(CaseBuilder& c, Draw& d) { return c.onnx.tanh("act", any_plane(c, d)); }
Value sigmoid(CaseBuilder& c, Draw& d) { return c.onnx.unary("Sigmoid", "act", any_plane(c, d)); }
Value hard_sigmoid(CaseBuilder& c, Draw& d) { return c.onnx.unary("HardSigmoid", "act", any_plane(c, d)); }
Value erf_op(CaseBuilder& c, Draw& d) { return c.onnx.unary("Erf", "act", any_plane(c, d)); }
Value binary(CaseBuilder& c, Draw& d, const char* type) {
  const Value a = any_plane(c, d);
  return c.onnx.binary(type, "out", a, c.warm("y", a.shape));
}
Value add(CaseBuilder& c, Draw& d) { return binary(c, d, "Add"); }
Value mul(CaseBuilder& c, Draw& d) { return binary(c, d, "Mul"); }
Value div_op(CaseBuilder& c, Draw& d) { return binary(c, d, "Div"); }
// One factor for each channel, as in squeeze and excitation.
Value mul_channels(CaseBuilder& c, Draw& d) {
  const Value a = any_plane(c, d);
  return c.onnx.binary("Mul", "out", a, c.warm("y", {1, a.channels(), 1, 1}));
}
Value concat(CaseBuilder& c, Draw& d) {
  const std::int64_t side = d.size(2, 100);
  const std::int64_t parts = d.one_of<3>({2, 3, 4});
  const std::int64_t channels = std::max<std::int64_t>(1, std::min(d.channels(8, 512), kElementsMax / (parts * side * side)));
  std::vector<Value> values;
  for (std::int64_t i = 0; i < parts; ++i)
    values.push_back(c.plane(channels, side, std::array{"a", "b", "c", "d"}[static_cast<std::size_t>(i)]));
  return c.onnx.concat("out", values);
}
Value softmax(CaseBuilder& c, Draw& d) { return c.onnx.softmax("out", c.warm("x", {1, d.size(10, 100'000)})); }
Value lrn(CaseBuilder& c, Draw& d) {
  const std::int64_t channels = d.channels(16, 256);
  return c.onnx.local_response_norm("out", c.plane(channels, side_within(d.size(6, 60), channels, 0)), 5, 1e-4f, 0.75f, 1);
}
Value batch_norm(CaseBuilder& c, Draw& d) { return c.onnx.batch_norm("out", any_plane(c, d)); }
Value transpose(CaseBuilder& c, Draw& d) { return c.onnx.transpose("out", any_plane(c, d), {0, 2, 3, 1}); }
// Channels shuffled between groups: a transpose between two reshapes.
Value shuffle(CaseBuilder& c, Draw& d) {
  const std::int64_t groups = d.one_of<3>({2, 3, 4});
  const std::int64_t channels = groups * d.channels(8, 256);
  const std::int64_t side = side_within(d.size(4, 60), channels, 0);
  const Value x = c.plane(channels, side);
  const Value split = c.onnx.reshape("split", x, {1, groups, channels / groups, side, side});
  return c.onnx.reshape("out", c.onnx.transpose("swap", split, {0, 2, 1, 3, 4}), x.shape);
}
Value space_to_depth(CaseBuilder& c, Draw& d) {
  const std::int64_t channels = d.channels(4, 128);
  return c.onnx.space_to_depth("out", c.plane(channels, 2 * side_within(d.size(4, 60), 4 * channels, 0)), 2);
}
Value resize(CaseBuilder& c, Draw& d) {
  const std::int64_t factor = d.one_of<3>({2, 4, 8});
  const std::int64_t channels = d.channels(8, 256);
  return c.onnx.resize_nearest("out", c.plane(channels, side_within(d.size(4, 160), channels * factor * factor, 0)), factor);
}
Value reduce_mean(CaseBuilder& c, Draw& d) {
  return c.onnx.reduce_mean("out", c.warm("x", {1, d.size(1, 1024), d.channels(32, 1024)}));
}
// Rows of tokens, as attention has them.
Value tokens(CaseBuilder& c, Draw& d, const char* name = "x") {
  const std::int64_t rows = d.size(1, 1024);
  return c.warm(name, {1, rows, d.channels(32, 1024)});
}
Value layer_norm(CaseBuilder& c, Draw& d) { return c.onnx.layer_norm("out", tokens(c, d)); }
Value softmax_rows(CaseBuilder& c, Draw& d) {
  const std::int64_t heads = d.one_of<3>({1, 8, 12});
  const std::int64_t rows = d.size(16, 256);
  return c.onnx.softmax("out", c.warm("x", {1, heads, rows, d.size(16, 256)}), 3);
}
// Of two activations.
Value matmul_two(CaseBuilder& c, Draw& d) {
  const std::int64_t heads = d.one_of<3>({1, 8, 12});
  const std::int64_t rows = d.size(16, 256);
  const std::int64_t inner = d.size(16, 256);
  return c.onnx.matmul("matmul", c.warm("x", {1, heads, rows, inner}), c.warm("y", {1, heads, inner, d.size(16, 256)}));
}
Value transpose_heads(CaseBuilder& c, Draw& d) {
  const std::int64_t heads = d.one_of<3>({4, 8, 12});
  const std::int64_t rows = d.size(16, 512);
  return c.onnx.transpose("out", c.warm("x", {1, rows, heads, d.size(8, 64)}), {0, 2, 1, 3});
}
Value slice(CaseBuilder& c, Draw& d) {
  const Value x = any_plane(c, d);
  return c.onnx.slice_channels("out", x, x.channels() / 4, x.channels() / 4 + std::max<std::int64_t>(1, x.channels() / 2));
}
Value sub(CaseBuilder& c, Draw& d) { return binary(c, d, "Sub"); }
Value exp_op(CaseBuilder& c, Draw& d) { return c.onnx.unary("Exp", "act", any_plane(c, d)); }
Value sqrt_op(CaseBuilder& c, Draw& d) { return c.onnx.unary("Sqrt", "act", c.onnx.unary("Abs", "abs", any_plane(c, d))); }
Value network_plain(CaseBuilder& c, Draw& d) { return build_network(c.onnx, NetworkStyle::kPlain, d.index()); }
Value network_residual(CaseBuilder& c, Draw& d) { return build_network(c.onnx, NetworkStyle::kResidual, d.index()); }
Value network_separable(CaseBuilder& c, Draw& d) { return build_network(c.onnx, NetworkStyle::kSeparable, d.index()); }
Value network_branches(CaseBuilder& c, Draw& d) { return build_network(c.onnx, NetworkStyle::kBranches, d.index()); }
// So little work that what remains is what the engine takes to run one kernel more.
Value empty_kernels(CaseBuilder& c, Draw& d) {
  const std::int64_t count = d.size(2, 48);
  Value x = c.onnx.input("x", {1, 8});
  for (std::int64_t i = 0; i < count; ++i) x = c.onnx.unary("Neg", "neg" + std::to_string(i), x);
  return x;
}

struct Kind {
  std::string_view name;
  std::uint32_t every;  // measured in every so many-th round
  Value (*build)(CaseBuilder&, Draw&);
};

// Convolutions are where the time of networks goes, and what they take depends on the most numbers.
constexpr std::array kKinds{
    Kind{"conv-1x1", 1, conv_1x1},
    Kind{"conv-1x1-plain", 1, conv_1x1_plain},
    Kind{"conv-3x3", 1, conv_3x3},
    Kind{"conv-3x3-norm", 2, conv_3x3_norm},
    Kind{"conv-3x3-leaky", 3, conv_3x3_leaky},
    Kind{"conv-wide", 2, conv_wide},
    Kind{"conv-flat", 3, conv_flat},
    Kind{"conv-first", 1, conv_first},
    Kind{"conv-depthwise", 1, depthwise},
    Kind{"conv-grouped", 1, conv_grouped},
    Kind{"conv-add", 2, conv_add},
    Kind{"conv-transpose", 4, transposed},
    Kind{"gemm", 1, gemm},
    Kind{"matmul", 1, matmul},
    Kind{"max-pool", 2, max_pool},
    Kind{"average-pool", 3, average_pool},
    Kind{"global-average-pool", 3, global_pool},
    Kind{"relu", 3, relu},
    Kind{"clip", 4, clip},
    Kind{"leaky-relu", 4, leaky_relu},
    Kind{"tanh", 4, tanh_op},
    Kind{"sigmoid", 4, sigmoid},
    Kind{"hard-sigmoid", 4, hard_sigmoid},
    Kind{"erf", 4, erf_op},
    Kind{"add", 3, add},
    Kind{"mul", 4, mul},
    Kind{"div", 4, div_op},
    Kind{"mul-channels", 4, mul_channels},
    Kind{"concat", 3, concat},
    Kind{"softmax", 4, softmax},
    Kind{"lrn", 4, lrn},
    Kind{"batch-normalization", 4, batch_norm},
    Kind{"transpose", 4, transpose},
    Kind{"channel-shuffle", 4, shuffle},
    Kind{"space-to-depth", 4, space_to_depth},
    Kind{"resize-nearest", 4, resize},
    Kind{"reduce-mean", 4, reduce_mean},
    Kind{"layer-normalization", 4, layer_norm},
    Kind{"softmax-rows", 4, softmax_rows},
    Kind{"matmul-two", 3, matmul_two},
    Kind{"transpose-heads", 4, transpose_heads},
    Kind{"slice", 4, slice},
    Kind{"sub", 4, sub},
    Kind{"exp", 4, exp_op},
    Kind{"sqrt", 4, sqrt_op},
    Kind{kEmptyKernelsKind, 3, empty_kernels},
    Kind{"network-plain", 1, network_plain},
    Kind{"network-residual", 1, network_residual},
    Kind{"network-separable", 1, network_separable},
    Kind{"network-branches", 2, network_branches},
};

Result<OperatorCase> finish_case(CaseBuilder& builder, std::string_view kind, const Value& y) {
  builder.onnx.output(y);
  TIDELINE_TRY(builder.result.onnx, builder.onnx.finish(kWeightSeed));
  builder.result.kind = kind;
  return std::move(builder.result);
}

}  // namespace

std::vector<std::string_view> operator_kinds() {
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return names;
}

std::vector<std::size_t> kinds_of_round(std::uint32_t round) {
  std::vector<std::size_t> kinds;
  for (std::size_t k = 0; k < kKinds.size(); ++k)
    // Shifted, so that the rarer kinds do not all fall on the same round.
    if (round == 0 || (round + k) % kKinds[k].every == 0) kinds.push_back(k);
  return kinds;
}

Result<OperatorCase> operator_case(std::size_t kind, std::uint32_t index) {
  TIDELINE_CHECK(kind < kKinds.size());
  CaseBuilder builder;
  Draw draw(index);
  const Value y = kKinds[kind].build(builder, draw);
  return finish_case(builder, kKinds[kind].name, y);
}

Result<OperatorCase> reference_case() {
  CaseBuilder builder;
  const Value y = builder.conv(builder.onnx.input("x", {1, 64, 28, 28}), {.channels = 64, .kernel = {3, 3}, .pad = {1, 1}});
  return finish_case(builder, "reference", y);
}

Result<std::vector<OperatorCase>> scaling_cases() {
  std::vector<OperatorCase> cases;
  {
    CaseBuilder builder;
    const Value y = builder.conv(builder.onnx.input("x", {1, 64, 56, 56}), {.channels = 64, .kernel = {3, 3}, .pad = {1, 1}});
    TIDELINE_TRY(OperatorCase made, finish_case(builder, "convolution", y));
    cases.push_back(std::move(made));
  }
  {
    CaseBuilder builder;
    const Value y = builder.onnx.fully_connected("fc", builder.onnx.input("x", {1, 4096}), 2048);
    TIDELINE_TRY(OperatorCase made, finish_case(builder, "matrix-vector", y));
    cases.push_back(std::move(made));
  }
  {
    CaseBuilder builder;
    const Value y = builder.onnx.relu("act", builder.onnx.input("x", {1, 64, 160, 160}));
    TIDELINE_TRY(OperatorCase made, finish_case(builder, "elementwise", y));
    cases.push_back(std::move(made));
  }
  return cases;
}

}  // namespace tideline
