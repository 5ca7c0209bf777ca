// How fast this host's memory is for one thread, from the first cache to RAM. Stateless.
#pragma once

#include <functional>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "profile/calibration.h"

namespace tideline {

struct MemoryBenchOptions {
  // Working sets: powers of two and what is half-way between them.
  Bytes bytes_min = Bytes{8} << 10;
  Bytes bytes_max = Bytes{128} << 20;
  // About how long it takes; each working set is gone through at least three times whatever the time.
  Millis time{3000};
  const CancelToken* cancel = nullptr;
  std::function<void(double)> progress;  // 0 to 1
};

// The fastest repetition of each, in processor time. Takes bytes_max of memory. kCancelled; kOverloaded when the memory is not to
// be had.
Result<std::vector<MemoryPoint>> measure_memory(const MemoryBenchOptions& options);

}  // namespace tideline
