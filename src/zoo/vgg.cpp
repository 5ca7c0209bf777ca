// VGG-16 and VGG-19 (configurations D and E of Simonyan and Zisserman, 2014): 3x3 convolutions only.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

void build_vgg(OnnxBuilder& b, const std::array<int, 5>& convolutions) {
  constexpr std::array<std::int64_t, 5> kChannels{64, 128, 256, 512, 512};
  Value x = b.input("input", {1, 3, 224, 224});
  for (std::size_t stage = 0; stage < 5; ++stage) {
    for (int i = 1; i <= convolutions[stage]; ++i) {
      const std::string id = fmt::format("{}_{}", stage + 1, i);
      x = b.relu("relu" + id, b.conv("conv" + id, x, {.channels = kChannels[stage], .kernel = {3, 3}, .pad = {1, 1}}));
    }
    x = b.max_pool(fmt::format("pool{}", stage + 1), x, {.kernel = 2, .stride = 2});
  }
  x = b.flatten("flatten", x);
  x = b.relu("relu6", b.fully_connected("fc6", x, 4096));
  x = b.relu("relu7", b.fully_connected("fc7", x, 4096));
  b.output(b.softmax("prob", b.fully_connected("fc8", x, 1000, kLinearGain)));
}

}  // namespace

void build_vgg16(OnnxBuilder& b) { build_vgg(b, {2, 2, 3, 3, 3}); }
void build_vgg19(OnnxBuilder& b) { build_vgg(b, {2, 2, 4, 4, 4}); }

}  // namespace tideline::zoo
