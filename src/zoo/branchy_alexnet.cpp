// B-AlexNet of BranchyNet (Teerapittayanon, McDanel, Kung, 2016) for 32x32 colour pictures (CIFAR-10), with the two side branches
// of the authors' published network; Edgent builds on it. A branch reads what a convolution made before its ReLU, as there.
// Dropout does nothing at inference and is left out.
#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

constexpr std::int64_t kClasses = 10;
// Chainer, in which it was published, rounds sizes of pools up, and does not divide alpha by the 3 channels; ONNX does.
constexpr PoolOptions kHalving{.kernel = 3, .stride = 2, .round_up = true};
constexpr float kAlpha = 3 * 5e-5f;

Value normalise_pooled(OnnxBuilder& b, const std::string& place, const Value& x) {
  const Value pooled = b.max_pool(place + "pool", b.relu(place + "relu", x), kHalving);
  return b.local_response_norm(place + "norm", pooled, 3, kAlpha, 0.75f, 2.0f);
}

Value convolve(OnnxBuilder& b, const std::string& name, const Value& x, std::int64_t channels, std::int64_t side) {
  return b.conv(name, x, {.channels = channels, .kernel = {side, side}, .pad = {side / 2, side / 2}});
}

void end_branch(OnnxBuilder& b, const std::string& exit, const Value& x) {
  const Value flat = b.flatten(exit + ".flatten", b.max_pool(exit + ".pool2", x, kHalving));
  b.early_output(b.softmax(exit, b.fully_connected(exit + ".fc", flat, kClasses, kLinearGain)));
}

}  // namespace

void build_branchy_alexnet(OnnxBuilder& b) {
  Value x = b.input("input", {1, 3, 32, 32});
  x = normalise_pooled(b, "conv1.", convolve(b, "conv1", x, 32, 5));
  x = convolve(b, "conv2", x, 64, 5);
  Value branch = normalise_pooled(b, "exit1.", x);
  branch = b.relu("exit1.relu1", convolve(b, "exit1.conv1", branch, 32, 3));
  branch = b.relu("exit1.relu2", convolve(b, "exit1.conv2", branch, 32, 3));
  end_branch(b, "exit1", branch);
  x = convolve(b, "conv3", normalise_pooled(b, "conv2.", x), 96, 3);
  branch = normalise_pooled(b, "exit2.", x);
  branch = b.relu("exit2.relu1", convolve(b, "exit2.conv1", branch, 32, 3));
  end_branch(b, "exit2", branch);
  x = b.relu("conv4.relu", convolve(b, "conv4", b.relu("conv3.relu", x), 96, 3));
  x = b.relu("conv5.relu", convolve(b, "conv5", x, 64, 3));
  x = b.flatten("flatten", b.max_pool("conv5.pool", x, kHalving));
  x = b.relu("fc1.relu", b.fully_connected("fc1", x, 256));
  x = b.relu("fc2.relu", b.fully_connected("fc2", x, 128));
  b.output(b.softmax("prob", b.fully_connected("fc3", x, kClasses, kLinearGain)));
}

}  // namespace tideline::zoo
