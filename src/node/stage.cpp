#include "node/stage.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "node/coding.h"
#include "node/next_node.h"
#include "node/slow_engine.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
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

Result<std::shared_ptr<Stage>> Stage::make(const wire::ProgramStage& program, std::shared_ptr<LoadedSegment> segment,
                                           std::shared_ptr<NextNode> next, ComputeSlot& slot, StageOptions options) {
  const auto mismatch = [&](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[node] the segment does not fit its stage: {}", printable(what))};
  };
  std::shared_ptr<Stage> stage(new Stage(program, std::move(segment), std::move(next), slot, std::move(options)));
  std::vector<std::string> made;
  if (stage->segment_) {
    for (const TensorSpec& input : stage->segment_->inputs()) {
      const std::size_t at = index_of(program.inputs, input.name);
      if (at == program.inputs.size()) return mismatch(fmt::format("its input '{}' does not arrive", input.name));
      stage->session_inputs_.push_back(at);
    }
    for (const TensorSpec& output : stage->segment_->outputs()) made.push_back(output.name);
  }
  for (const std::string& name : program.outputs) {
    const std::size_t output = index_of(made, name);
    const std::size_t input = index_of(program.inputs, name);
    if (output < made.size())
      stage->output_sources_.push_back(static_cast<int>(output));
    else if (input < program.inputs.size())
      stage->output_sources_.push_back(-1 - static_cast<int>(input));
    else
      return mismatch(fmt::format("nothing makes '{}'", name));
  }
  stage->to_decode_.assign(program.inputs.size(), program.codec_in != program.codec_out);
  for (const std::size_t input : stage->session_inputs_) stage->to_decode_[input] = true;
  return stage;
}

Status Stage::accepts(const wire::WireTensor& tensor) const {
  if (tensor.index >= program_.inputs.size())
    return Error{ErrorCode::kCorrupt, "[node] a request names a tensor that its stage does not have"};
  const auto expected = program_.codec_in.is_raw() ? wire::Encoding::kRaw : wire::Encoding::kCoded;
  if (tensor.encoding != expected)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[node] a tensor comes {}, but the plan says {}",
                             tensor.encoding == wire::Encoding::kRaw ? "raw" : "encoded", name_of(program_.codec_in))};
  return {};
}

wire::StageTiming Stage::new_timing(const TensorSet& inputs) const {
  wire::StageTiming timing;
  timing.node = options_.node_name;
  timing.stage = program_.id;
  timing.input_bytes = inputs.total_bytes();
  return timing;
}

template <class Code>
Status Stage::timed(Code code, std::uint64_t& ns, SteadyTime deadline, const CancelToken& cancel) const {
  const SteadyTime began = Clock::now();
  TIDELINE_CHECK_OK(code());
  if (options_.slowdown > 1) TIDELINE_CHECK_OK(stretch(began, options_.slowdown, {.deadline = deadline, .cancel = &cancel}));
  // 0 says that there was nothing to do.
  ns += std::max<std::uint64_t>(1, nanoseconds(Clock::now() - began));
  return {};
}

Leave Stage::leave(SteadyTime now, std::uint64_t bytes) const {
  if (options_.link_share) return options_.link_share->leave(now, static_cast<double>(bytes));
  // Who has no share of a link that others have shares of goes when it is free.
  const auto load = options_.shares && next_ ? options_.shares->load_of(next_->name()) : nullptr;
  return load ? leave_when_free(load, now, static_cast<double>(bytes)) : Leave{now};
}

