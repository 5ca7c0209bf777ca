// Why a split answer is not the unsplit one: a model that draws random numbers, the engine's optimiser, or the split.
#pragma once

#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "session/compare.h"
#include "session/load.h"

namespace tideline {

// The narrowest float that the live part of the model computes or is stored in; kUndefined without one narrower than float32.
DType narrowest_float(const Graph& graph);

// Looks for the cause when `verification` is done and not within tolerance, and writes it there. Costs two runs of the unsplit
// model, the second without optimisation: where they differ from each other at least half as much as the split did, the optimiser
// gives two answers itself.
Status find_cause(const LoadedModel& loaded, const CancelToken& cancel, Verification& verification);

}  // namespace tideline
