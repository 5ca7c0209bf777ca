#include "node/stage.h"

#include <algorithm>
#include <condition_variable>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// Slots of RequestBuffers: requests come in at 0.., session outputs lie at 64.., results from the next node at 128...
constexpr std::size_t kOutputSlots = limits::kFrameTensorsMax;
constexpr std::size_t kResultSlots = 2 * limits::kFrameTensorsMax;

std::uint64_t nanoseconds(Clock::duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, Nanos(time).count()));
}

std::size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

// Sleeps until `until`, but wakes for cancellation and the deadline.
Status stretch(SteadyTime until, SteadyTime deadline, const CancelToken& cancel) {
  struct Wake {
    std::mutex mutex;
    std::condition_variable changed;
  };
  const auto wake = std::make_shared<Wake>();
  const auto watch = cancel.watch([wake] {
    const std::lock_guard lock(wake->mutex);
    wake->changed.notify_all();
  });
  std::unique_lock lock(wake->mutex);
  wake->changed.wait_until(lock, std::min(until, deadline), [&] { return cancel.cancelled(); });
  if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[node] the caller gave up"};
  if (deadline < until) return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed in the engine"};
  return {};
}

Bytes known_bytes(const TensorSpec& spec) {
  const auto bytes = byte_size(spec.dtype, spec.shape);
  return bytes ? *bytes : 0;
}

}  // namespace

std::uint64_t TensorSet::total_bytes() const {
  std::uint64_t total = 0;
  for (const auto& piece : bytes) total += piece.size();
  return total;
}

Result<std::shared_ptr<Stage>> Stage::make(const wire::Install& install, std::shared_ptr<LoadedSegment> segment,
                                           std::shared_ptr<NextNode> next, ComputeSlot& slot, StageOptions options) {
  const auto mismatch = [&](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[node] the segment does not fit its stage: {}", printable(what))};
  };
  std::shared_ptr<Stage> stage(new Stage(install, std::move(segment), std::move(next), slot, std::move(options)));
  std::vector<std::string> made;
  if (stage->segment_) {
    for (const TensorSpec& input : stage->segment_->session->inputs()) {
      const std::size_t at = index_of(install.inputs, input.name);
      if (at == install.inputs.size()) return mismatch(fmt::format("its input '{}' does not arrive", input.name));
      stage->session_inputs_.push_back(at);
    }
    for (const TensorSpec& output : stage->segment_->session->outputs()) made.push_back(output.name);
  }
  for (const std::string& name : install.outputs) {
    const std::size_t output = index_of(made, name);
    const std::size_t input = index_of(install.inputs, name);
    if (output < made.size())
      stage->output_sources_.push_back(static_cast<int>(output));
    else if (input < install.inputs.size())
      stage->output_sources_.push_back(-1 - static_cast<int>(input));
    else
      return mismatch(fmt::format("nothing makes '{}'", name));
  }
  return stage;
}

Status Stage::accepts(const wire::WireTensor& tensor) const {
  if (tensor.index >= install_.inputs.size())
    return Error{ErrorCode::kCorrupt, "[node] a request names a tensor that its stage does not have"};
  if (tensor.encoding != wire::Encoding::kRaw)
    return Error{ErrorCode::kUnsupported, "[node] the tensor's encoding is unknown here"};
  return {};
}

