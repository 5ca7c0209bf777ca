// LeNet-5 (LeCun et al., 1998) in the form everybody runs: C3 sees all maps of S2, average pools without weights, and a softmax
// in place of the radial basis functions.
#include "zoo/networks.h"

namespace tideline::zoo {

void build_lenet5(OnnxBuilder& b) {
  Value x = b.input("input", {1, 1, 32, 32});
  x = b.tanh("c1.tanh", b.conv("c1", x, {.channels = 6, .kernel = {5, 5}, .gain = kLinearGain}));
  x = b.average_pool("s2", x, {.kernel = 2, .stride = 2});
  x = b.tanh("c3.tanh", b.conv("c3", x, {.channels = 16, .kernel = {5, 5}, .gain = kLinearGain}));
  x = b.average_pool("s4", x, {.kernel = 2, .stride = 2});
  x = b.tanh("c5.tanh", b.conv("c5", x, {.channels = 120, .kernel = {5, 5}, .gain = kLinearGain}));
  x = b.tanh("f6.tanh", b.fully_connected("f6", b.flatten("flatten", x), 84, kLinearGain));
  b.output(b.softmax("prob", b.fully_connected("f7", x, 10, kLinearGain)));
}

}  // namespace tideline::zoo
