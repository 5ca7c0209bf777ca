// A model on a cluster as a WalkProblem (model_walks.cpp). Internal to src/planner.
#pragma once

#include <string>
#include <vector>

#include "planner/problem.h"
#include "planner/walk_problem.h"

namespace tideline {

// kUnsupported for a problem whose segments' times do not add up, for walks that may not come back, and for too many neighbours.
// REQUIRES: the problem of that cluster and profiles.
Result<WalkProblem> make_walk_problem(const CostInput& cost, const Problem& problem, const Question& question);
// The place of each block.
std::vector<std::uint32_t> places_of(const WalkProblem& problem, const Steps& steps);
// The codec in which what each block reads comes to it; "raw" also where it comes from the same segment.
std::vector<std::string> codecs_of(const WalkProblem& problem, const Steps& steps);
// Whether a plan may send the cut in a codec as it was measured there: a lossless one always; a lossy one when the question says
// how much may be lost, and everything it limits was measured.
bool may_use(const Question& question, const CodecProfile& codec, std::size_t cut);

}  // namespace tideline
