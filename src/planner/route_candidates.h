// The best plan along one route (route_candidates.cpp). Internal to src/planner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/planner.h"

namespace tideline {

// The best plan for the question's objective, whatever its limits, that leaves the source and goes nowhere but along `via`, as a
// candidate of kind kRoute. Nothing when there is none.
Result<std::optional<Candidate>> best_along(const PlanRequest& request, const std::vector<std::string>& via);
// Whether every move of the route is one step along `via`.
bool goes_along(const std::vector<std::string>& route, const std::vector<std::string>& via);

}  // namespace tideline
