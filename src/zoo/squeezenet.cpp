// SqueezeNet v1.0 (Iandola et al., 2016). The paper's 224x224 input and 111x111 after conv1 need a padding of 2.
// conv10 is not padded, as in the paper's table (833 M multiply-accumulates); the released prototxt pads it by 1 (861 M).
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

Value fire(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t squeeze, std::int64_t expand) {
  const Value x = b.relu(id + ".squeeze.relu", b.conv(id + ".squeeze", in, {.channels = squeeze}));
  const Value one = b.relu(id + ".expand1.relu", b.conv(id + ".expand1", x, {.channels = expand}));
  const Value three =
      b.relu(id + ".expand3.relu", b.conv(id + ".expand3", x, {.channels = expand, .kernel = {3, 3}, .pad = {1, 1}}));
  return b.concat(id + ".concat", {one, three});
}

}  // namespace

void build_squeezenet(OnnxBuilder& b) {
  const PoolOptions pool{.kernel = 3, .stride = 2};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.relu("relu1", b.conv("conv1", x, {.channels = 96, .kernel = {7, 7}, .stride = {2, 2}, .pad = {2, 2}}));
  x = b.max_pool("pool1", x, pool);
  x = fire(b, "fire2", x, 16, 64);
  x = fire(b, "fire3", x, 16, 64);
  x = fire(b, "fire4", x, 32, 128);
  x = b.max_pool("pool4", x, pool);
  x = fire(b, "fire5", x, 32, 128);
  x = fire(b, "fire6", x, 48, 192);
  x = fire(b, "fire7", x, 48, 192);
  x = fire(b, "fire8", x, 64, 256);
  x = b.max_pool("pool8", x, pool);
  x = fire(b, "fire9", x, 64, 256);
  x = b.relu("relu10", b.conv("conv10", x, {.channels = 1000}));
  x = b.flatten("flatten", b.global_average_pool("pool10", x));
  b.output(b.softmax("prob", x));
}

}  // namespace tideline::zoo
