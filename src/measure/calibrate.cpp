#include "measure/calibrate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "engine/probe.h"
#include "measure/memory_bench.h"
#include "measure/operator_cases.h"
#include "measure/samples.h"
#include "model/model.h"
#include "platform/host.h"

namespace tideline {
namespace {

// Of the time.
constexpr double kMemoryShare = 0.06;
constexpr double kScalingShare = 0.04;
// The fastest of many repetitions is found by then, and Ctrl-C waits for no more than one working set.
constexpr Millis kMemoryTimeMax{5000};
// What takes turns: more would put the reference too far apart.
constexpr std::size_t kTurnCases = 24;
constexpr Bytes kTurnBytes = Bytes{256} << 20;
constexpr std::uint32_t kTurnWarmups = 2;
constexpr std::size_t kTurnsMin = 6;
constexpr std::size_t kTurnsMax = 25;
// Turns end when every case is known to this relative standard error.
constexpr double kTurnError = 0.01;
// Of the time, what one batch may take once it has kTurnsMin.
constexpr double kBatchPart = 0.02;
constexpr int kShortRepeats = 4;
constexpr std::uint64_t kInputSeed = 1;

using Moment = std::chrono::steady_clock::time_point;

Error interrupted() { return {ErrorCode::kCancelled, "[calibrate] interrupted; nothing was written"}; }

bool is_cancelled(const CalibrateOptions& options) { return options.cancel != nullptr && options.cancel->cancelled(); }

// One case, loaded, with inputs and what its runs took, in milliseconds.
struct LoadedCase {
  OperatorSample sample;
  std::unique_ptr<Session> session;
  std::unique_ptr<Session> profiled;  // the same under the engine's profiler, which takes time from every kernel; may be none
  std::vector<Tensor> values;
  std::vector<TensorView> inputs;
  std::vector<RunOutput> outputs;
  std::vector<std::int64_t> output;  // the shape of the first
  std::vector<double> times;
  std::vector<double> walls;
  Bytes bytes = 0;  // of weights and inputs
};

Status run_case(const Engine& engine, const CalibrateOptions& options, LoadedCase& loaded, bool is_counted) {
  // A run of one thread is all on this one: its processor time does not grow while others have the processor.
  const bool alone = engine.threads() == 1;
  const Nanos cpu_start = thread_cpu_time();
  const auto start = std::chrono::steady_clock::now();
  TIDELINE_CHECK_OK(loaded.session->run(loaded.inputs, loaded.outputs, {.cancel = options.cancel}));
  const Millis wall = std::chrono::steady_clock::now() - start;
  const Millis time = alone ? Millis(thread_cpu_time() - cpu_start) : wall;
  if (!loaded.outputs.empty()) loaded.output = loaded.outputs.front().spec.shape;
  if (!is_counted) return {};
  loaded.times.push_back(time.count());
  loaded.walls.push_back(wall.count());
  return {};
}

Status run_profiled(const CalibrateOptions& options, LoadedCase& loaded) {
  if (loaded.profiled == nullptr) return {};
  const Status run = loaded.profiled->run(loaded.inputs, loaded.outputs, {.cancel = options.cancel});
  for (RunOutput& output : loaded.outputs) output = {};  // they are that session's
  return run;
}

// What the engine made of the case's ops. Ends profiling.
Status read_kernels(LoadedCase& loaded) {
  if (loaded.profiled == nullptr) return {};
  TIDELINE_TRY(const std::vector<KernelTime> times, loaded.profiled->kernel_times());
  loaded.profiled.reset();
  for (const KernelTime& kernel : times) loaded.sample.kernels.push_back(sample_kernel(kernel));
  return {};
}

// Shapes and FLOPs come from the model, read and run as any other, so that they are counted as everybody's are.
Status describe(Engine& engine, const CalibrateOptions& options, const OperatorCase& made, LoadedCase& loaded) {
  TIDELINE_TRY(Model model, Model::parse(made.onnx, made.kind, ""));
  TIDELINE_TRY(loaded.values, seeded_inputs(model, kInputSeed));
  TIDELINE_CHECK_OK(probe_shapes(engine, model, loaded.values, {.cancel = options.cancel}));
  OperatorSample& sample = loaded.sample;
  sample.kind = made.kind;
  sample.kernel = made.kernel;
  sample.stride = made.stride;
  sample.groups = made.groups;
  for (const Op& op : model.graph().ops) {
    if (op.is_constant || op.name.starts_with(kWarmName)) continue;
    sample.ops.push_back(op.type);
    sample.flops += op.flops;
  }
  sample.weight_bytes = model.graph().parameter_bytes;
  loaded.bytes = sample.weight_bytes;
  for (const Tensor& value : loaded.values) {
    sample.inputs.push_back(value.spec.shape);
    loaded.bytes += value.data.size();
  }
  return {};
}

Result<LoadedCase> load_case(Engine& engine, const CalibrateOptions& options, const OperatorCase& made, bool with_kernels) {
  LoadedCase loaded;
  TIDELINE_CHECK_OK(describe(engine, options, made, loaded));
  TIDELINE_TRY(loaded.session, engine.load_onnx(made.onnx, {.cancel = options.cancel}));
  for (const TensorSpec& spec : loaded.session->inputs()) {
    const auto value = std::find_if(loaded.values.begin(), loaded.values.end(),
                                    [&](const Tensor& tensor) { return tensor.spec.name == spec.name; });
    if (value == loaded.values.end()) return Error{ErrorCode::kInternal, "[calibrate] no value for " + spec.name};
    loaded.inputs.push_back(view(*value));
  }
  loaded.outputs.resize(loaded.session->outputs().size());
  if (with_kernels) {
    TIDELINE_TRY(loaded.profiled, engine.load_onnx(made.onnx, {.kernel_profile = true, .cancel = options.cancel}));
  }
  return loaded;
}

// Once without and once with the profiler. Their weights are apart: the second finds the engine's code where the first has left
// it, as a kernel in a network does, and its weights as far away as they were. They take turns in being second, and the lower
// quartile speaks for those.
Status run_both(const Engine& engine, const CalibrateOptions& options, LoadedCase& loaded, std::size_t turn, bool is_counted) {
  if (turn % 2 == 0) TIDELINE_CHECK_OK(run_profiled(options, loaded));
  TIDELINE_CHECK_OK(run_case(engine, options, loaded, is_counted));
  return turn % 2 == 0 ? Status() : run_profiled(options, loaded);
}

// How often in a turn.
int repeats_of(const LoadedCase& loaded) {
  const bool is_short = !loaded.times.empty() && Millis(loaded.times.back()) < kRepeatedTimeMax;
  return loaded.profiled != nullptr && is_short && loaded.sample.weight_bytes <= kRepeatedWeightsMax ? kShortRepeats : 1;
}

// Runs all of them in turn, so that what slows the host down slows all of them down, and each finds its weights as far out of the
// caches as between two requests.
Status take_turns(const Engine& engine, const CalibrateOptions& options, const std::vector<LoadedCase*>& cases, Millis time_max) {
  for (std::uint32_t i = 0; i < kTurnWarmups; ++i)
    for (LoadedCase* loaded : cases) TIDELINE_CHECK_OK(run_both(engine, options, *loaded, i, false));
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t turn = 1; turn <= kTurnsMax; ++turn) {
    for (LoadedCase* loaded : cases)
      for (int i = 0, end = repeats_of(*loaded); i < end; ++i)
        TIDELINE_CHECK_OK(run_both(engine, options, *loaded, turn + static_cast<std::size_t>(i), true));
    if (turn < kTurnsMin) continue;
    if (std::chrono::steady_clock::now() - start > time_max) break;
    if (std::all_of(cases.begin(), cases.end(), [](const LoadedCase* l) { return relative_error(l->times) < kTurnError; })) break;
  }
  return {};
}

Status finish_sample(LoadedCase& loaded) {
  OperatorSample& sample = loaded.sample;
  sample.time = Millis(typical(loaded.times));
  sample.spread = Millis(half_quartiles(loaded.times));
  sample.wall = Millis(typical(loaded.walls));
  sample.output = loaded.output;
  return read_kernels(loaded);
}

// Samples of one batch with what their reference took.
struct Batch {
  std::vector<OperatorSample> samples;
  double reference = 0;
  double reference_error = 0;
};

class OperatorBench {
 public:
  OperatorBench(Engine& engine, const CalibrateOptions& options) : engine_(engine), options_(options) {}

