// Measures what an early output alone needs, for the profile of a model that has been measured. docs/algorithms/edgent.md.
#pragma once

#include <vector>

#include "base/result.h"
#include "measure/measure.h"

namespace tideline {

// `chain` is the exit's (make_exit_chain), `profile` the trunk's on this engine; `options.time` is for this exit alone. The
// head's time is that of segments with it less those without, in the same batch; what it costs to begin with the head is measured
// by itself. The caller sets the accuracy. Errors as measure_profile().
Result<ExitProfile> measure_exit(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                 const Profile& profile, const MeasureOptions& options);

}  // namespace tideline
