// The power that this host takes at rest and while it runs a model.
#pragma once

#include <functional>

#include "base/cancel.h"
#include "base/result.h"
#include "platform/power.h"
#include "profile/profile.h"

namespace tideline {

struct PowerBenchOptions {
  // Of each of the two.
  Millis time{2000};
  const CancelToken* cancel = nullptr;
};

// First the host is left alone for `time`, then `load` is called again and again for as long. The mean over each, by the meter
// read every 50 ms from a thread of its own. kCancelled; errors of the meter and of `load` pass through.
Result<PowerProfile> measure_power(const PowerMeter& meter, const std::function<Status()>& load,
                                   const PowerBenchOptions& options);

}  // namespace tideline
