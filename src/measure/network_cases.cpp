#include "measure/network_cases.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace tideline {
namespace {

using zoo::OnnxBuilder;
using zoo::Value;

// Of one network: a small host must get through it too.
constexpr std::int64_t kNetworkMacsMax = 400'000'000;
constexpr std::int64_t kNetworkElementsMax = 1'600'000;
constexpr std::int64_t kNetworkWeightsMax = 4'000'000;

// SplitMix64: the same numbers on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  double next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  // Spread evenly between the logarithms of both ends.
  std::int64_t size(std::int64_t low, std::int64_t high) {
    const double ratio = static_cast<double>(high + 1) / static_cast<double>(low);
    return std::clamp(static_cast<std::int64_t>(static_cast<double>(low) * std::pow(ratio, next())), low, high);
  }
  std::int64_t channels(std::int64_t low, std::int64_t high) {
    const std::int64_t count = size(low, high);
    if (next() < 0.15) return count;
    const std::int64_t step = count < 64 ? 8 : 16;
    return std::max(low, (count + step / 2) / step * step);
  }
  bool chance(double share) { return next() < share; }

 private:
  std::uint64_t state_;
};

class NetworkWriter {
 public:
  NetworkWriter(OnnxBuilder& onnx, NetworkStyle style, std::uint32_t index)
      : onnx_(onnx), dice_((std::uint64_t{index} << 8) + static_cast<std::uint64_t>(style) + 1) {}

  Value write(NetworkStyle style) {
    const std::int64_t side = dice_.size(5, 160);
    const std::int64_t most = std::max<std::int64_t>(8, std::min<std::int64_t>(768, kNetworkElementsMax / (side * side)));
    const bool is_image = style == NetworkStyle::kPlain && dice_.chance(0.4);
    const std::int64_t channels = is_image ? 3 : dice_.channels(8, most);
    Value x = onnx_.unary("Neg", "warm.x", onnx_.input("x", {1, channels, side, side}));
    const std::int64_t layers = style == NetworkStyle::kPlain ? dice_.size(3, 7) : dice_.size(1, 3);
    for (std::int64_t i = 0; i < layers; ++i) {
      switch (style) {
        case NetworkStyle::kPlain: x = plain(x); break;
        case NetworkStyle::kResidual: x = residual(x); break;
        case NetworkStyle::kSeparable: x = separable(x); break;
        case NetworkStyle::kBranches: x = branches(x); break;
      }
      const std::int64_t now = std::min(x.shape[2], x.shape[3]);
      if (now >= 6 && dice_.chance(style == NetworkStyle::kSeparable ? 0.05 : 0.2)) x = max_pool(x);
    }
    return x;
  }

 private:
  std::string name(const char* what) { return what + std::to_string(count_++); }

  // As many of the wanted channels as what is left of the work and the weights allows.
  std::int64_t affordable(const Value& x, std::int64_t wanted, std::int64_t window, std::int64_t stride) const {
    const std::int64_t places = std::max<std::int64_t>(1, x.shape[2] * x.shape[3] / (stride * stride));
    const std::int64_t work = std::max<std::int64_t>(1, kNetworkMacsMax / 5 / (x.channels() * window * places));
    const std::int64_t weights = std::max<std::int64_t>(1, kNetworkWeightsMax / 3 / (x.channels() * window));
    const std::int64_t most = std::min({work, weights, std::max<std::int64_t>(1, kNetworkElementsMax / places)});
    return wanted <= most ? wanted : (most >= 16 ? most / 16 * 16 : most);
  }

