// The values that a user gives for a model's inputs: one way for the probe, for measuring, planning and running alike.
//
// `ModelArguments::input` is a file or a folder without a name, `ModelArguments::values` are NAME=FILE. A folder has NAME.npy for
// inputs, and beside them the pictures or arrays of a stream of requests. docs/formats/model.md has the rules.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "input/input_section.h"
#include "model/model.h"
#include "session/load.h"
#include "tensor/tensor.h"

namespace tideline {

// "model%2Finput_a:0.npy": the name with whatever a file's name cannot hold ('/', '%', control characters, a leading dot) as
// percent and two hexadecimal digits.
std::string input_file_name(std::string_view input);
// The file of an input in a folder of inputs: input_file_name(), or folders named like the parts of the name; empty when there is
// none.
std::string find_input_file(const std::string& folder, const std::string& input);

struct GivenInputs {
  std::map<std::string, Tensor, std::less<>> values;  // by input, defaults included; shapes are those of the files
  std::vector<std::string> named;                     // those that are the same in every request of a stream
  std::string picture;                                // the file that becomes the section's tensor; empty: none
};

// Reads what `arguments` name for the inputs of `model`. `section`: its input section, or nullptr. Types and known dimensions are
// checked. kInvalidArgument names the input, the file and what was expected.
Result<GivenInputs> gather_inputs(const ModelArguments& arguments, const Model& model, const InputSection* section);

// One .npy as the value of an input; `expected` may have unknown dimensions.
Result<Tensor> read_value(const std::string& path, const TensorSpec& expected);

// The same of a file in memory; `name` is for errors.
Result<Tensor> parse_value(std::string_view bytes, const TensorSpec& expected, const std::string& name);

// The same values, not copied.
std::vector<TensorView> views_of(const std::vector<Tensor>& tensors);

bool is_folder(const std::string& path);

}  // namespace tideline
