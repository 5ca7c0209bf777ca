// ShuffleNet v1 (Zhang et al., 2017), g = 3, width 1x. The shuffle is what the paper says it is: reshape the channels to
// (g, n/g), transpose, and reshape back.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

constexpr std::int64_t kGroups = 3;

Value conv_bn(OnnxBuilder& b, const std::string& id, const Value& x, ConvOptions options, double bn_gain = 1) {
  options.bias = false;
  return b.batch_norm(id + ".bn", b.conv(id + ".conv", x, options), bn_gain);
}

Value shuffle(OnnxBuilder& b, const std::string& id, const Value& x) {
  const std::vector<std::int64_t> shape = x.shape;
  Value y = b.reshape(id + ".group", x, {1, kGroups, shape[1] / kGroups, shape[2], shape[3]});
  y = b.transpose(id + ".swap", y, {0, 2, 1, 3, 4});
  return b.reshape(id + ".merge", y, shape);
}

Value unit(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t channels, std::int64_t stride, bool group_first) {
  // A strided unit joins its pooled shortcut instead of adding it, so its branch makes only what is missing.
  const std::int64_t made = stride == 2 ? channels - in.channels() : channels;
  const std::int64_t middle = channels / 4;
  Value x =
      b.relu(id + ".reduce.relu", conv_bn(b, id + ".reduce", in, {.channels = middle, .groups = group_first ? kGroups : 1}));
  x = shuffle(b, id + ".shuffle", x);
  x = conv_bn(
      b, id + ".depthwise", x,
      {.channels = middle, .kernel = {3, 3}, .stride = {stride, stride}, .pad = {1, 1}, .groups = middle, .gain = kLinearGain});
  if (stride == 2) {
    x = conv_bn(b, id + ".restore", x, {.channels = made, .groups = kGroups, .gain = kLinearGain});
    const Value shortcut = b.average_pool(id + ".shortcut", in, {.kernel = 3, .stride = 2, .pad = 1});
    return b.relu(id + ".relu", b.concat(id + ".concat", {shortcut, x}));
  }
  x = conv_bn(b, id + ".restore", x, {.channels = made, .groups = kGroups, .gain = kLinearGain}, 0.5);
  return b.relu(id + ".relu", b.add(id + ".add", x, in));
}

}  // namespace

void build_shufflenet(OnnxBuilder& b) {
  struct Stage {
    std::int64_t channels;
    int units;
  };
  constexpr std::array<Stage, 3> kStages{{{240, 4}, {480, 8}, {960, 4}}};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.relu("stem.relu", conv_bn(b, "stem", x, {.channels = 24, .kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}}));
  x = b.max_pool("stem.pool", x, {.kernel = 3, .stride = 2, .pad = 1});
  for (std::size_t stage = 0; stage < kStages.size(); ++stage)
    for (int i = 0; i < kStages[stage].units; ++i)
      // The very first unit has too few input channels to group.
      x = unit(b, fmt::format("stage{}.{}", stage + 2, i), x, kStages[stage].channels, i == 0 ? 2 : 1, stage + i > 0);
  x = b.flatten("flatten", b.global_average_pool("pool", x));
  b.output(b.softmax("prob", b.fully_connected("fc", x, 1000, kLinearGain)));
}

}  // namespace tideline::zoo
