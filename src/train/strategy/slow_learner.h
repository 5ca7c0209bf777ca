// make_slow_learner: a learner on a host that is so many times slower, for emulation: every gradient takes `factor` times its
// time. Not thread-safe, as the learner in it.
#pragma once

#include <memory>

#include "train/strategy/learner.h"

namespace tideline::train {

// REQUIRES: factor >= 1.
std::unique_ptr<Learner> make_slow_learner(std::unique_ptr<Learner> inner, double factor);

}  // namespace tideline::train
