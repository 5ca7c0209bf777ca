// Zoo: the networks that the papers name, written as ONNX models with seeded weights.
//
// The shapes, operators and parameter counts are those of the published networks, so latency, bytes and plans are real; the
// weights are random (He-scaled, so that activations stay in range), so the answers mean nothing. Pure functions; thread-safe.
//
//   TIDELINE_TRY(const std::string onnx, zoo_model("resnet50", 1));
//   TIDELINE_CHECK_OK(write_file_atomic("resnet50.onnx", onnx));
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline {

struct ZooEntry {
  std::string_view name;
  std::string_view summary;  // the variant and where it was published
  // Published counts and their source; 0 where none was published for this variant. Our own count is in ZooCounts.
  std::uint64_t published_parameters = 0;
  std::uint64_t published_macs = 0;
  double macs_tolerance = 0;  // relative; published multiply-accumulates are rounded
};

struct ZooCounts {
  std::uint64_t parameters = 0;        // trainable: weights, biases, BatchNorm scale and shift
  std::uint64_t running_averages = 0;  // BatchNorm mean and variance, stored beside them
  std::uint64_t macs = 0;              // multiply-accumulates of convolutions and fully connected layers
  std::uint64_t ops = 0;
  std::vector<std::int64_t> input_shape;
  std::vector<std::int64_t> output_shape;
};

// In alphabetical order.
const std::vector<ZooEntry>& zoo_entries();

// Opset 13, IR version 8, batch 1, static shapes, input "input", weights inside. The same name and seed give the same bytes on
// every machine. kNotFound names the nearest network.
// Cost: one pass over the weights (VGG-19, 575 MB: well below a second) and one copy of them in memory.
Result<std::string> zoo_model(std::string_view name, std::uint64_t seed);

// The same network counted, without making its weights.
Result<ZooCounts> zoo_counts(std::string_view name);

}  // namespace tideline
