// OnnxBuilder: writes an ONNX model op by op, with shapes tracked and parameters and multiply-accumulates counted.
//
// Weights are only described while building and made while finishing, straight into the answer: counting a network costs
// nothing, and a 575 MB model never exists twice. Not thread-safe. A wrong network is a defect of this project, so
// mismatched shapes end in TIDELINE_CHECK.
//
//   OnnxBuilder b("tiny");
//   Value x = b.input("input", {1, 3, 8, 8});
//   x = b.relu("relu1", b.conv("conv1", x, {.channels = 4, .kernel = {3, 3}, .pad = {1, 1}}));
//   const std::string onnx = b.finish(x, seed).value();
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "zoo/zoo.h"

namespace tideline::zoo {

struct Value {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t channels() const { return shape[1]; }
};

using Pair = std::array<std::int64_t, 2>;  // height, width

// Scales of weights that keep the mean square of activations: before a ReLU, and where none follows.
inline constexpr double kReluGain = 1.4142135623730951;
inline constexpr double kLinearGain = 1.0;

struct ConvOptions {
  std::int64_t channels = 0;
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair pad{0, 0};
  std::int64_t groups = 1;
  bool bias = true;
  double gain = kReluGain;
};

struct PoolOptions {
  std::int64_t kernel = 2;
  std::int64_t stride = 2;
  std::int64_t pad = 0;
  bool round_up = false;
  bool count_padding = false;  // average pools only
};

class OnnxBuilder {
 public:
  explicit OnnxBuilder(std::string_view model_name);
  ~OnnxBuilder();
  OnnxBuilder(const OnnxBuilder&) = delete;
  OnnxBuilder& operator=(const OnnxBuilder&) = delete;

  Value input(std::string_view name, std::vector<std::int64_t> shape);

  Value conv(const std::string& name, const Value& x, const ConvOptions& options);
  // `gain` scales what goes out: below 1 at the end of a residual branch, so that sums of many do not grow.
  Value batch_norm(const std::string& name, const Value& x, double gain = 1, float epsilon = 1e-5f);
  Value fully_connected(const std::string& name, const Value& x, std::int64_t units, double gain = kReluGain);
  Value relu(const std::string& name, const Value& x);
  Value relu6(const std::string& name, const Value& x);
  Value leaky_relu(const std::string& name, const Value& x, float slope);
  Value tanh(const std::string& name, const Value& x);
  Value softmax(const std::string& name, const Value& x, std::int64_t axis = 1);
  Value max_pool(const std::string& name, const Value& x, const PoolOptions& options);
  Value average_pool(const std::string& name, const Value& x, const PoolOptions& options);
  Value global_average_pool(const std::string& name, const Value& x);
  // x / (bias + alpha/size * sum of squares over `size` channels)^beta.
  Value local_response_norm(const std::string& name, const Value& x, std::int64_t size, float alpha, float beta, float bias);
  Value add(const std::string& name, const Value& a, const Value& b);
  Value concat(const std::string& name, const std::vector<Value>& parts);  // along channels
  Value flatten(const std::string& name, const Value& x);
  Value reshape(const std::string& name, const Value& x, const std::vector<std::int64_t>& shape);
  Value transpose(const std::string& name, const Value& x, const std::vector<std::int64_t>& order);
  Value space_to_depth(const std::string& name, const Value& x, std::int64_t block);
  // An elementwise op without attributes: "Sigmoid", "Erf".
  Value unary(const std::string& type, const std::string& name, const Value& x);
  // "Mul", "Div", ...; a dimension of `b` that is 1 is spread over a's.
  Value binary(const std::string& type, const std::string& name, const Value& a, const Value& b);
  // [..., k] times weights [k, units].
  Value matmul(const std::string& name, const Value& x, std::int64_t units, double gain = kLinearGain);
  // [..., m, k] times [..., k, n], both activations.
  Value matmul(const std::string& name, const Value& a, const Value& b);
  // Over the last dimension.
  Value layer_norm(const std::string& name, const Value& x, float epsilon = 1e-5f);
  // Channels first to last-1.
  Value slice_channels(const std::string& name, const Value& x, std::int64_t first, std::int64_t last);
  Value conv_transpose(const std::string& name, const Value& x, const ConvOptions& options);
  // Rows and columns repeated `factor` times.
  Value resize_nearest(const std::string& name, const Value& x, std::int64_t factor);
  // Over the last dimension, which stays as 1.
  Value reduce_mean(const std::string& name, const Value& x);

  // Declares an output beside the model's own, of a side branch. Call right after its last op.
  void early_output(const Value& x);
  // Declares the model's output. Call once, last.
  void output(const Value& x);
  ZooCounts counts() const;
  // The model's bytes. kUnsupported above 2 GB. REQUIRES: output() was called.
  Result<std::string> finish(std::uint64_t seed) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tideline::zoo
