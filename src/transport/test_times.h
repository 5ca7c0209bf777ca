// How long a test waits for what comes at once. For tests only.
#pragma once

#include <chrono>

#include "transport/transport.h"

namespace tideline {

inline SteadyTime soon() { return deadline_in(std::chrono::seconds(20)); }

}  // namespace tideline
