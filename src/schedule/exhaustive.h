// Branch and bound: the exact optimum of small instances. The policy `exhaustive` is the referee of the others, and `price` uses
// it on the small connected parts of an instance. Pure functions; thread-safe.
//
// Depth first over the tasks and their cuts, with the loss as the bound. At any multipliers U(lambda) minus the number of
// deployed tasks is exactly the sum of what each decision gives away (a cheap task left out, a dear one taken, a cut that is not
// the cheapest) and of the prices of the room left over; so a branch that has given away more than U minus (best + 1) is dead.
// Tasks whose decision matters most come first. Exponential in the worst case: instances with more than kExhaustiveTasksMax tasks
// are refused, and so is one that has not ended within the time limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/cancel.h"
#include "schedule/instance.h"
#include "schedule/policy.h"
#include "schedule/search.h"

namespace tideline::schedule {

inline constexpr std::size_t kExhaustiveTasksMax = 64;

struct BranchLimits {
  std::uint64_t nodes = ~std::uint64_t{0};
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  CancelToken cancel;
};

struct BranchResult {
  Placement placement;  // the best found; optimal when it ended
  bool ended = false;
};

// Starts from `start`, which must keep the constraints. The bound is U at these multipliers, any that are 0 or more.
BranchResult branch_and_bound(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers,
                              const Placement& start, const BranchLimits& limits);

// See policy.h for the signature.
Result<Schedule> run_exhaustive(const Instance& instance, std::string_view argument, const PolicyOptions& options);

}  // namespace tideline::schedule
