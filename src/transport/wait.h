// Waiting on a condition variable until a deadline that may be kNoDeadline. Internal.
#pragma once

#include <condition_variable>
#include <mutex>

#include "transport/transport.h"

namespace tideline {

// False when the deadline passed without `ready`.
template <class Ready>
bool wait_for(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, SteadyTime deadline, Ready ready) {
  // The largest point in time overflows inside the standard library.
  if (deadline == kNoDeadline) {
    changed.wait(lock, ready);
    return true;
  }
  return changed.wait_until(lock, deadline, ready);
}

}  // namespace tideline
