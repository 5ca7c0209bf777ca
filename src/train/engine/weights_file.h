// Puts numbers into the initialisers of an ONNX file where they lie. The bytes are walked, not parsed and written again, so all
// others stay: also unknown fields, their order, and what a newer ONNX knows.
//
// Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline::train {

struct NamedNumbers {
  std::string name;  // of a float32 initialiser of the main graph
  std::span<const float> numbers;
};

// kNotFound when an initialiser is not in the file, kInvalidArgument when it has another count of numbers, kCorrupt when the
// bytes are no ONNX file.
Result<std::string> write_initializers(std::string_view onnx, const std::vector<NamedNumbers>& weights);

}  // namespace tideline::train
