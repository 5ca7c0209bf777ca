// Stage: what one node does for one plan: run a segment or pass tensors on, then call the next node and bring its result back.
//
// Installed once, run by any number of connections; the engine is entered one request at a time. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "client/peer.h"
#include "engine/engine.h"
#include "node/compute_slot.h"
#include "node/next_node.h"
#include "node/segments.h"
#include "wire/messages.h"

namespace tideline {

// Memory of one connection that is used again for each request, so that large tensors do not fault their pages in each time.
class RequestBuffers {
 public:
  // A buffer of exactly `bytes` for slot `slot`; valid until the slot is asked for again.
  std::span<std::byte> get(std::size_t slot, std::size_t bytes) {
    if (slot >= buffers_.size()) buffers_.resize(slot + 1);
    Buffer& buffer = buffers_[slot];
    // Shrink only when far too large: one huge request must not hold its memory for ever.
    if (buffer.size() < bytes || buffer.size() > 4 * bytes + (1u << 20)) buffer = Buffer(bytes);
    return buffer.span().first(bytes);
  }
  // Gives back those that are larger; what get() gave of them is no longer valid.
  void release_above(std::size_t bytes) {
    for (Buffer& buffer : buffers_)
      if (buffer.size() > bytes) buffer = Buffer();
  }

 private:
  std::vector<Buffer> buffers_;
};

// The tensors of one request or result: what arrived, with the bytes in RequestBuffers or lent by the engine.
struct TensorSet {
  std::vector<TensorSpec> specs;
  std::vector<std::span<const std::byte>> bytes;
  std::vector<std::shared_ptr<void>> owners;
  std::uint64_t total_bytes() const;
};

struct StageReply {
  TensorSet tensors;                       // in the order of the last stage's outputs
  std::vector<wire::StageTiming> timings;  // this stage's own is last
};

struct StageOptions {
  std::string node_name;
  double slowdown = 1;
  std::size_t waiting_max = 64;
  std::uint64_t result_bytes_max = 0;
};

class Stage {
 public:
  // `segment` is null for a stage that passes on; `next` is null at the last stage. kInvalidArgument when the segment's tensors
  // are not those of the installation.
  static Result<std::shared_ptr<Stage>> make(const wire::Install& install, std::shared_ptr<LoadedSegment> segment,
                                             std::shared_ptr<NextNode> next, ComputeSlot& slot, StageOptions options);

  const wire::Install& install() const { return install_; }
  // Whether a tensor of a RUN is one of the inputs, by type.
  Status accepts(const wire::WireTensor& tensor) const;
  // Runs one request. `timing` comes with what the receiving end measured; the rest is filled in.
  Result<StageReply> run(const TensorSet& inputs, wire::StageTiming timing, SteadyTime received_at, RequestBuffers& buffers,
                         SteadyTime deadline, const CancelToken& cancel);

 private:
  Stage(const wire::Install& install, std::shared_ptr<LoadedSegment> segment, std::shared_ptr<NextNode> next, ComputeSlot& slot,
        StageOptions options)
      : install_(install), segment_(std::move(segment)), next_(std::move(next)), slot_(slot), options_(std::move(options)) {}
  Result<TensorSet> compute(const TensorSet& inputs, wire::StageTiming& timing, RequestBuffers& buffers, SteadyTime deadline,
                            const CancelToken& cancel);
  Result<StageReply> call_next(const TensorSet& outputs, wire::StageTiming& timing, SteadyTime received_at,
                               RequestBuffers& buffers, SteadyTime deadline, const CancelToken& cancel);

  wire::Install install_;
  std::shared_ptr<LoadedSegment> segment_;
  std::shared_ptr<NextNode> next_;
  ComputeSlot& slot_;
  StageOptions options_;
  // Positions: for each input of the session, which of install_.inputs; for each of install_.outputs, a session output (0 or
  // more) or an input that passes by (-1 - index).
  std::vector<std::size_t> session_inputs_;
  std::vector<int> output_sources_;
};

}  // namespace tideline
