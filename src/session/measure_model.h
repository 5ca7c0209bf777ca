// A loaded model measured on this host: what `tideline profile` does, and planning where a profile is missing.
#pragma once

#include "base/result.h"
#include "measure/measure.h"
#include "session/load.h"

namespace tideline {

// The blocks, then what each exit alone needs, within about options.time; with the accuracies that model.yaml gives and the
// inputs that were made up. `engine`: loaded.engine or one with other threads. Errors of measure_profile().
Result<Profile> measure_model(Engine& engine, const LoadedModel& loaded, const MeasureOptions& options);

}  // namespace tideline
