// YOLOv2 at 608x608 for the 80 classes of COCO (Redmon and Farhadi, 2016): Darknet-19's convolutions, the passthrough from the
// 38x38 layer, and the 425 channels (5 anchors x 85) that a detector decodes outside the network.
//
// The passthrough is ONNX's SpaceToDepth; Darknet's own "reorg" orders the same elements differently, at the same cost.
#include <fmt/format.h>

#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

class Darknet {
 public:
  explicit Darknet(OnnxBuilder& builder) : b_(builder) {}

  Value conv(const Value& x, std::int64_t channels, std::int64_t kernel) {
    const std::string id = fmt::format("conv{}", ++convolutions_);
    const Value y =
        b_.conv(id, x, {.channels = channels, .kernel = {kernel, kernel}, .pad = {kernel / 2, kernel / 2}, .bias = false});
    return b_.leaky_relu(id + ".leaky", b_.batch_norm(id + ".bn", y), 0.1f);
  }
  Value pool(const Value& x) { return b_.max_pool(fmt::format("pool{}", ++pools_), x, {.kernel = 2, .stride = 2}); }
  // channels (3x3), channels/2 (1x1), channels (3x3), ... : `count` of them.
  Value stage(Value x, std::int64_t channels, int count) {
    for (int i = 0; i < count; ++i) x = i % 2 == 0 ? conv(x, channels, 3) : conv(x, channels / 2, 1);
    return x;
  }

 private:
  OnnxBuilder& b_;
  int convolutions_ = 0;
  int pools_ = 0;
};

}  // namespace

void build_yolov2(OnnxBuilder& b) {
  Darknet net(b);
  Value x = b.input("input", {1, 3, 608, 608});
  x = net.pool(net.conv(x, 32, 3));
  x = net.pool(net.conv(x, 64, 3));
  x = net.pool(net.stage(x, 128, 3));
  x = net.pool(net.stage(x, 256, 3));
  const Value fine = net.stage(x, 512, 5);
  x = net.stage(net.pool(fine), 1024, 5);
  x = net.conv(net.conv(x, 1024, 3), 1024, 3);
  const Value passed = b.space_to_depth("reorg", net.conv(fine, 64, 1), 2);
  x = net.conv(b.concat("route", {passed, x}), 1024, 3);
  b.output(b.conv("detect", x, {.channels = 425, .gain = kLinearGain}));
}

}  // namespace tideline::zoo
