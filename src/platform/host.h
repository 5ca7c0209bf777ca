// What this host and process are: for profiles and reports. Stateless; thread-safe.
#pragma once

#include <string>

#include "base/units.h"

namespace tideline {

// "unknown" when the system does not tell.
std::string host_name();
// Memory of this process that is in RAM now; 0 when the system does not tell.
Bytes resident_bytes();
// What the calling thread has computed so far: unlike a clock's time, it does not grow while others have the processor.
Nanos thread_cpu_time();
// "2026-01-02T03:04:05Z".
std::string utc_now();

}  // namespace tideline
