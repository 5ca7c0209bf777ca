// Optimiser: one step of SGD (with momentum, Nesterov's too) or Adam(W) over flat numbers, and the rate of a round.
//
//   sgd       v = momentum * v + g + decay * w;  w -= rate * v;  Nesterov: w -= rate * (g + decay * w + momentum * v)
//   adam      m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2;  w -= rate * (mhat / (sqrt(shat) + eps) + decay * w)
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/job/job.h"
#include "train/strategy/state.h"

namespace tideline::train {

// In round `round` (from 0) of `rounds`.
double rate_at(const OptimiserSettings& settings, std::uint64_t round, std::uint64_t rounds);

class Optimiser {
 public:
  Optimiser(const OptimiserSettings& settings, std::size_t numbers);
  // REQUIRES: both spans as long as `numbers`.
  void step(std::span<float> parameters, std::span<const float> gradient, double rate);
  void save(StateWriter& to) const;
  Status load(StateReader& from);

 private:
  OptimiserSettings settings_;
  std::uint64_t steps_ = 0;
  std::vector<float> first_;   // momentum or m; empty without
  std::vector<float> second_;  // s of adam
};

}  // namespace tideline::train
