// Fits the additive model of profile.h to measured segments.
//
// Minimises sum_s weight_s * huber((predicted_s - time_s) / time_s) + ridge, with block times and the overhead not negative.
// The ridge holds block times at their prior (the engine's kernel profile) and the corrections at zero; it decides what the
// segments leave open: block times and corrections can be traded against each other without changing any prediction.
// Pure. Conjugate gradients: O(n + samples) for each step, some n steps for n blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"

namespace tideline {

struct SegmentSample {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  Millis time{0};     // over zero
  double weight = 1;  // not negative
};

struct SegmentFit {
  std::vector<Millis> blocks;
  std::vector<Millis> starts;  // one for each cut; starts[0] is 0
  std::vector<Millis> ends;    // one for each cut; ends[blocks] is 0
  Millis overhead{0};
  Millis predict(std::uint32_t first, std::uint32_t last) const;
};

inline constexpr double kRidgeDefault = 1e-4;

struct FitOptions {
  // Strength of the ridge against one segment's relative error: 1e-3 lets a block's time move by its own size for the sake of one
  // segment that would otherwise be 3 % off.
  double ridge = kRidgeDefault;
  // Relative residuals above this count linearly: a segment that is not additive does not bend the others.
  double huber = 0.05;
};

// `priors`: one time for each block, from the kernel profile. REQUIRES: samples are of existing blocks.
SegmentFit fit_segments(const std::vector<Millis>& priors, const std::vector<SegmentSample>& samples,
                        const FitOptions& options = {});

// The ridge that predicts segments best which the fit has not seen: how far the kernel profile can be trusted depends on the
// model and on how quiet the host was. Five-fold cross-validation over the samples of several blocks; kRidgeDefault with fewer
// than ten of those.
double choose_ridge(const std::vector<Millis>& priors, const std::vector<SegmentSample>& samples);

}  // namespace tideline
