// Calibrates this host: what `tideline calibrate` does. docs/algorithms/calibration.md explains the method.
#pragma once

#include <functional>
#include <string_view>

#include "base/cancel.h"
#include "base/result.h"
#include "engine/engine.h"
#include "profile/calibration.h"

namespace tideline {

struct CalibrateOptions {
  // About how long it takes. Memory, thread scaling and every kind of operator are measured once whatever the time.
  Millis time{300'000};
  // Thread scaling goes this far; 0: as many as this process may use processors.
  int threads_max = 0;
  // Of the working sets.
  Bytes memory_max = Bytes{128} << 20;
  const CancelToken* cancel = nullptr;
  // Called from this thread: how much is done, 0 to 1, and what is going on.
  std::function<void(double, std::string_view)> progress;
};

// Operators run on `engine`; for other numbers of threads engines are made beside it. When the token is cancelled after every
// kind of operator was measured, the answer holds what was measured and is not `complete`; before that the error is kCancelled.
// Errors of the engine pass through.
Result<Calibration> calibrate(Engine& engine, const CalibrateOptions& options);

// The kernel as calibrations keep it.
SampleKernel sample_kernel(const KernelTime& kernel);

// What the calibrations' reference takes on this host now: how this host compares with another one.
Result<Millis> measure_reference(Engine& engine, const CancelToken* cancel);

}  // namespace tideline
