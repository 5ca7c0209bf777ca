#include "profile/predictor.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "profile/kernel_features.h"
#include "profile/memory_time.h"
#include "profile/regression.h"

namespace tideline {
namespace {

constexpr std::string_view kKernelsName = "kernels";
constexpr std::string_view kNeurosurgeonName = "neurosurgeon";
constexpr std::string_view kBlockedFamily = "blocked.";
constexpr std::string_view kNetworks = "network-";
// Of a run, what its kernels take at the least when the overhead would leave nothing.
constexpr double kKernelsShareMin = 0.1;
// Of what the profiler says of a kernel, what is its own at the least.
constexpr double kKernelShareMin = 0.05;
// Runs of this length whose kernels' clock and processor's time differ by more than this factor were disturbed.
constexpr Millis kClockMin{0.05};
constexpr double kClockFactorMax = 1.3;
// Runs longer than this are too long to see what starting takes.
constexpr Millis kStartTimeMax{0.1};
// A run's kernels are never exactly nothing.
constexpr double kKernelMsMin = 1e-5;

// One regression for each family of kernels.
class KernelPredictor : public Predictor {
 public:
  explicit KernelPredictor(const Calibration& calibration)
      : overhead_(engine_overhead(calibration)), memory_(calibration.memory) {
    std::map<std::string, std::vector<RegressionPoint>> points;
    for (std::size_t i = 0; i < calibration.operators.size(); ++i) {
      if (calibration.operators[i].kind == kEmptyKernelsKind) continue;
      const std::vector<SampleKernel> kernels = settled_kernels(calibration.operators[i], overhead_);
      const bool near = is_near(calibration.operators[i]);
      for (std::size_t k = 0; k < kernels.size(); ++k) {
        const SampleKernel& kernel = kernels[k];
        const auto features = features_of(kernel);
        if (!features) continue;
        RegressionPoint point = point_of(*features, place_in_run(k, kernels.size(), near));
        point.ms = std::max(kernel.time.count(), kKernelMsMin);
        point.group = i;
        points[features->family].push_back(std::move(point));
        has_blocks_ |= kernel.blocked;
      }
    }
    for (auto& [family, of_family] : points) {
      families_.emplace(family, Regression(std::move(of_family)));
    }
  }

  std::string_view name() const override { return kKernelsName; }
  Millis run_overhead(bool is_near) const override { return overhead_.run + (is_near ? Millis(0) : overhead_.start); }

  Millis kernel_time(const SampleKernel& kernel, KernelPlace place, std::size_t without) const override {
    const auto features = features_of(kernel);
    // A host whose engine has no blocks changes no layouts either.
    if (!has_blocks_ && is_reorder(kernel)) return Millis(0);
    if (!features) return overhead_.kernel;
    Asked asked = ask(kernel, *features, place);
    if (asked.regression == nullptr) {
      // An elementwise kernel that moves as many bytes.
      asked.regression = fallback();
      const double elements = std::max(features->bytes / 8, 1.0);
      asked.point = {.flops = elements,
                     .memory_ms = memory_.of(*features, place).count(),
                     .place = {std::log2(elements), 0, 0, place.is_near ? 1.0 : 0.0}};
    }
    if (asked.regression == nullptr) return overhead_.kernel;
    const std::size_t group = without == kNoSample ? Regression::kNoGroup : without;
    return overhead_.kernel + Millis(asked.regression->predict(asked.point, group));
  }

  bool knows(const SampleKernel& kernel) const override {
    if (is_view(kernel.type) || (!has_blocks_ && is_reorder(kernel))) return true;
    const auto features = features_of(kernel);
    return features && ask(kernel, *features, {}).regression != nullptr;
  }