  // Round after round until the time is over or all is cancelled; the first one is measured whatever the time.
  Status measure(Moment end) {
    TIDELINE_TRY(const OperatorCase made, reference_case());
    TIDELINE_TRY(LoadedCase loaded, load_case(engine_, options_, made, false));
    reference_.emplace(std::move(loaded));
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t round = 0; samples_ < limits::kCalibrationSamplesMax / 2; ++round) {
      for (const std::size_t kind : kinds_of_round(round)) {
        if (round > 0 && std::chrono::steady_clock::now() >= end) return measure_waiting();
        TIDELINE_CHECK_OK(add(kind));
        if (options_.progress && end > start)
          options_.progress(std::min(1.0, Millis(std::chrono::steady_clock::now() - start) / Millis(end - start)), "operators");
      }
      if (round > 0) continue;
      TIDELINE_CHECK_OK(measure_waiting());
      has_all_kinds_ = true;
    }
    return measure_waiting();
  }

  bool has_all_kinds() const { return has_all_kinds_; }

  // Everything with the reference at its median over the batches.
  void move_to(Calibration& calibration) {
    std::vector<double> references;
    for (const Batch& batch : batches_) references.push_back(batch.reference);
    calibration.reference = Millis(median_of(references));
    calibration.reference_spread = Millis(half_quartiles(references));
    for (Batch& batch : batches_) {
      const double drift = real_drift(batch.reference / calibration.reference.count(), batch.reference_error);
      for (OperatorSample& sample : batch.samples) {
        sample.time /= drift;
        sample.spread /= drift;
        sample.wall /= drift;
        for (SampleKernel& kernel : sample.kernels) kernel.time /= drift;
        calibration.operators.push_back(std::move(sample));
      }
    }
  }

