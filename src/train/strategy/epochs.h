// How many rounds a number of epochs is. Pure.
//
// An epoch is the time in which the worker with the most samples goes through its own once, or would, if a round asks a part of
// the workers only: rounds = ceil(epochs * s / (t * fraction)), where s is its steps for all its samples and t its steps of one
// round: 1 where workers send gradients, `local_steps`, or `local_epochs` * s.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "train/job/job.h"

namespace tideline::train {

// The job with its rounds, which it has already unless it has epochs. `samples`: of each worker. kInvalidArgument when there are
// more rounds than a run may have.
Result<Job> with_rounds(const Job& job, std::span<const std::uint64_t> samples);

}  // namespace tideline::train
