// ResNet-50 (He et al., 2015) in the usual "v1.5" form, whose bottlenecks stride in the 3x3 convolution: 4.09 G
// multiply-accumulates, where striding in the first 1x1 would be 3.8 G.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

// Scale of the branch that is added to the shortcut; sixteen such sums then grow by less than ten times.
constexpr double kBranchGain = 0.4;

Value bottleneck(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t width, std::int64_t stride) {
  const std::int64_t channels = 4 * width;
  Value x = b.conv(id + ".conv1", in, {.channels = width, .bias = false});
  x = b.relu(id + ".relu1", b.batch_norm(id + ".bn1", x));
  x = b.conv(id + ".conv2", x, {.channels = width, .kernel = {3, 3}, .stride = {stride, stride}, .pad = {1, 1}, .bias = false});
  x = b.relu(id + ".relu2", b.batch_norm(id + ".bn2", x));
  x = b.conv(id + ".conv3", x, {.channels = channels, .bias = false});
  x = b.batch_norm(id + ".bn3", x, kBranchGain);
  Value shortcut = in;
  if (stride != 1 || in.channels() != channels) {
    shortcut =
        b.conv(id + ".downsample", in, {.channels = channels, .stride = {stride, stride}, .bias = false, .gain = kLinearGain});
    shortcut = b.batch_norm(id + ".downsample_bn", shortcut);
  }
  return b.relu(id + ".relu3", b.add(id + ".add", x, shortcut));
}

}  // namespace

void build_resnet50(OnnxBuilder& b) {
  constexpr std::array<int, 4> kBlocks{3, 4, 6, 3};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.conv("conv1", x, {.channels = 64, .kernel = {7, 7}, .stride = {2, 2}, .pad = {3, 3}, .bias = false});
  x = b.relu("relu1", b.batch_norm("bn1", x));
  x = b.max_pool("pool1", x, {.kernel = 3, .stride = 2, .pad = 1});
  std::int64_t width = 64;
  for (std::size_t stage = 0; stage < kBlocks.size(); ++stage, width *= 2)
    for (int i = 0; i < kBlocks[stage]; ++i)
      x = bottleneck(b, fmt::format("layer{}.{}", stage + 1, i), x, width, stage > 0 && i == 0 ? 2 : 1);
  x = b.flatten("flatten", b.global_average_pool("pool5", x));
  b.output(b.softmax("prob", b.fully_connected("fc", x, 1000, kLinearGain)));
}

}  // namespace tideline::zoo