 private:
  Status add(std::size_t kind) {
    if (is_cancelled(options_)) return interrupted();
    TIDELINE_TRY(const OperatorCase made, operator_case(kind, next_index_[kind]++));
    TIDELINE_TRY(LoadedCase loaded, load_case(engine_, options_, made, true));
    waiting_bytes_ += loaded.bytes;
    waiting_.push_back(std::move(loaded));
    if (waiting_.size() >= kTurnCases || waiting_bytes_ >= kTurnBytes) return measure_waiting();
    return {};
  }

  Status measure_waiting() {
    if (waiting_.empty()) return {};
    reference_->times.clear();
    reference_->walls.clear();
    std::vector<LoadedCase*> cases{&*reference_};
    for (LoadedCase& loaded : waiting_) cases.push_back(&loaded);
    TIDELINE_CHECK_OK(take_turns(engine_, options_, cases, std::min<Millis>(options_.time * kBatchPart, Millis(2000))));
    Batch batch{.reference = typical(reference_->times), .reference_error = relative_error(reference_->times)};
    for (LoadedCase& loaded : waiting_) {
      TIDELINE_CHECK_OK(finish_sample(loaded));
      batch.samples.push_back(std::move(loaded.sample));
    }
    samples_ += waiting_.size();
    waiting_.clear();
    waiting_bytes_ = 0;
    batches_.push_back(std::move(batch));
    return {};
  }

