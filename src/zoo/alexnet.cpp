// AlexNet as published in 2012: one tower, with the two-GPU grouping of conv2, conv4 and conv5 as grouped convolutions, and
// local response normalisation after the first two. Dropout does nothing at inference and is left out.
//
// The paper says 224x224 and 55x55 after conv1 (11x11, stride 4), which needs a padding of 2; others write 227x227 without.
#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

// The paper's k = 2, n = 5, alpha = 1e-4, beta = 0.75; ONNX divides alpha by n.
Value normalise(OnnxBuilder& b, const std::string& name, const Value& x) {
  return b.local_response_norm(name, x, 5, 5e-4f, 0.75f, 2.0f);
}

}  // namespace

void build_alexnet(OnnxBuilder& b) {
  const PoolOptions overlapping{.kernel = 3, .stride = 2};
  Value x = b.input("input", {1, 3, 224, 224});
  x = b.relu("relu1", b.conv("conv1", x, {.channels = 96, .kernel = {11, 11}, .stride = {4, 4}, .pad = {2, 2}}));
  x = b.max_pool("pool1", normalise(b, "norm1", x), overlapping);
  x = b.relu("relu2", b.conv("conv2", x, {.channels = 256, .kernel = {5, 5}, .pad = {2, 2}, .groups = 2}));
  x = b.max_pool("pool2", normalise(b, "norm2", x), overlapping);
  x = b.relu("relu3", b.conv("conv3", x, {.channels = 384, .kernel = {3, 3}, .pad = {1, 1}}));
  x = b.relu("relu4", b.conv("conv4", x, {.channels = 384, .kernel = {3, 3}, .pad = {1, 1}, .groups = 2}));
  x = b.relu("relu5", b.conv("conv5", x, {.channels = 256, .kernel = {3, 3}, .pad = {1, 1}, .groups = 2}));
  x = b.flatten("flatten", b.max_pool("pool5", x, overlapping));
  x = b.relu("relu6", b.fully_connected("fc6", x, 4096));
  x = b.relu("relu7", b.fully_connected("fc7", x, 4096));
  b.output(b.softmax("prob", b.fully_connected("fc8", x, 1000, kLinearGain)));
}

}  // namespace tideline::zoo
