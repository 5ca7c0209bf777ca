// The multipliers of an instance by a primal-dual interior-point method (Mehrotra's predictor and corrector, Gondzio's
// centrality correctors), on all of its tasks at once; dual.h is the front.
//
// A subgradient needs thousands of rounds and never knows when it is done. Newton's matrix of this problem has only 2E rows,
// whatever the number of tasks, because the part of a task lies in the span of two vectors (its data over the servers' bandwidths
// and over their compute) and its own constraint is eliminated by hand. 12 to 40 iterations of
// O(tasks * servers per task^2 + E^3), on all threads.
//
// Pure function; thread-safe.
#pragma once

#include "schedule/dual.h"

namespace tideline::schedule {

// REQUIRES: at least one server and one task. `options.doubtful_tasks` is not read.
DualResult solve_interior_point(const Instance& instance, const CutTable& cuts, const DualOptions& options);

}  // namespace tideline::schedule