  Engine& engine_;
  const CalibrateOptions& options_;
  std::optional<LoadedCase> reference_;
  std::map<std::size_t, std::uint32_t> next_index_;
  std::vector<LoadedCase> waiting_;
  Bytes waiting_bytes_ = 0;
  std::vector<Batch> batches_;
  std::size_t samples_ = 0;
  bool has_all_kinds_ = false;
};

// 1, 2, 4, ... and the most there are.
std::vector<int> thread_counts(int most) {
  std::vector<int> counts;
  for (int threads = 1; threads < most; threads *= 2) counts.push_back(threads);
  counts.push_back(most);
  return counts;
}

Result<std::vector<ThreadPoint>> measure_scaling(const CalibrateOptions& options, Millis time) {
  const int most =
      options.threads_max > 0 ? options.threads_max : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const std::vector<int> counts = thread_counts(most);
  TIDELINE_TRY(const std::vector<OperatorCase> cases, scaling_cases());
  std::vector<ThreadPoint> points;
  for (const int threads : counts) {
    TIDELINE_TRY(const auto engine, make_engine({.threads = threads}));
    for (const OperatorCase& made : cases) {
      if (is_cancelled(options)) return interrupted();
      TIDELINE_TRY(LoadedCase loaded, load_case(*engine, options, made, false));
      TIDELINE_CHECK_OK(take_turns(*engine, options, {&loaded}, time / static_cast<double>(counts.size() * cases.size())));
      points.push_back({made.kind, threads, Millis(typical(loaded.walls))});
    }
  }
  return points;
}

}  // namespace

SampleKernel sample_kernel(const KernelTime& kernel) {
  return {.type = kernel.op_type,
          .time = kernel.time,
          .blocked = kernel.blocked,
          .inputs = kernel.input_shapes,
          .outputs = kernel.output_shapes,
          .kernel = kernel.kernel,
          .stride = kernel.stride,
          .groups = kernel.groups};
}

Result<Millis> measure_reference(Engine& engine, const CancelToken* cancel) {
  const CalibrateOptions options{.cancel = cancel};
  TIDELINE_TRY(const OperatorCase made, reference_case());
  TIDELINE_TRY(LoadedCase loaded, load_case(engine, options, made, false));
  TIDELINE_CHECK_OK(take_turns(engine, options, {&loaded}, Millis(200)));
  return Millis(typical(loaded.times));
}

Result<Calibration> calibrate(Engine& engine, const CalibrateOptions& options) {
  const auto report = [&](double done, std::string_view what) {
    if (options.progress) options.progress(done, what);
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration_cast<Nanos>(options.time);
  Calibration calibration{.host = host_name(), .threads = engine.threads(), .engine = engine.version(), .date = utc_now()};
  report(0, "memory");
  TIDELINE_TRY(calibration.memory, measure_memory({.bytes_max = options.memory_max,
                                                   .time = std::min(options.time * kMemoryShare, kMemoryTimeMax),
                                                   .cancel = options.cancel,
                                                   .progress = [&](double done) { report(kMemoryShare * done, "memory"); }}));
  calibration.caches = cache_steps(calibration.memory);
  report(kMemoryShare, "threads");
  auto scaling = measure_scaling(options, options.time * kScalingShare);
  if (!scaling) return scaling.error().code == ErrorCode::kCancelled ? interrupted() : scaling.error();
  calibration.scaling = std::move(*scaling);

  constexpr double kBefore = kMemoryShare + kScalingShare;
  CalibrateOptions rest = options;
  rest.progress = [&](double done, std::string_view what) { report(kBefore + (1 - kBefore) * done, what); };
  OperatorBench bench(engine, rest);
  if (const Status measured = bench.measure(end); !measured) {
    if (measured.error().code != ErrorCode::kCancelled) return measured.error();
    if (!bench.has_all_kinds()) return interrupted();
    calibration.complete = false;
  }
  bench.move_to(calibration);
  report(1, "");
  return calibration;
}

}  // namespace tideline
