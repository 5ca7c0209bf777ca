// Stage: what one node does at one position of a plan's route: run a segment or pass tensors on, and then answer, or call the
// next node; in between it takes its tensors out of their codec, and puts them into the next one. Installed once, run by any
// number of requests; the engine is entered one request at a time. Thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/engine.h"
#include "node/buffer_pool.h"
#include "node/compute_slot.h"
#include "node/segments.h"
#include "node/shares.h"
#include "wire/messages.h"

namespace tideline {

// As the wire carries times; a negative one is none.
inline std::uint64_t nanoseconds(std::chrono::steady_clock::duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, Nanos(time).count()));
}

class NextNode;

// The tensors of one request or result, with whatever keeps their bytes: loans of the pool, or the engine's own memory.
struct TensorSet {
  std::vector<TensorSpec> specs;
  std::vector<std::span<const std::byte>> bytes;
  std::vector<std::shared_ptr<void>> owners;  // one per tensor; may be null
  std::vector<wire::Encoding> encodings;      // one per tensor
  std::uint64_t total_bytes() const;
};

struct StageOptions {
  std::string node_name;
  std::size_t waiting_max = 64;
  double slowdown = 1;  // of coding; the engine has its own
  // What the stage's session has of the node; null: none. `shares` says what it has then, and outlives the stage.
  std::shared_ptr<RateShare> engine_share;
  std::shared_ptr<LinkShare> link_share;
  ShareBook* shares = nullptr;
};

class Stage {
 public:
  // `segment` is null for a stage that passes on; `next` unless it calls. kInvalidArgument when the segment's tensors are not
  // those of the installation.
  static Result<std::shared_ptr<Stage>> make(const wire::ProgramStage& program, std::shared_ptr<LoadedSegment> segment,
                                             std::shared_ptr<NextNode> next, ComputeSlot& slot, StageOptions options);

  const std::vector<std::string>& inputs() const { return program_.inputs; }
  bool fires_on_answer() const { return program_.on_answer; }
  std::uint32_t next_stage() const { return program_.next; }
  NextNode* next() const { return next_.get(); }
  bool computes() const { return segment_ != nullptr; }
  // `now` when a call of so many bytes may leave; otherwise when to ask again.
  Leave leave(SteadyTime now, std::uint64_t bytes) const;
  // The stage here that goes on with the answer to this one's call; null: the answer is handed on as it is.
  const std::shared_ptr<Stage>& on_answer() const { return on_answer_; }
  // Before anybody runs it.
  void set_on_answer(std::shared_ptr<Stage> stage) { on_answer_ = std::move(stage); }

  std::uint32_t id() const { return program_.id; }
  // The stage of this place whose call it waits for; of meaning when it fires on an answer.
  std::uint32_t after() const { return program_.after; }

  // Whether a tensor that arrives is one of the inputs, in the encoding in which they come.
  Status accepts(const wire::WireTensor& tensor) const;
  wire::StageTiming new_timing(const TensorSet& inputs) const;
  // The outputs, as they leave; fills in queue_ns, compute_ns and the times of coding. The inputs are decoded where they are.
  Result<TensorSet> compute(TensorSet& inputs, wire::StageTiming& timing, BufferPool& buffers, SteadyTime deadline,
                            const CancelToken& cancel);

 private:
  Stage(const wire::ProgramStage& program, std::shared_ptr<LoadedSegment> segment, std::shared_ptr<NextNode> next,
        ComputeSlot& slot, StageOptions options)
      : program_(program), segment_(std::move(segment)), next_(std::move(next)), slot_(slot), options_(std::move(options)) {}

  // An engine run in its turn.
  Status run_in_turn(const std::vector<TensorView>& inputs, std::vector<RunOutput>& outputs, wire::StageTiming& timing,
                     SteadyTime deadline, const CancelToken& cancel);
  // Runs it, as slowly as the node is, and adds its time.
  template <class Code>
  Status timed(Code code, std::uint64_t& ns, SteadyTime deadline, const CancelToken& cancel) const;

  const wire::ProgramStage program_;
  const std::shared_ptr<LoadedSegment> segment_;
  const std::shared_ptr<NextNode> next_;
  ComputeSlot& slot_;
  const StageOptions options_;
  std::shared_ptr<Stage> on_answer_;
  // Positions: for each input of the session, which of the stage's inputs; for each of its outputs, a session output (0 or more)
  // or an input that passes by (-1 - index).
  std::vector<std::size_t> session_inputs_;
  std::vector<int> output_sources_;
  std::atomic<double> last_run_ns_{0};  // what the next run is taken to need
  std::vector<bool> to_decode_;         // inputs that are computed on, or leave in another codec than they came in
};

}  // namespace tideline
