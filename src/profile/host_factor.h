// How much slower or faster hosts are now than when they were profiled. Profiles say what a host takes that has nothing else to
// do; a busy one takes longer, and the plan that was best may no longer be.
//
// Pure. A factor of 1.9: what was predicted to take 10 ms took 19.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/units.h"

namespace tideline {

struct StageTime {
  std::string node;
  Millis predicted{0};
  std::vector<double> measured_ms;  // of each request
};

struct HostFactor {
  std::string node;
  double factor = 1;
  // Whether it is more than requests differ among themselves and more than a plan would feel: then planning again is worth while.
  bool is_notable = false;
};

// For each node that has stages with a prediction, in the order of the stages: the medians of what its stages took over what was
// predicted for them. Nodes whose predictions are too short to tell (below 0.05 ms in all) are left out.
std::vector<HostFactor> host_factors(std::span<const StageTime> stages);

// "gateway is 1.9 times slower than in the profile".
std::string describe(const HostFactor& factor);

}  // namespace tideline
