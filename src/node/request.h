// Request: one RUN at this node, from its header to its answer.
//
// Who owns what: a Request is moved from owner to owner and worked on by that owner alone: the thread that reads it, the queue
// and the thread of its Upstream, an Outbox that sends it on, the table of a CallLine while the next node has it, and again
// whoever took it out of there. The last owner answers it, once; one that is destroyed unanswered answers with an error by
// itself.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/cancel.h"
#include "node/stage.h"
#include "wire/messages.h"

namespace tideline {

class Upstream;

class Request {
 public:
  // A RUN of so many bytes has come. What Upstream::begin says.
  static Result<std::unique_ptr<Request>> begin(std::shared_ptr<Upstream> from, std::uint64_t id, std::uint64_t epoch,
                                                std::uint64_t bytes, SteadyTime arrived, SteadyTime deadline);
  ~Request();
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  const std::shared_ptr<Upstream>& from() const { return from_; }
  std::uint64_t id() const { return id_; }
  std::uint64_t epoch() const { return epoch_; }
  // kCancelled or kDeadlineExceeded when nobody waits for it any more.
  std::optional<Error> over(SteadyTime now) const;

  // The terminal answers; each takes the request. `tensors` is the result.
  static void answer(std::unique_ptr<Request> request);
  static void fail(std::unique_ptr<Request> request, const Error& error);
  // As another node has said it.
  static void fail(std::unique_ptr<Request> request, wire::ErrorMessage message);

 private:
  Request(std::shared_ptr<Upstream> from, std::uint64_t id, std::uint64_t epoch, SteadyTime came, SteadyTime until)
      : from_(std::move(from)), id_(id), epoch_(epoch), arrived(came), deadline(until) {}

  const std::shared_ptr<Upstream> from_;
  const std::uint64_t id_;
  const std::uint64_t epoch_;
  bool answered_ = true;  // until it has begun

 public:
  // Of whoever owns it:
  const SteadyTime arrived;
  const SteadyTime deadline;
  CancelToken cancel;
  std::shared_ptr<Stage> stage;  // the one that is to run, or has run
  TensorSet tensors;             // its inputs, then its outputs
  SteadyTime fired;              // when the header of its inputs came
  wire::StageTiming timing;      // of this stage
  // Of the stages before it, the latest first; the last one is this place's first, and its total becomes the whole place's.
  std::vector<wire::StageTiming> timings;
};

// Computes the request's stage, then answers or calls on: on this thread, as far as it can. Never throws.
void execute(std::unique_ptr<Request> request);

}  // namespace tideline