  Value conv(const Value& x, std::int64_t out, zoo::Pair kernel, std::int64_t stride = 1) {
    return onnx_.conv(name("conv"), x,
                      {.channels = affordable(x, out, kernel[0] * kernel[1], stride),
                       .kernel = kernel,
                       .stride = {stride, stride},
                       .pad = {kernel[0] / 2, kernel[1] / 2}});
  }
  Value depthwise(const Value& x, std::int64_t kernel, std::int64_t stride) {
    return onnx_.conv(name("depthwise"), x,
                      {.channels = x.channels(),
                       .kernel = {kernel, kernel},
                       .stride = {stride, stride},
                       .pad = {kernel / 2, kernel / 2},
                       .groups = x.channels()});
  }
  Value activation(const Value& x) {
    const double kind = dice_.next();
    if (kind < 0.55) return onnx_.relu(name("relu"), x);
    if (kind < 0.7) return onnx_.relu6(name("relu6"), x);
    if (kind < 0.8) return onnx_.leaky_relu(name("leaky"), x, 0.1f);
    if (kind < 0.9) return onnx_.relu(name("relu"), onnx_.batch_norm(name("norm"), x));
    return x;
  }
  Value max_pool(const Value& x) {
    const std::int64_t kernel = dice_.chance(0.5) ? 2 : 3;
    return onnx_.max_pool(name("pool"), x, {.kernel = kernel, .stride = 2, .pad = kernel == 3 ? 1 : 0});
  }
  std::int64_t stride_of(const Value& x) { return x.shape[2] >= 8 && dice_.chance(0.2) ? 2 : 1; }
  std::int64_t window() {
    const double kind = dice_.next();
    if (kind < 0.3) return 1;
    if (kind < 0.8) return 3;
    return kind < 0.93 ? 5 : 7;
  }

  Value plain(const Value& x) {
    std::int64_t kernel = window();
    if (x.channels() == 3) kernel = std::max<std::int64_t>(kernel, 3);
    const std::int64_t stride = x.channels() == 3 && dice_.chance(0.6) ? 2 : stride_of(x);
    return activation(conv(x, dice_.channels(8, 768), {kernel, kernel}, stride));
  }
  // Narrow, square, wide, and the sum with what went in.
  Value residual(const Value& x) {
    const std::int64_t middle = std::max<std::int64_t>(8, dice_.channels(8, 256));
    Value y = onnx_.relu(name("relu"), conv(x, middle, {1, 1}));
    const std::int64_t stride = stride_of(x);
    y = onnx_.relu(name("relu"), conv(y, middle, {3, 3}, stride));
    const bool keeps = stride == 1 && dice_.chance(0.7);
    const std::int64_t wide = keeps ? x.channels() : affordable(x, dice_.channels(16, 1024), 1, stride);
    const Value shortcut = keeps ? x : onnx_.conv(name("conv"), x, {.channels = wide, .stride = {stride, stride}});
    y = onnx_.conv(name("conv"), y, {.channels = wide});
    return onnx_.relu(name("relu"), onnx_.add(name("sum"), y, shortcut));
  }
  Value separable(const Value& x) {
    const bool widens = dice_.chance(0.6);
    Value y = x;
    if (widens) y = onnx_.relu6(name("relu6"), conv(y, x.channels() * dice_.size(2, 6), {1, 1}));
    const std::int64_t stride = stride_of(x);
    y = onnx_.relu6(name("relu6"), depthwise(y, dice_.chance(0.75) ? 3 : 5, stride));
    if (widens && stride == 1 && dice_.chance(0.6))
      return onnx_.add(name("sum"), onnx_.conv(name("conv"), y, {.channels = x.channels()}), x);
    y = conv(y, dice_.channels(8, 512), {1, 1});
    return widens ? y : activation(y);
  }
  Value branches(const Value& x) {
    std::vector<Value> parts{onnx_.relu(name("relu"), conv(x, dice_.channels(16, 256), {1, 1}))};
    const std::int64_t more = dice_.size(1, 3);
    for (std::int64_t i = 0; i < more; ++i) {
      Value y = onnx_.relu(name("relu"), conv(x, dice_.channels(8, 192), {1, 1}));
      const std::int64_t kernel = dice_.chance(0.6) ? 3 : dice_.chance(0.5) ? 5 : 7;
      const bool is_flat = kernel > 3 && dice_.chance(0.5);
      if (is_flat) y = onnx_.relu(name("relu"), conv(y, dice_.channels(16, 256), {1, kernel}));
      parts.push_back(
          onnx_.relu(name("relu"), conv(y, dice_.channels(16, 320), is_flat ? zoo::Pair{kernel, 1} : zoo::Pair{kernel, kernel})));
    }
    return onnx_.concat(name("concat"), parts);
  }

  OnnxBuilder& onnx_;
  Dice dice_;
  int count_ = 0;
};

}  // namespace

Value build_network(OnnxBuilder& onnx, NetworkStyle style, std::uint32_t index) {
  return NetworkWriter(onnx, style, index).write(style);
}

}  // namespace tideline
