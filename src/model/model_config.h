// model.yaml: what a model's ONNX file does not say. docs/formats/model.md has the format.
//
//   TIDELINE_TRY(const ModelConfig config, parse_model_config(text, "det.yaml"));
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "input/input_section.h"
#include "output/output_section.h"
#include "tensor/tensor.h"

namespace tideline {

// The path of the model itself is the command line's.
struct ModelConfig {
  std::optional<InputSection> input;
  std::optional<OutputSection> output;
  std::vector<TensorSpec> shapes;  // dynamic inputs given a size (dtype unset)
};

// `name` is what errors call the text. kInvalidArgument with file, line and column.
Result<ModelConfig> parse_model_config(std::string_view yaml, std::string_view name);

}  // namespace tideline
