// What a run teaches about its hosts: how much slower or faster they are than their profiles, and whether another plan would be
// better for that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "profile/host_factor.h"
#include "session/choose.h"
#include "session/run.h"

namespace tideline {

struct Advice {
  std::vector<HostFactor> notable;   // hosts that are not what their profile says
  std::optional<PlanResult> better;  // the best plan for hosts as they are now, when it is another one
  Millis now{0};                     // what the plan that ran is predicted to take on them
};

// Nothing notable without a prediction. Pure, but for the time that planning takes; what a host does to others' stages is not
// known, so hosts that computed nothing count as their profile says.
Result<Advice> advise(const RunReport& report, const ChosenPlan& chosen, const Cluster& cluster, const CancelToken& cancel);

// "gateway is 1.9 times slower than in the profile", and what that means for the plan; empty when there is nothing to say.
std::vector<std::string> describe(const Advice& advice);

}  // namespace tideline
