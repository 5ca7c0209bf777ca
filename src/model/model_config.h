// model.yaml: what a model's ONNX file does not say. docs/formats/model.md has the format.
//
//   TIDELINE_TRY(const ModelConfig config, parse_model_config(text, "det.yaml"));
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "input/input_section.h"
#include "output/output_section.h"
#include "tensor/tensor.h"

namespace tideline {

// An early output of the model, and how well it answers.
struct ExitSection {
  std::string output;
  double accuracy = 0;  // above 0, at most 1
  bool operator==(const ExitSection&) const = default;
};

// The path of the model itself is the command line's.
struct ModelConfig {
  std::optional<InputSection> input;
  std::optional<OutputSection> output;
  std::optional<double> accuracy;  // of the whole model; there where there are exits
  std::vector<ExitSection> exits;  // in the order of the file, each output once
  std::vector<TensorSpec> shapes;  // dynamic inputs given a size (dtype unset)
};

// `name` is what errors call the text. kInvalidArgument with file, line and column.
Result<ModelConfig> parse_model_config(std::string_view yaml, std::string_view name);

}  // namespace tideline
