#include "measure/bench.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "measure/samples.h"
#include "model/segment.h"
#include "platform/host.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kWarmups = 2;

}  // namespace

Status SegmentBench::check_cancelled() const {
  if (cancel_ != nullptr && cancel_->cancelled())
    return Error{ErrorCode::kCancelled, "[profile] interrupted; nothing was written"};
  return {};
}

Result<SegmentBench::Loaded> SegmentBench::load(SegmentRange range, const SessionOptions& options) const {
  Loaded loaded{.range = range};
  if (chain_.blocks[range.first].is_step() || chain_.blocks[range.last].is_step()) {
    TIDELINE_TRY(const Segment segment, extract_segment(model_, chain_, range.first, range.last));
    TIDELINE_TRY(loaded.session, engine_.load(segment.bytes, options));
  } else {
    // The same without the package around it, whose hash would take longer than the rest.
    TIDELINE_TRY(const std::string onnx, extract_onnx(model_, chain_, range.first, range.last));
    TIDELINE_TRY(loaded.session, engine_.load_onnx(onnx, options));
  }
  for (const TensorSpec& spec : loaded.session->inputs()) {
    const auto found = values_.find(spec.name);
    if (found == values_.end()) {
      return Error{ErrorCode::kInternal, "[profile] no value for tensor " + printable(spec.name)};
    }
    loaded.inputs.push_back(view(found->second));
  }
  loaded.outputs.resize(loaded.session->outputs().size());
  return loaded;
}

Result<SegmentBench::Times> SegmentBench::run(Loaded& loaded) const {
  // A run of one thread is all on this one: its processor time is what it takes on a machine that has nothing else to do, even
  // while this one has.
  const bool alone = engine_.threads() == 1;
  const Nanos cpu_start = thread_cpu_time();
  const auto start = Clock::now();
  TIDELINE_CHECK_OK(loaded.session->run(loaded.inputs, loaded.outputs, {.cancel = cancel_}));
  const Millis wall = Clock::now() - start;
  return Times{alone ? Millis(thread_cpu_time() - cpu_start) : wall, wall};
}

Status SegmentBench::fill_cuts(const std::vector<Tensor>& sample) {
  for (const Tensor& tensor : sample) values_[tensor.spec.name] = {tensor.spec, Buffer::copy_of(tensor.data.span())};
  std::uint32_t k = 0;
  for (; k < chain_.block_count() && chain_.blocks[k].step; ++k) TIDELINE_CHECK_OK(fill_from_step(k));
  if (k < chain_.block_count()) TIDELINE_CHECK_OK(fill_from_model());
  for (k = chain_.output_cut(); k < chain_.block_count(); ++k) TIDELINE_CHECK_OK(fill_from_step(k));
  return {};
}

Status SegmentBench::fill_from_step(std::uint32_t block) {
  TIDELINE_CHECK_OK(check_cancelled());
  TIDELINE_TRY(Loaded loaded, load({block, block}, {}));
  TIDELINE_TRY([[maybe_unused]] const Times times, run(loaded));
  for (const RunOutput& output : loaded.outputs) values_[output.spec.name] = {output.spec, Buffer::copy_of(output.bytes)};
  return {};
}

Status SegmentBench::fill_from_model() {
  TIDELINE_CHECK_OK(check_cancelled());
  std::unique_ptr<Session> session;
  {
    TIDELINE_TRY(const std::string onnx, model_.onnx_bytes(true));
    TIDELINE_TRY(session, engine_.load_onnx(onnx, {.optimize = false, .cancel = cancel_}));
  }
  std::vector<TensorView> inputs;
  for (const TensorSpec& spec : session->inputs()) {
    const auto found = values_.find(spec.name);
    if (found == values_.end()) return Error{ErrorCode::kInternal, "[profile] no value for input " + printable(spec.name)};
    inputs.push_back(view(found->second));
  }
  std::vector<RunOutput> outputs(session->outputs().size());
  TIDELINE_CHECK_OK(session->run(inputs, outputs, {.cancel = cancel_}));
  std::set<std::string_view> wanted;
  for (const Cut& cut : chain_.cuts)
    for (const TensorSpec& spec : cut.tensors) wanted.insert(spec.name);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = session->outputs()[i].name;
    if (wanted.contains(name) && !values_.contains(name)) values_[name] = {outputs[i].spec, Buffer::copy_of(outputs[i].bytes)};
    outputs[i] = {};
  }
  return {};
}

