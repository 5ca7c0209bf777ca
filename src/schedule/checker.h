// The independent checker: recomputes constraints (a)-(c) of instance.h from the raw instance. It shares no code with the
// policies, so that a mistake of theirs cannot hide here. Pure functions; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "schedule/instance.h"

namespace tideline::schedule {

// Relative: a resource may be over its capacity by this share. Sums of thousands of terms differ by less.
inline constexpr double kCheckTolerance = 1e-9;

struct CheckReport {
  std::uint32_t deployed = 0;
  // Used over available, per server: of V * b_i and of c_i.
  std::vector<double> bandwidth_utilisation;
  std::vector<double> compute_utilisation;
  // depth_histogram[k]: deployed tasks that run k layers on the edge ([0] counts the tasks that are not deployed).
  std::vector<std::uint32_t> depth_histogram;
};

// kInvalidArgument with one sentence naming the first broken constraint: a task without an entry or an entry without a task, a k
// outside 1..N_j, a server over its bandwidth (a, with the b_ij that (b) needs) or its compute (c).
// REQUIRES: validate(instance).
Result<CheckReport> check_schedule(const Instance& instance, const std::vector<std::uint32_t>& layers);

}  // namespace tideline::schedule
