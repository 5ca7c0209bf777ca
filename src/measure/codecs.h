// What codecs make of every cut of a model: bytes, times at both ends, and what becomes of the model's answer. For profiles.
// docs/algorithms/codecs.md explains the method.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "measure/bench.h"
#include "model/chain.h"
#include "profile/profile.h"

namespace tideline {

// How far an answer is from another one.
struct AnswerDifference {
  double absolute = 0;  // the largest of an element; infinite when shapes or types differ, or one alone is NaN or infinite
  double relative = 0;  // over the largest magnitude of the same tensor of the reference; the largest of all tensors
  double squares = 0;   // summed, of the differences; infinite as `absolute`
  double reference_squares = 0;  // of the reference's finite elements
  // Root of their quotient: 0 without a difference, infinite where there is one from nothing.
  double rms() const;
  // Rows of classifier-shaped outputs, and those whose largest element is still the same. An output is classifier-shaped when its
  // rows are probabilities (along the last dimension no number below 0 and a sum of 1, to a thousandth), or when it has the shape
  // [N, classes], followed by ones at most.
  std::size_t rows = 0;
  std::size_t same_rows = 0;
  void merge(const AnswerDifference& other);
};
AnswerDifference answer_difference(const Tensor& reference, const Tensor& answer);

struct CodecMeasureOptions {
  std::vector<std::string> codecs;  // names; "raw" is left out
  // For the answers, cuts of the fewest bytes first; what is not measured by then is infinity in the profile. Negative: all of
  // them.
  Millis answers_time{-1};
  int threads = 1;  // of the engine: with one, times are of the processor
  const CancelToken* cancel = nullptr;
  std::function<void(double)> progress;  // how much of it is done, 0 to 1; may be empty
};

// One for each codec, with one value for each cut. REQUIRES: bench.fill_cuts() has been called. kUnsupported for an unknown
// codec.
Result<std::vector<CodecProfile>> measure_codecs(SegmentBench& bench, const Chain& chain, const CodecMeasureOptions& options);

}  // namespace tideline
