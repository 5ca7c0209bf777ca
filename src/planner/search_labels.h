// The exact search over walks: a shortest path with labels over (blocks done, station), docs/algorithms/labels.md. Internal to
// src/planner.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "planner/walk_problem.h"

namespace tideline {

struct LabelQuestion {
  // What to minimise: the walks that no other beats in all of it. Empty: any walk within the limits will do.
  std::vector<std::size_t> minimise;  // amounts
  // What a walk may amount to at the most, in the search's units.
  std::array<std::optional<double>, kAmounts> limits;
  std::optional<double> period;
  bool two_devices = false;  // only walks in which at least two devices compute
  // Only walks that visit no device twice before the result goes home. Then a device's load is over when it is left, and the
  // search is much smaller. For up to 64 devices.
  bool no_return = false;
  // Above it kUnsupported. Half a minute at the most.
  std::size_t labels_max = 4'000'000;
  std::uint64_t comparisons_max = 3'000'000'000;
};

struct FoundWalk {
  Steps steps;
  Amounts sums{};
  double period = 0;
  std::uint32_t leave = 0;
};

// All of them, or the one that the tie rule prefers: less time, the whole model before exits and these in their order, the lower
// device on the last block, then on the one before it, and so on. kInfeasible without a sentence when there is none;
// kUnsupported without a sentence when it takes too many labels.
Result<std::vector<FoundWalk>> search_labels(const WalkProblem& problem, const LabelQuestion& question,
                                             const CancelToken& cancel);

}  // namespace tideline
