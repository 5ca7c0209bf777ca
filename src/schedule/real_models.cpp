// Models of the `real` kind: ten public topologies from their layer tables, or whatever `tideline inspect` printed.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"
#include "schedule/generator.h"

namespace tideline::schedule {
namespace {

constexpr double kRawBytesPerCompressedByte = 10;

// A convolution (with the pooling right after it) or, with kernel 0, a fully connected layer.
struct LayerSpec {
  int channels;
  int kernel = 0, stride = 1, pad = 0, groups = 1;
  int pool = 0, pool_stride = 1;
  bool pool_rounds_up = false;  // Caffe's ceil mode
  bool joins_next = false;      // no cut after it
};

struct NetSpec {
  std::string_view name;
  int channels, height, width;
  std::vector<LayerSpec> layers;
};

LayerSpec full(int units) { return {.channels = units}; }

LayerSpec joined(LayerSpec layer) {
  layer.joins_next = true;
  return layer;
}

std::vector<NetSpec> specs() {
  return {
      {"AlexNet",
       3,
       227,
       227,
       {{96, 11, 4, 0, 1, 3, 2},
        {256, 5, 1, 2, 2, 3, 2},
        {384, 3, 1, 1},
        {384, 3, 1, 1, 2},
        {256, 3, 1, 1, 2, 3, 2},
        full(4096),
        full(4096),
        full(1000)}},
      {"ZFNet",
       3,
       224,
       224,
       {{96, 7, 2, 1, 1, 3, 2, true},
        {256, 5, 2, 0, 1, 3, 2, true},
        {384, 3, 1, 1},
        {384, 3, 1, 1},
        {256, 3, 1, 1, 1, 3, 2},
        full(4096),
        full(4096),
        full(1000)}},
      {"CNN-F",
       3,
       224,
       224,
       {{64, 11, 4, 0, 1, 2, 2},
        {256, 5, 1, 2, 1, 2, 2},
        {256, 3, 1, 1},
        {256, 3, 1, 1},
        {256, 3, 1, 1, 1, 2, 2},
        full(4096),
        full(4096),
        full(1000)}},
      {"CNN-M",
       3,
       224,
       224,
       {{96, 7, 2, 0, 1, 2, 2},
        {256, 5, 2, 1, 1, 2, 2},
        {512, 3, 1, 1},
        {512, 3, 1, 1},
        {512, 3, 1, 1, 1, 2, 2},
        full(4096),
        full(4096),
        full(1000)}},
      {"LeNet-5", 1, 32, 32, {{6, 5, 1, 0, 1, 2, 2}, {16, 5, 1, 0, 1, 2, 2}, {120, 5}, full(84), full(10)}},
      {"CIFAR-net",
       3,
       32,
       32,
       {{32, 5, 1, 2, 1, 3, 2, true}, {32, 5, 1, 2, 1, 3, 2, true}, {64, 5, 1, 2, 1, 3, 2, true}, full(64), full(10)}},
      {"tiny YOLO",
       3,
       416,
       416,
       {{16, 3, 1, 1, 1, 2, 2},
        {32, 3, 1, 1, 1, 2, 2},
        {64, 3, 1, 1, 1, 2, 2},
        {128, 3, 1, 1, 1, 2, 2},
        {256, 3, 1, 1, 1, 2, 2},
        {512, 3, 1, 1},
        {1024, 3, 1, 1},
        {1024, 3, 1, 1},
        {125, 1}}},
      {"Darknet reference",
       3,
       256,
       256,
       {{16, 3, 1, 1, 1, 2, 2},
        {32, 3, 1, 1, 1, 2, 2},
        {64, 3, 1, 1, 1, 2, 2},
        {128, 3, 1, 1, 1, 2, 2},
        {256, 3, 1, 1, 1, 2, 2},
        {512, 3, 1, 1, 1, 2, 2},
        {1024, 3, 1, 1},
        {1000, 1, 1, 0, 1, 4, 4}}},
      {"NiN",
       3,
       227,
       227,
       {{96, 11, 4},
        joined({96, 1}),
        {96, 1, 1, 0, 1, 3, 2, true},
        {256, 5, 1, 2},
        joined({256, 1}),
        {256, 1, 1, 0, 1, 3, 2, true},
        {384, 3, 1, 1},
        joined({384, 1}),
        {384, 1, 1, 0, 1, 3, 2, true},
        {1024, 3, 1, 1},
        joined({1024, 1}),
        {1000, 1, 1, 0, 1, 6, 6}}},
      // One-dimensional: 128 samples of nine inertial signals, kernels along time only.
      {"HAR", 9, 1, 128, {{64, 5, 1, 2, 1, 2, 2}, {64, 5, 1, 2, 1, 2, 2}, {64, 5, 1, 2, 1, 2, 2}, full(128), full(6)}},
  };
}

int pooled(int size, const LayerSpec& layer) {
  if (layer.pool == 0 || size < layer.pool) return size;
  const int span = size - layer.pool;
  return (layer.pool_rounds_up ? (span + layer.pool_stride - 1) / layer.pool_stride : span / layer.pool_stride) + 1;
}

TaskModel model_of(const NetSpec& net) {
  TaskModel model{.name = std::string(net.name), .layers = {}};
  const double input_bytes = static_cast<double>(net.channels) * net.height * net.width;
  int channels = net.channels, height = net.height, width = net.width;
  double operations = 0;
  for (const LayerSpec& layer : net.layers) {
    if (layer.kernel == 0) {
      operations += 2.0 * channels * height * width * layer.channels;
      height = width = 1;
    } else {
      const int kernel_height = std::min(layer.kernel, height);  // 1 on one-dimensional signals
      const int pad_height = kernel_height == 1 ? 0 : layer.pad;
      height = (height + 2 * pad_height - kernel_height) / layer.stride + 1;
      width = (width + 2 * layer.pad - layer.kernel) / layer.stride + 1;
      operations += 2.0 * layer.channels * height * width * kernel_height * layer.kernel * channels / layer.groups;
      height = pooled(height, layer);
      width = pooled(width, layer);
    }
    channels = layer.channels;
    if (layer.joins_next) continue;
    model.layers.push_back({.ratio = static_cast<double>(channels) * height * width / input_bytes,
                            .gflop_per_mb = operations / input_bytes / 1000 * kRawBytesPerCompressedByte});
  }
  return model;
}

// The number under `key` of element `index` of a list of `inspect`. Its output has keys that do not matter here, and may get
// more.
Result<double> number_in(const nlohmann::json& list, std::string_view list_name, std::size_t index, const char* key,
                         std::string_view name) {
  const std::string where = fmt::format("{}[{}].{}", list_name, index, key);
  const nlohmann::json& element = list[index];
  if (!element.is_object() || !element.contains(key))
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}: this key is required (expected a number)", name, where)};
  return json_number(element[key], name, where, {.min = 0, .max = limits::kInstanceNumberMax});
}

}  // namespace

