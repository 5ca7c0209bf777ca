// The law's comparison: a split run answers what the unsplit model answers, bit for bit or within a stated tolerance of rounding.
//
// Pure; thread-safe.
//
//   Difference difference = compare(reference, output);
//   if (!difference.is_within_tolerance) ...
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline {

// No element may differ by more than absolute + relative x the largest magnitude of the reference.
//
// Where an answer is not the same bit for bit, the engine's optimiser has fused a few ops that a cut keeps apart, and that rounds
// differently: BatchNormalization folded into the weights of the convolution before it, the addition of a shortcut done by the
// convolution, MatMul and Add as one Gemm, and layouts in blocks of channels, which begin and end elsewhere. Seen: at most 3e-6
// relative on classifiers, 5e-5 on a text detector, whose last sigmoid is steep. The absolute part is for probabilities: a
// sigmoid far below zero is off by one unit of 1.0, not of its own value. Types with fewer digits get as many units in the last
// place.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};
// {0, 0} for whole numbers, booleans and every other type in which nothing rounds: only equal elements will do.
Tolerance tolerance_of(DType dtype);

struct Difference {
  bool is_identical = true;  // every bit
  double absolute = 0;       // the largest of an element; infinity when shapes or types differ, or one alone is NaN or infinite
  double relative = 0;       // absolute over the largest magnitude of the reference
  bool is_within_tolerance = true;
  void merge(const Difference& other);
};

// `narrowest`: the narrowest float that the model computes in; a wider output has no more digits than that.
Difference compare(const Tensor& reference, const Tensor& output, DType narrowest = DType::kUndefined);

// All comparisons of a run.
struct Verification {
  bool done = false;
  Difference difference;
  double tolerance = 0;                 // relative, the widest of the outputs' types
  std::size_t outputs = 0;              // tensors compared
  DType narrowest = DType::kUndefined;  // as compare() takes it; set before the first add()
  std::vector<Tensor> culprit;          // the inputs of the first request whose answer differed
  // Why it may differ without the split being wrong; session/verdict.h fills them.
  std::vector<std::string> random_ops;  // the model draws numbers: two runs of it are two answers
  bool is_engines = false;              // the unsplit model differs from itself as much when the engine's optimiser is off
  Difference engine_difference;         // ... by this
  // What the plan loses on purpose, and what the caller allows: `allowed` of the largest magnitude, instead of the types' own
  // tolerances.
  std::vector<std::string> lossy_codecs;
  std::optional<double> allowed;

  // A codec has changed the answer, and nobody has said by how much it may. Another shape, or no number, is no codec's doing.
  bool is_unjudged() const {
    return !allowed && !lossy_codecs.empty() && !difference.is_within_tolerance && std::isfinite(difference.absolute);
  }
  // False only when the split is wrong, as far as anybody can tell.
  bool holds() const {
    if (!random_ops.empty()) return true;
    if (allowed) return difference.relative <= *allowed;
    return difference.is_within_tolerance || is_unjudged() || is_engines;
  }

  void add(const Tensor& reference, const Tensor& output);
  // An answer with another number of outputs.
  void add_unlike();
};

}  // namespace tideline
