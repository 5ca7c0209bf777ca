// A round of training with differential privacy towards workers (McMahan et al. 2018): who takes part, and what becomes of their
// updates.
//
// Each worker takes part with probability q, by itself. An update longer than C is shortened to C; the sum of all gets normal
// noise of the standard deviation noise * C in every number, and is divided by q * workers, which depends on nobody. A worker
// that was drawn and does not answer only makes the sum smaller.
//
// Draws come from the operating system, unless the job names a seed: a seed that others know protects nothing. Noise is float64
// Box-Muller of 53-bit numbers; attacks on the low bits of floating-point noise (Mironov 2012) are not defended against.
// A resource; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/exchange/aggregate.h"
#include "train/job/job.h"

namespace tideline::train {

// The q of a job: its strategy's `fraction`, 1 where it has none.
double sampling_rate(const Job& job);

class PrivateRound {
 public:
  // REQUIRES: the job has privacy.
  explicit PrivateRound(const Job& job) : job_(job), settings_(*job.privacy) {}

  // Of those that can be asked (ascending); may be none.
  std::vector<std::uint32_t> participants(std::uint64_t round, const std::vector<std::uint32_t>& able) const;
  // Of so many numbers; also of no contributions, when it is noise alone. REQUIRES: every number is finite.
  std::vector<float> update(std::uint64_t round, std::span<const Contribution> contributions, std::size_t numbers) const;

 private:
  const Job& job_;
  const PrivacySettings settings_;
};

}  // namespace tideline::train
