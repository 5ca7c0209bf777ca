// A model on a cluster as a WalkProblem (model_walks.cpp). Internal to src/planner.
#pragma once

#include <vector>

#include "planner/problem.h"
#include "planner/walk_problem.h"

namespace tideline {

// kUnsupported for a problem whose segments' times do not add up, for walks that may not come back, and for too many neighbours.
// REQUIRES: the problem of that cluster and profiles.
Result<WalkProblem> make_walk_problem(const CostInput& cost, const Problem& problem, const Question& question);
// The place of each block.
std::vector<std::uint32_t> places_of(const WalkProblem& problem, const Steps& steps);

}  // namespace tideline
