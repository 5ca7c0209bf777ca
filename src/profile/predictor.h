// Predictor: how long a kernel takes on a host that has a calibration, and how far off that is. Thread-safe.
//
//   TIDELINE_TRY(const auto predictor, make_predictor(calibration, "kernels"));
//   Millis whole = predictor->run_overhead(false);
//   for (std::size_t k = 0; k < kernels.size(); ++k)
//     whole += predictor->kernel_time(kernels[k], place_in_run(k, kernels.size(), false));
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "profile/calibration.h"

namespace tideline {

struct PredictorError {
  double median = 0;  // |predicted / measured - 1| of the calibration's made-up networks, each left out of the regression
  double p90 = 0;
  std::size_t count = 0;  // networks; 0: the calibration has none, and nothing is known of the error
};

// What a kernel finds in the caches. What it reads has just been made by the kernel before it, whatever stands here.
struct KernelPlace {
  bool ends_run = false;  // what it writes is the answer, in memory of its own that no kernel before it has used
  bool is_near = false;   // little else has run since the same run before: code, weights and memory are still in a cache
};
// Of kernel `index` of `count` in a run.
KernelPlace place_in_run(std::size_t index, std::size_t count, bool is_near);
// Whether runs of the sample found everything near: it was repeated in its turn.
bool is_near(const OperatorSample& sample);
// Whether runs of a model with weights of so many bytes do, on the calibration's host: eight of its segments, which take turns
// with it where profiles are measured, fit into the largest cache together.
bool is_near(const Calibration& calibration, Bytes weight_bytes);

class Predictor {
 public:
  static constexpr std::size_t kNoSample = static_cast<std::size_t>(-1);
  virtual ~Predictor() = default;
  virtual std::string_view name() const = 0;
  // What the engine needs to begin and end a run; more when others have run since the one before.
  virtual Millis run_overhead(bool is_near) const = 0;
  // The kernel and what the engine needs to come to it. `without`: as if this sample of the calibration had not been measured, as
  // far as the predictor can.
  virtual Millis kernel_time(const SampleKernel& kernel, KernelPlace place, std::size_t without = kNoSample) const = 0;
  // Whether the calibration has kernels of this kind; others are taken for elementwise ones of their bytes.
  virtual bool knows(const SampleKernel& kernel) const = 0;
};

// Of make_predictor's `name`: "kernels", "neurosurgeon".
std::vector<std::string_view> predictor_names();

// `calibration` need not outlive it. kInvalidArgument when the calibration is of a build that did not keep what predicting needs.
// "kernels" takes some seconds for thousands of samples.
Result<std::unique_ptr<Predictor>> make_predictor(const Calibration& calibration, std::string_view name);

// Of `predictor`, which was made from `calibration`.
PredictorError predictor_error(const Predictor& predictor, const Calibration& calibration);

// What the engine takes to begin and end, and for each kernel more: a line through the samples of kEmptyKernelsKind, by least
// squares of relative errors, both not negative. And what its profiler says of a kernel that has nothing to do.
struct EngineOverhead {
  Millis run{0};
  Millis kernel{0};
  Millis profiled{0};
  Millis start{0};  // of a run that finds the engine's own code and data out of the caches, beside `run`
};
EngineOverhead engine_overhead(const Calibration& calibration);

// Each kernel's time such that, with the engine's overhead, all of them add up to the run of the sample: its clock only says how
// the run divides. None when the two are so far apart that the clock counted others' work.
std::vector<SampleKernel> settled_kernels(const OperatorSample& sample, const EngineOverhead& overhead);

// Neurosurgeon's regressions as the baseline; see neurosurgeon.cpp. REQUIRES: what make_predictor checks.
std::unique_ptr<Predictor> make_neurosurgeon(const Calibration& calibration);

}  // namespace tideline