Result<SegmentBench::Reference> SegmentBench::load_reference() {
  Reference result;
  const Bytes before = resident_bytes();
  const auto start = Clock::now();
  TIDELINE_TRY(Loaded loaded, load({0, chain_.block_count() - 1}, {}));
  result.load = Clock::now() - start;
  reference_ = std::make_unique<Loaded>(std::move(loaded));
  for (std::uint32_t i = 0; i <= kWarmups; ++i) {
    TIDELINE_TRY(const Times times, run(*reference_));
    result.time = times.time;
  }
  const Bytes after = resident_bytes();
  result.memory_bytes = after > before ? after - before : 0;
  return result;
}

Result<std::vector<SegmentTiming>> SegmentBench::measure(const std::vector<SegmentRange>& segments, const Effort& effort) {
  std::vector<Loaded> batch;
  for (const SegmentRange range : segments) {
    TIDELINE_CHECK_OK(check_cancelled());
    TIDELINE_TRY(Loaded loaded, load(range, {}));
    batch.push_back(std::move(loaded));
  }
  reference_->samples.clear();
  reference_->wall.clear();
  std::vector<Loaded*> all;
  for (Loaded& loaded : batch) all.push_back(&loaded);
  all.push_back(reference_.get());
  for (std::uint32_t i = 0; i < kWarmups; ++i) {
    for (Loaded* loaded : all) {
      TIDELINE_TRY([[maybe_unused]] const Times times, run(*loaded));
    }
  }
  const auto start = Clock::now();
  for (std::uint32_t round = 0; round < effort.rounds_max; ++round) {
    for (Loaded* loaded : all) {
      TIDELINE_TRY(const Times times, run(*loaded));
      loaded->samples.push_back(times.time.count());
      loaded->wall.push_back(times.wall.count());
    }
    if (round + 1 < effort.rounds_min) continue;
    if (Clock::now() - start > effort.time_max) break;
    if (std::all_of(all.begin(), all.end(), [&](const Loaded* l) { return relative_error(l->samples) < effort.relative_error; }))
      break;
  }
  const Millis reference(typical(reference_->samples));
  std::vector<SegmentTiming> timings;
  for (const Loaded* loaded : all) {
    timings.push_back({loaded->range, Millis(typical(loaded->samples)), Millis(half_quartiles(loaded->samples)), reference,
                       relative_error(reference_->samples), Millis(typical(loaded->wall))});
  }
  return timings;
}

Result<std::vector<const Tensor*>> SegmentBench::cut_values(std::size_t cut) const {
  std::vector<const Tensor*> tensors;
  for (const TensorSpec& spec : chain_.cuts[cut].tensors) {
    const auto found = values_.find(spec.name);
    if (found == values_.end()) return Error{ErrorCode::kInternal, "[profile] no value for tensor " + printable(spec.name)};
    tensors.push_back(&found->second);
  }
  return tensors;
}

Result<SegmentBench::Tail> SegmentBench::load_tail(std::uint32_t cut) const {
  TIDELINE_CHECK_OK(check_cancelled());
  TIDELINE_TRY(Loaded loaded, load({cut, chain_.block_count() - 1}, {}));
  return Tail(*this, std::move(loaded));
}

Result<std::vector<Tensor>> SegmentBench::Tail::run(const std::vector<Tensor>& values) {
  std::vector<TensorView> inputs = loaded_.inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (const Tensor& value : values)
      if (value.spec.name == loaded_.session->inputs()[i].name) inputs[i] = view(value);
  TIDELINE_CHECK_OK(loaded_.session->run(inputs, loaded_.outputs, {.cancel = bench_->cancel_}));
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < loaded_.outputs.size(); ++i) {
    TensorSpec spec = loaded_.outputs[i].spec;
    spec.name = loaded_.session->outputs()[i].name;
    made.push_back({std::move(spec), Buffer::copy_of(loaded_.outputs[i].bytes)});
  }
  return made;
}

Result<std::vector<KernelTime>> SegmentBench::kernel_times(SegmentRange range, std::uint32_t runs) {
  while (range.first <= range.last && chain_.blocks[range.first].is_step()) ++range.first;
  if (range.first > range.last) return std::vector<KernelTime>{};
  while (chain_.blocks[range.last].is_step()) --range.last;
  TIDELINE_TRY(Loaded loaded, load(range, {.kernel_profile = true}));
  for (std::uint32_t i = 0; i < runs; ++i) {
    TIDELINE_CHECK_OK(check_cancelled());
    TIDELINE_TRY([[maybe_unused]] const Times times, run(loaded));
  }
  return loaded.session->kernel_times();
}

}  // namespace tideline
