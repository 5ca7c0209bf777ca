// The least period over routes that visit no device twice, without codecs and other limits: a dynamic programme over (set of
// devices visited, device, blocks done), docs/algorithms/labels.md. Much faster than labels where it applies: pipelines over some
// ten devices that are all joined. Internal to src/planner.
#pragma once

#include <optional>

#include "base/cancel.h"
#include "planner/search_labels.h"

namespace tideline {

// Whether it can answer: stations are devices, few enough of them, hops raw, nothing limited but perhaps the period.
bool is_pipeline(const WalkProblem& problem, const LabelQuestion& question);

// The walk with the least period and, of those that have it, the least latency; or the walk with the least latency of all where
// that comes back to a device and has a smaller period still. kUnsupported when a direction of a link would carry both what goes
// out and a result that matter together, which this does not count. REQUIRES: is_pipeline().
Result<FoundWalk> least_period_pipeline(const WalkProblem& problem, const CancelToken& cancel);

// The walk with the least latency within the period; kInfeasible when there is none, kUnsupported as above.
Result<FoundWalk> shortest_pipeline(const WalkProblem& problem, double period);

}  // namespace tideline
