// MobileNet v1 (Howard et al., 2017) and v2 (Sandler et al., 2018), width 1.0, 224x224.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

Value conv_bn(OnnxBuilder& b, const std::string& id, const Value& x, ConvOptions options, double bn_gain = 1) {
  options.bias = false;
  return b.batch_norm(id + ".bn", b.conv(id + ".conv", x, options), bn_gain);
}

ConvOptions depthwise(const Value& x, std::int64_t stride) {
  return {.channels = x.channels(), .kernel = {3, 3}, .stride = {stride, stride}, .pad = {1, 1}, .groups = x.channels()};
}

Value classify(OnnxBuilder& b, Value x) {
  x = b.flatten("flatten", b.global_average_pool("pool", x));
  return b.softmax("prob", b.fully_connected("fc", x, 1000, kLinearGain));
}

// Expand by `factor`, filter each channel, project without a non-linearity; the shortcut only where shapes allow it.
Value inverted_residual(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t channels, std::int64_t factor,
                        std::int64_t stride) {
  const bool has_shortcut = stride == 1 && in.channels() == channels;
  Value x = in;
  if (factor != 1) x = b.relu6(id + ".expand.relu6", conv_bn(b, id + ".expand", x, {.channels = in.channels() * factor}));
  x = b.relu6(id + ".depthwise.relu6", conv_bn(b, id + ".depthwise", x, depthwise(x, stride)));
  x = conv_bn(b, id + ".project", x, {.channels = channels, .gain = kLinearGain}, has_shortcut ? 0.5 : 1.0);
  return has_shortcut ? b.add(id + ".add", x, in) : x;
}

}  // namespace

void build_mobilenet_v1(OnnxBuilder& b) {
  struct Layer {
    std::int64_t channels, stride;
  };
  constexpr std::array<Layer, 13> kLayers{{{64, 1},
                                           {128, 2},
                                           {128, 1},
                                           {256, 2},
                                           {256, 1},
                                           {512, 2},
                                           {512, 1},
                                           {512, 1},
                                           {512, 1},
                                           {512, 1},
                                           {512, 1},
                                           {1024, 2},
                                           {1024, 1}}};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.relu("stem.relu", conv_bn(b, "stem", x, {.channels = 32, .kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}}));
  for (std::size_t i = 0; i < kLayers.size(); ++i) {
    const std::string id = fmt::format("block{}", i + 1);
    x = b.relu(id + ".depthwise.relu", conv_bn(b, id + ".depthwise", x, depthwise(x, kLayers[i].stride)));
    x = b.relu(id + ".pointwise.relu", conv_bn(b, id + ".pointwise", x, {.channels = kLayers[i].channels}));
  }
  b.output(classify(b, x));
}

void build_mobilenet_v2(OnnxBuilder& b) {
  struct Stage {
    std::int64_t factor, channels;
    int repeats;
    std::int64_t stride;
  };
  constexpr std::array<Stage, 7> kStages{
      {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.relu6("stem.relu6", conv_bn(b, "stem", x, {.channels = 32, .kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}}));
  int block = 0;
  for (const Stage& stage : kStages)
    for (int i = 0; i < stage.repeats; ++i)
      x = inverted_residual(b, fmt::format("block{}", ++block), x, stage.channels, stage.factor, i == 0 ? stage.stride : 1);
  x = b.relu6("head.relu6", conv_bn(b, "head", x, {.channels = 1280}));
  b.output(classify(b, x));
}

}  // namespace tideline::zoo
