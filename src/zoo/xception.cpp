// Xception (Chollet, 2017, figure 5) at 299x299. Every convolution is followed by batch normalization, which the figure leaves
// out; a separable one is a 3x3 for each channel and a 1x1 with nothing in between. Pools have a padding of 1 on every side, as
// in the ports to PyTorch; "same" of the author's code puts it behind only where the side is even (74), with the same shapes.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

constexpr float kKerasEpsilon = 1e-3f;

Value separable(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t channels, double bn_gain = 1) {
  const Value x = b.conv(
      id + ".depthwise", in,
      {.channels = in.channels(), .kernel = {3, 3}, .pad = {1, 1}, .groups = in.channels(), .bias = false, .gain = kLinearGain});
  return b.batch_norm(id + ".bn", b.conv(id + ".pointwise", x, {.channels = channels, .bias = false}), bn_gain, kKerasEpsilon);
}

Value convolution(OnnxBuilder& b, const std::string& id, const Value& x, std::int64_t channels, std::int64_t stride) {
  const ConvOptions options{.channels = channels, .kernel = {3, 3}, .stride = {stride, stride}, .bias = false};
  return b.relu(id + ".relu", b.batch_norm(id + ".bn", b.conv(id + ".conv", x, options), 1, kKerasEpsilon));
}

// Two separable convolutions and a pool, beside a 1x1 of the same stride. What comes out of a sum is what both see; a ReLU stands
// before the first one unless the block is the first.
Value narrowing(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t middle, std::int64_t out, bool is_first) {
  const Value shortcut = b.batch_norm(
      id + ".shortcut.bn", b.conv(id + ".shortcut", in, {.channels = out, .stride = {2, 2}, .bias = false, .gain = kLinearGain}),
      0.5, kKerasEpsilon);
  Value x = is_first ? in : b.relu(id + ".relu1", in);
  x = b.relu(id + ".relu2", separable(b, id + ".sep1", x, middle));
  x = b.max_pool(id + ".pool", separable(b, id + ".sep2", x, out, 0.5), {.kernel = 3, .stride = 2, .pad = 1});
  return b.add(id + ".add", x, shortcut);
}

Value middle(OnnxBuilder& b, const std::string& id, const Value& in) {
  Value x = in;
  for (int i = 1; i <= 3; ++i) {
    const std::string n = std::to_string(i);
    x = separable(b, id + ".sep" + n, b.relu(id + ".relu" + n, x), in.channels(), i == 3 ? 0.5 : 1.0);
  }
  return b.add(id + ".add", x, in);
}

}  // namespace

void build_xception(OnnxBuilder& b) {
  Value x = b.input("input", {1, 3, 299, 299});
  x = convolution(b, "stem1", x, 32, 2);
  x = convolution(b, "stem2", x, 64, 1);
  x = narrowing(b, "block2", x, 128, 128, true);
  x = narrowing(b, "block3", x, 256, 256, false);
  x = narrowing(b, "block4", x, 728, 728, false);
  for (int i = 5; i <= 12; ++i) x = middle(b, fmt::format("block{}", i), x);
  x = narrowing(b, "block13", x, 728, 1024, false);
  x = b.relu("block14.relu1", separable(b, "block14.sep1", x, 1536));
  x = b.relu("block14.relu2", separable(b, "block14.sep2", x, 2048));
  x = b.flatten("flatten", b.global_average_pool("pool", x));
  b.output(b.softmax("prob", b.fully_connected("fc", x, 1000, kLinearGain)));
}

}  // namespace tideline::zoo
