// In which order each stage of a training pipeline computes its micro-batches. docs/algorithms/pipelines.md. Pure functions.
//
// K stages in a row hold consecutive segments of a network. A forward needs the same micro-batch's forward at the stage before,
// a backward needs its backward at the stage behind and its own forward. Stages and micro-batches count from 0.
//
//   GPipe (Huang et al. 2019, figure 2c): all M forwards, then all M backwards from the last micro-batch to the first, then
//   one update. Stages idle (K - 1) / (M + K - 1) of the time when all are equally slow; each holds M micro-batches.
//
//   1F1B (PipeDream, Harlap et al. 2018; Narayanan et al. 2019): stage s starts with K - s forwards, then does one backward and
//   one forward in turn; each backward is followed by an update of this stage. It holds at most K - s micro-batches, so as many
//   stashed versions of its weights, and the gradient of a micro-batch is of weights that lack the last K - 1 - s updates.
//
// Example, K = 2, M = 3:  gpipe   0: F0 F1 F2 B2 B1 B0     1: F0 F1 F2 B2 B1 B0
//                         1F1B    0: F0 F1 B0 F2 B1 B2     1: F0 B0 F1 B1 F2 B2
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace tideline::train {

enum class StepKind : std::uint8_t { kForward, kBackward };

struct StageStep {
  StepKind kind = StepKind::kForward;
  std::uint32_t micro_batch = 0;
  bool operator==(const StageStep&) const = default;
};

// What one stage does, in order: 2 M steps. The same at every stage.
std::vector<StageStep> gpipe_steps(std::uint32_t micro_batches);

// REQUIRES: stage < stages.
std::vector<StageStep> one_forward_one_backward_steps(std::uint32_t stages, std::uint32_t stage, std::uint32_t micro_batches);

// How many updates of this stage its weights have seen when the forward of `micro_batch` starts under 1F1B; its backward uses the
// same, stashed. micro_batch - (K - 1 - s), at least 0. REQUIRES: stage < stages.
std::uint32_t stashed_version(std::uint32_t stages, std::uint32_t stage, std::uint32_t micro_batch);

// How many micro-batches a stage holds at once between their forward and their backward, at most.
std::size_t micro_batches_held(const std::vector<StageStep>& steps);

// How long the steps of one micro-batch take at a stage, in any one unit of time.
struct StepTimes {
  double forward = 0;
  double backward = 0;
};

struct PipelineTimes {
  double end = 0;            // of the last step of all, from the first one's start
  std::vector<double> busy;  // [stage]
  double idle_share = 0;     // of all stages together, until `end`; 0 of a pipeline that takes no time
};

// Each stage does its steps in order, each as soon as what it needs is there; what travels takes no time.
// kInvalidArgument: no stages, another number of times than of stages, times that are negative or not finite, a stage that does
// not have one forward and one backward of each of the same micro-batches; orders of which some step waits for ever.
Result<PipelineTimes> time_pipeline(const std::vector<std::vector<StageStep>>& stages, const std::vector<StepTimes>& times);

}  // namespace tideline::train
