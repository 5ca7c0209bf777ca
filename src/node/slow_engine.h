// SlowEngine: an engine as a slower host would be: every run takes a stated factor longer than it was measured to take here. For
// trying a cluster on one machine. Everything else is the engine it is made around, which must outlive it.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace tideline {

// REQUIRES: factor >= 1.
std::unique_ptr<Engine> make_slow_engine(Engine& inner, double factor);
// Waits until what began then and has just ended would have ended on a host so much slower. kCancelled and kDeadlineExceeded as
// of a run.
Status stretch(SteadyTime began, double factor, const RunOptions& options);

}  // namespace tideline
