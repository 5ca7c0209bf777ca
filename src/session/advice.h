// What a run says about the prediction that its plan was made from, and the plan that would have been made had it known.
//
//   TIDELINE_TRY(const Advice advice, advise(report, chosen, cluster, control));
//   for (const std::string& sentence : advice.sentences) show(sentence);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "profile/host_factor.h"
#include "session/choose.h"
#include "session/run.h"

namespace tideline {

struct Advice {
  // Measured over predicted latency; 0 without a prediction.
  double ratio = 0;
  // The hosts that are notably slower or faster than in their profiles.
  std::vector<HostFactor> hosts;
  // The best plan with the profiles of those hosts corrected, when it is another one.
  struct Correction {
    Plan plan;
    Millis latency{0};   // of it, with the corrected profiles
    Millis as_it_is{0};  // of the plan that ran, with them
  };
  std::optional<Correction> correction;
  std::vector<std::string> sentences;  // for people; empty when there is nothing to say
};

// A ratio beyond this, or below its inverse, is worth a word.
inline constexpr double kRatioNotable = 1.25;

// Nothing to say without a prediction. kCancelled as the planner has it. REQUIRES: report.answers is not empty.
Result<Advice> advise(const RunReport& report, const ChosenPlan& chosen, const Cluster& cluster, const Control& control);

}  // namespace tideline