 private:
  struct Asked {
    const Regression* regression = nullptr;
    RegressionPoint point;
  };
  RegressionPoint point_of(const KernelFeatures& features, KernelPlace place) const {
    RegressionPoint point{.flops = features.flops, .memory_ms = memory_.of(features, place).count(), .place = features.place};
    point.place.push_back(place.is_near ? 1 : 0);
    return point;
  }
  static bool is_reorder(const SampleKernel& kernel) { return kernel.type.starts_with("Reorder"); }

  // Its family's regression, or that of the same kernel in the other memory layout.
  Asked ask(const SampleKernel& kernel, const KernelFeatures& features, KernelPlace place) const {
    if (const auto found = families_.find(features.family); found != families_.end())
      return {&found->second, point_of(features, place)};
    SampleKernel other = kernel;
    other.blocked = !kernel.blocked;
    const auto otherwise = features_of(other);
    const auto found = families_.find(otherwise->family);
    if (found == families_.end()) return {};
    return {&found->second, point_of(*otherwise, place)};
  }
  const Regression* fallback() const {
    for (const char* family : {"Relu", "Sqrt", "Clip", "Tanh", "Sigmoid"})
      if (const auto found = families_.find(family); found != families_.end()) return &found->second;
    return nullptr;
  }

  EngineOverhead overhead_;
  MemoryTime memory_;
  std::map<std::string, Regression> families_;
  bool has_blocks_ = false;
};

bool has_shapes_of_kernels(const Calibration& calibration) {
  return std::any_of(calibration.operators.begin(), calibration.operators.end(), [](const OperatorSample& sample) {
    return sample.kind != kEmptyKernelsKind && !sample.kernels.empty() && !sample.kernels.back().outputs.empty();
  });
}
bool has_empty_kernels(const Calibration& calibration) {
  return std::any_of(calibration.operators.begin(), calibration.operators.end(),
                     [](const OperatorSample& sample) { return sample.kind == kEmptyKernelsKind; });
}

double quantile_of(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

}  // namespace

std::vector<std::string_view> predictor_names() { return {kKernelsName, kNeurosurgeonName}; }

namespace {

// What short runs that found nothing near take beyond their kernels' clock and what runs take that found everything near: their
// median. Of longer runs it would drown in the clock's error.
Millis start_of_runs(const Calibration& calibration, const EngineOverhead& overhead) {
  std::vector<double> beyond;
  for (const OperatorSample& sample : calibration.operators) {
    if (sample.kind == kEmptyKernelsKind || is_near(sample) || sample.time >= kStartTimeMax || sample.kernels.empty()) continue;
    Millis left = sample.time - overhead.run;
    for (const SampleKernel& kernel : sample.kernels)
      left -= overhead.kernel + std::max(kernel.time - overhead.profiled, kernel.time * kKernelShareMin);
    beyond.push_back(left.count());
  }
  return Millis(beyond.empty() ? 0 : std::max(0.0, quantile_of(beyond, 0.5)));
}

// `start` is left at 0.
EngineOverhead near_overhead(const Calibration& calibration) {
  // time = run + kernels * kernel, divided by time.
  double a11 = 0;
  double a12 = 0;
  double a22 = 0;
  double b1 = 0;
  double b2 = 0;
  std::vector<double> profiled_times;
  for (const OperatorSample& sample : calibration.operators) {
    if (sample.kind != kEmptyKernelsKind || sample.time <= Millis(0)) continue;
    const double run = 1 / sample.time.count();
    const double kernels = static_cast<double>(sample.kernels.size()) / sample.time.count();
    a11 += run * run;
    a12 += run * kernels;
    a22 += kernels * kernels;
    b1 += run;
    b2 += kernels;
    Millis clock(0);
    for (const SampleKernel& kernel : sample.kernels) clock += kernel.time;
    if (!sample.kernels.empty()) profiled_times.push_back(clock.count() / static_cast<double>(sample.kernels.size()));
  }
  const Millis profiled(profiled_times.empty() ? 0 : quantile_of(profiled_times, 0.5));
  const double determinant = a11 * a22 - a12 * a12;
  // One length of chain says nothing of both: it all is the run's.
  if (determinant <= 1e-9 * a11 * a22) return {Millis(a11 > 0 ? b1 / a11 : 0), Millis(0), profiled};
  EngineOverhead overhead{Millis((b1 * a22 - b2 * a12) / determinant), Millis((a11 * b2 - a12 * b1) / determinant), profiled};
  if (overhead.run < Millis(0)) return {Millis(0), Millis(b2 / a22), profiled};
  if (overhead.kernel < Millis(0)) return {Millis(b1 / a11), Millis(0), profiled};
  return overhead;
}

}  // namespace

EngineOverhead engine_overhead(const Calibration& calibration) {
  EngineOverhead overhead = near_overhead(calibration);
  overhead.start = start_of_runs(calibration, overhead);
  return overhead;
}

bool is_near(const OperatorSample& sample) {
  return sample.time < kRepeatedTimeMax && sample.weight_bytes <= kRepeatedWeightsMax;
}

bool is_near(const Calibration& calibration, Bytes weight_bytes) {
  constexpr Bytes kTurns = 8;
  return !calibration.caches.empty() && weight_bytes <= calibration.caches.back() / kTurns;
}

KernelPlace place_in_run(std::size_t index, std::size_t count, bool is_near) {
  return {.ends_run = !is_near && index + 1 == count, .is_near = is_near};
}

std::vector<SampleKernel> settled_kernels(const OperatorSample& sample, const EngineOverhead& overhead) {
  std::vector<SampleKernel> kernels = sample.kernels;
  Millis all(0);
  for (SampleKernel& kernel : kernels) {
    kernel.time = std::max(kernel.time - overhead.profiled, kernel.time * kKernelShareMin);
    all += kernel.time;
  }
  if (all <= Millis(0)) return {};
  const Millis left = std::max(sample.time - overhead.run - (is_near(sample) ? Millis(0) : overhead.start) -
                                   overhead.kernel * static_cast<double>(sample.kernels.size()),
                               sample.time * kKernelsShareMin);
  const double factor = left / all;
  if (all > kClockMin && (factor < 1 / kClockFactorMax || factor > kClockFactorMax)) return {};
  for (SampleKernel& kernel : kernels) kernel.time *= factor;
  return kernels;
}

Result<std::unique_ptr<Predictor>> make_predictor(const Calibration& calibration, std::string_view name) {
  if (!has_shapes_of_kernels(calibration) || !has_empty_kernels(calibration))
    return Error{ErrorCode::kInvalidArgument,
                 "[predict] the calibration has no shapes of kernels, which older builds did not keep: measure it again with "
                 "`tideline calibrate`"};
  if (name == kKernelsName) return std::unique_ptr<Predictor>(std::make_unique<KernelPredictor>(calibration));
  if (name == kNeurosurgeonName) return make_neurosurgeon(calibration);
  return Error{ErrorCode::kInvalidArgument, fmt::format("[predict] there is no predictor '{}'; there are: {}",
                                                        printable(std::string(name)), fmt::join(predictor_names(), ", "))};
}

PredictorError predictor_error(const Predictor& predictor, const Calibration& calibration) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < calibration.operators.size(); ++i) {
    const OperatorSample& sample = calibration.operators[i];
    if (!sample.kind.starts_with(kNetworks) || sample.time <= Millis(0)) continue;
    Millis time = predictor.run_overhead(is_near(sample));
    for (std::size_t k = 0; k < sample.kernels.size(); ++k)
      time += predictor.kernel_time(sample.kernels[k], place_in_run(k, sample.kernels.size(), is_near(sample)), i);
    errors.push_back(std::abs(time / sample.time - 1));
  }
  if (errors.empty()) return {};
  return {quantile_of(errors, 0.5), quantile_of(errors, 0.9), errors.size()};
}

}  // namespace tideline