Result<TensorSet> Stage::compute(const TensorSet& inputs, wire::StageTiming& timing, RequestBuffers& buffers, SteadyTime deadline,
                                 const CancelToken& cancel) {
  std::vector<RunOutput> made;
  if (segment_) {
    Session& session = *segment_->session;
    std::vector<TensorView> views(session_inputs_.size());
    // The engine knows its inputs by its own names; the specs that arrived carry them already.
    for (std::size_t i = 0; i < views.size(); ++i)
      views[i] = {&inputs.specs[session_inputs_[i]], inputs.bytes[session_inputs_[i]]};
    made.resize(session.outputs().size());
    for (std::size_t i = 0; i < made.size(); ++i)
      if (const Bytes bytes = known_bytes(session.outputs()[i]); bytes > 0) made[i].buffer = buffers.get(kOutputSlots + i, bytes);

    const SteadyTime asked = Clock::now();
    SteadyTime started;
    Status ran;
    {
      TIDELINE_TRY(const auto turn, slot_.acquire(deadline, cancel, options_.waiting_max));
      started = Clock::now();
      ran = session.run(views, made, {.deadline = deadline, .cancel = &cancel});
      if (ran && options_.slowdown > 1)
        ran = stretch(started + std::chrono::duration_cast<Clock::duration>((Clock::now() - started) * options_.slowdown),
                      deadline, cancel);
    }
    timing.queue_ns = nanoseconds(started - asked);
    timing.compute_ns = nanoseconds(Clock::now() - started);
    if (!ran) return std::move(ran).error();
  }
  TensorSet outputs;
  for (std::size_t i = 0; i < output_sources_.size(); ++i) {
    const int source = output_sources_[i];
    if (source >= 0) {
      RunOutput& output = made[static_cast<std::size_t>(source)];
      outputs.specs.push_back(std::move(output.spec));
      outputs.bytes.push_back(output.bytes);
      outputs.owners.push_back(std::move(output.owner));
    } else {
      const std::size_t input = static_cast<std::size_t>(-1 - source);
      outputs.specs.push_back(inputs.specs[input]);
      outputs.bytes.push_back(inputs.bytes[input]);
    }
  }
  return outputs;
}

Result<StageReply> Stage::call_next(const TensorSet& outputs, wire::StageTiming& timing, SteadyTime received_at,
                                    RequestBuffers& buffers, SteadyTime deadline, const CancelToken& cancel) {
  wire::Run run;
  run.epoch = install_.epoch;
  run.stage = install_.stage + 1;
  for (std::size_t i = 0; i < outputs.specs.size(); ++i) {
    TIDELINE_TRY(auto tensor, wire::wire_tensor(static_cast<std::uint16_t>(i), outputs.specs[i].dtype, outputs.specs[i].shape));
    run.tensors.push_back(std::move(tensor));
  }
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count();
  if (left <= 0) return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed before the next node was called"};
  run.deadline_us = static_cast<std::uint64_t>(left);

  StageReply reply;
  std::uint64_t total = 0;
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    if (tensor.index != position) return Error{ErrorCode::kCorrupt, "[node] the result's tensors are out of order"};
    total += tensor.bytes;
    if (total > options_.result_bytes_max) return Error{ErrorCode::kOverloaded, "[node] the result is above --request-bytes"};
    const std::span<std::byte> buffer = buffers.get(kResultSlots + position, tensor.bytes);
    reply.tensors.specs.push_back({"", tensor.dtype, tensor.shape});
    reply.tensors.bytes.push_back(buffer);
    return buffer;
  };
  CallTiming call;
  TIDELINE_TRY(const auto next, next_->connected(deadline));
  TIDELINE_TRY(auto result, next->run(run, outputs.bytes, buffer_for, deadline, cancel, &call));
  if (result.stages.size() >= limits::kPlanHopsMax)
    return Error{ErrorCode::kCorrupt, "[node] the next node reports too many stages"};
  timing.send_ns = nanoseconds(call.send);
  timing.wait_ns = nanoseconds(call.wait);
  timing.return_ns = nanoseconds(call.receive);
  timing.total_ns = nanoseconds(Clock::now() - received_at);
  reply.timings = std::move(result.stages);
  return reply;
}

Result<StageReply> Stage::run(const TensorSet& inputs, wire::StageTiming timing, SteadyTime received_at, RequestBuffers& buffers,
                              SteadyTime deadline, const CancelToken& cancel) {
  timing.node = options_.node_name;
  timing.stage = install_.stage;
  timing.input_bytes = inputs.total_bytes();
  TIDELINE_TRY(TensorSet outputs, compute(inputs, timing, buffers, deadline, cancel));
  timing.output_bytes = outputs.total_bytes();
  StageReply reply;
  if (next_) {
    TIDELINE_TRY(reply, call_next(outputs, timing, received_at, buffers, deadline, cancel));
  } else {
    reply.tensors = std::move(outputs);
    timing.total_ns = nanoseconds(Clock::now() - received_at);
  }
  reply.timings.push_back(std::move(timing));
  return reply;
}

}  // namespace tideline
