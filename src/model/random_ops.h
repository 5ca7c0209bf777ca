// Ops whose answer is another one at each run. Outputs of a model that has one cannot be compared from run to run.
#pragma once

#include <string>
#include <vector>

#include "model/model.h"

namespace tideline {

// "RandomNormalLike 'noise'", "Dropout 'drop' (training mode)": each live op of the model that draws random numbers, those inside
// bodies and local functions included; at most `max`. Fit for a terminal.
std::vector<std::string> random_ops(const Model& model, std::size_t max = 3);

}  // namespace tideline