Status Stage::run_in_turn(const std::vector<TensorView>& inputs, std::vector<RunOutput>& outputs, wire::StageTiming& timing,
                          SteadyTime deadline, const CancelToken& cancel) {
  const SteadyTime asked = Clock::now();
  const std::shared_ptr<RateShare> share = options_.engine_share ? options_.engine_share
                                           : options_.shares     ? options_.shares->rest_of_engine()
                                                                 : nullptr;
  const double expected = last_run_ns_.load(std::memory_order_relaxed);
  const bool is_within = !share || share->take(asked, expected);
  const auto not_run = [&](const Error& error) {
    if (share && is_within) share->correct(Clock::now(), -expected);
    return error;
  };
  while (true) {
    const auto turn = slot_.acquire(deadline, cancel, options_.waiting_max, !is_within);
    if (!turn) return not_run(turn.error());
    // In its turn: what waits for the engine may be dropped for what runs, and so nobody waits for memory in a circle.
    const auto in_use = segment_->use(deadline, cancel);
    if (!in_use) return not_run(in_use.error());
    const SteadyTime started = Clock::now();
    Status ran;
    if (turn->wanted()) {
      // Beyond its share, it ends when the caller gives up, and begins anew when somebody within theirs wants the engine.
      const auto watch = cancel.watch([wanted = *turn->wanted()] { wanted.cancel(); });
      ran = (*in_use)->session->run(inputs, outputs, {.deadline = deadline, .cancel = &*turn->wanted()});
      if (!ran && ran.error().code == ErrorCode::kCancelled && turn->wanted()->cancelled() && !cancel.cancelled()) continue;
    } else {
      ran = (*in_use)->session->run(inputs, outputs, {.deadline = deadline, .cancel = &cancel});
    }
    timing.queue_ns = nanoseconds(started - asked);
    timing.compute_ns = nanoseconds(Clock::now() - started);
    const auto took = static_cast<double>(timing.compute_ns);
    if (share && is_within) share->correct(Clock::now(), took - expected);
    last_run_ns_.store(took, std::memory_order_relaxed);
    return ran;
  }
}

Result<TensorSet> Stage::compute(TensorSet& inputs, wire::StageTiming& timing, BufferPool& buffers, SteadyTime deadline,
                                 const CancelToken& cancel) {
  if (!program_.codec_in.is_raw() && std::find(to_decode_.begin(), to_decode_.end(), true) != to_decode_.end())
    TIDELINE_CHECK_OK(timed([&] { return decode_tensors(program_.codec_in, to_decode_, buffers, inputs); }, timing.decode_ns,
                            deadline, cancel));
  std::vector<RunOutput> made;
  std::vector<std::shared_ptr<void>> loans;
  if (segment_) {
    std::vector<TensorView> views(session_inputs_.size());
    // The engine knows its inputs by its own names; the specs that arrived carry them already.
    for (std::size_t i = 0; i < views.size(); ++i)
      views[i] = {&inputs.specs[session_inputs_[i]], inputs.bytes[session_inputs_[i]]};
    made.resize(segment_->outputs().size());
    loans.resize(made.size());
    for (std::size_t i = 0; i < made.size(); ++i) {
      const Bytes bytes = known_bytes(segment_->outputs()[i]);
      if (bytes == 0) continue;
      auto lent = buffers.take(bytes);
      made[i].buffer = lent.bytes;
      loans[i] = std::move(lent.owner);
    }
    TIDELINE_CHECK_OK(run_in_turn(views, made, timing, deadline, cancel));
  }
  TensorSet outputs;
  for (const int source : output_sources_) {
    if (source >= 0) {
      const std::size_t output = static_cast<std::size_t>(source);
      outputs.specs.push_back(made[output].spec);
      outputs.bytes.push_back(made[output].bytes);
      outputs.owners.push_back(made[output].owner ? made[output].owner : loans[output]);
      outputs.encodings.push_back(wire::Encoding::kRaw);
    } else {
      const std::size_t input = static_cast<std::size_t>(-1 - source);
      outputs.specs.push_back(inputs.specs[input]);
      outputs.bytes.push_back(inputs.bytes[input]);
      outputs.owners.push_back(inputs.owners[input]);
      outputs.encodings.push_back(inputs.encodings[input]);
    }
  }
  const auto is_raw = [](wire::Encoding encoding) { return encoding == wire::Encoding::kRaw; };
  if (!program_.codec_out.is_raw() && std::any_of(outputs.encodings.begin(), outputs.encodings.end(), is_raw))
    TIDELINE_CHECK_OK(
        timed([&] { return encode_tensors(program_.codec_out, buffers, outputs); }, timing.encode_ns, deadline, cancel));
  return outputs;
}

}  // namespace tideline
