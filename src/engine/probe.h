// Shapes by running: the model runs once with every intermediate tensor as an output, so that dynamic shapes and unknown ops are
// no obstacle. Costs one run without optimisation and the memory of all activations.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "model/model.h"

namespace tideline {

// kUnsupported, with its name and type, for an input that is no tensor of numbers or truth values.
Status check_input_types(const Model& model);

// Inputs of the model's (fixed) shapes filled from a seed: small positive numbers for floats, small whole ones for integers.
// kInvalidArgument names the inputs that still have unknown dimensions and the --shape option. An input called `except` is left
// out.
Result<std::vector<Tensor>> seeded_inputs(const Model& model, std::uint64_t seed, std::string_view except = {});

// Runs `model` on seeded inputs (or on `inputs`, in the order of graph().inputs) and sets its shapes.
Status probe_shapes(Engine& engine, Model& model, const RunOptions& options = {});
Status probe_shapes(Engine& engine, Model& model, const std::vector<Tensor>& inputs, const RunOptions& options = {});

}  // namespace tideline