Result<TaskModel> parse_inspected_model(std::string_view json, std::string_view name, double compression) {
  const auto invalid = [&](std::string_view message) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}", name, message)};
  };
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  TIDELINE_TRY(const auto* blocks, map.array("blocks"));
  TIDELINE_TRY(const auto* cuts, map.array("cuts"));
  if (blocks->empty()) return invalid("blocks: at least one block is required");
  if (cuts->size() != blocks->size() + 1)
    return invalid(fmt::format("cuts: expected one more than the {} blocks, found {}", blocks->size(), cuts->size()));
  TIDELINE_TRY(const double input_bytes, number_in(*cuts, "cuts", 0, "bytes", name));
  if (input_bytes <= 0) return invalid("cuts[0].bytes: the input must have bytes");
  TaskModel model{.name = std::string(name), .layers = {}};
  double operations = 0;
  for (std::size_t k = 0; k < blocks->size(); ++k) {
    TIDELINE_TRY(const double flops, number_in(*blocks, "blocks", k, "flops", name));
    TIDELINE_TRY(const double bytes, number_in(*cuts, "cuts", k + 1, "bytes", name));
    operations += flops;
    model.layers.push_back(
        {.ratio = bytes / input_bytes * compression, .gflop_per_mb = operations / input_bytes / 1000 * compression});
  }
  return model;
}

std::vector<TaskModel> real_models() {
  std::vector<TaskModel> models;
  for (const NetSpec& net : specs()) models.push_back(model_of(net));
  return models;
}

}  // namespace tideline::schedule
