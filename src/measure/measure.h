// Measures a model on this host: what `tideline profile` does. docs/algorithms/profile.md explains the method.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "engine/engine.h"
#include "measure/bench.h"
#include "model/chain.h"
#include "model/model.h"
#include "profile/calibration.h"
#include "profile/predictor.h"
#include "profile/profile.h"

namespace tideline {

struct MeasureOptions {
  // About how long measuring takes, loading included. Blocks alone come first, then longer segments; where the time is short for
  // a model, some blocks have only what the engine's own profile says.
  Millis time{20'000};
  std::uint64_t seed = 1;
  // Codecs to measure for every cut (codec/codec.h), within the same time. Empty: none.
  std::vector<std::string> codecs;
  // What they do to the answer: of every cut, whatever time that takes, or only as far as a share of `time` goes.
  bool all_answers = false;
  const CancelToken* cancel = nullptr;
  // Called from this thread: how much is done, 0 to 1, and what is going on.
  std::function<void(double, std::string_view)> progress;
};

// `sample`: one value for each tensor of chain.cuts[0]. kCancelled when the token is; errors of the engine pass through.
// REQUIRES: chain was made from model.
Result<Profile> measure_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                const MeasureOptions& options);

// The profile of a host that has a calibration and has never run the model. This host's engine is asked what it makes of the
// model and of many of its segments (one run each, whose times do not matter); `predictor`, made from `calibration`, says how
// long those kernels take there. Without codecs: no calibration has them. `error`: predictor_error of both.
Result<Profile> predict_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                const Calibration& calibration, const Predictor& predictor, const PredictorError& error,
                                const MeasureOptions& options);

struct SegmentCheck {
  SegmentRange range;
  Millis predicted{0};
  Millis measured{0};  // as it was
  double error = 0;    // |predicted / (measured / drift) - 1|
};

struct ProfileCheck {
  Millis whole{0};  // the whole model now
  std::vector<SegmentCheck> segments;
  // The whole model's time now over its time in the profile: what the machine became slower by, which no profile can know.
  double drift = 1;
  double median_error = 0;
  double median_error_without_drift = 0;  // drift taken as 1
};

// Measures `count` random segments anew and compares. kInvalidArgument when the profile is not of this chain.
Result<ProfileCheck> check_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                   const Profile& profile, std::uint32_t count, const MeasureOptions& options);

}  // namespace tideline
