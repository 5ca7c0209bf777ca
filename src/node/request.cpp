#include "node/request.h"

#include <fmt/format.h>

#include "base/log.h"
#include "node/coding.h"
#include "node/core.h"
#include "node/next_node.h"
#include "node/upstream.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// RESULT or ERROR. The request has ended for its caller before the first byte leaves, so that its id and its room are free when
// the answer arrives.
class OutgoingAnswer final : public Outgoing {
 public:
  OutgoingAnswer(std::shared_ptr<Upstream> upstream, std::uint64_t id) : upstream_(std::move(upstream)), id_(id) {}
  ~OutgoingAnswer() override {
    if (!counts) return;
    leave();
    upstream_->answered();
  }

  bool counts = false;  // the request's one answer, from here on

  wire::RunResult result;
  TensorSet tensors;
  std::optional<wire::ErrorMessage> error;

  Status write(Channel& channel) override {
    leave();
    Status sent = error ? channel.send(id_, *error, deadline_in(kSendTimeout))
                        : channel.send(id_, result, tensors.bytes, deadline_in(kSendTimeout));
    // What may not be sent was not: the caller hears why.
    if (!sent && sent.error().code == ErrorCode::kInvalidArgument && !error) {
      error = wire::to_message(sent.error(), upstream_->core().options.name);
      sent = channel.send(id_, *error, deadline_in(kSendTimeout));
    }
    ++(error ? upstream_->core().requests_failed : upstream_->core().requests_done);
    return sent;
  }
  void dropped(const Error&) override {}

 private:
  void leave() {
    if (left_) return;
    left_ = true;
    upstream_->end(id_);
  }

  const std::shared_ptr<Upstream> upstream_;
  const std::uint64_t id_;
  bool left_ = false;
};

}  // namespace

Result<std::unique_ptr<Request>> Request::begin(std::shared_ptr<Upstream> from, std::uint64_t id, std::uint64_t epoch,
                                                std::uint64_t bytes, SteadyTime arrived, SteadyTime deadline) {
  std::unique_ptr<Request> request(new Request(std::move(from), id, epoch, arrived, deadline));
  TIDELINE_TRY(request->cancel, request->from_->begin(id, bytes));
  request->answered_ = false;
  return request;
}

Request::~Request() {
  if (answered_) return;
  try {
    auto outgoing = std::make_unique<OutgoingAnswer>(from_, id_);
    outgoing->error = wire::to_message({ErrorCode::kOverloaded, "[node] out of memory or threads; try again later"},
                                       from_->core().options.name);
    outgoing->counts = true;
    from_->outbox().post(std::move(outgoing));
  } catch (const std::exception&) {
    // Not even memory to say so: the connection's end is the answer to everything on it.
    from_->end(id_);
    from_->answered();
    from_->shut_down();
  }
}

std::optional<Error> Request::over(SteadyTime now) const {
  if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[node] the caller gave up"};
  if (now > deadline) return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed while the request waited here"};
  return std::nullopt;
}

void Request::answer(std::unique_ptr<Request> request) {
  auto outgoing = std::make_unique<OutgoingAnswer>(request->from_, request->id_);
  outgoing->result.epoch = request->epoch_;
  if (auto tensors = announce(request->tensors))
    outgoing->result.tensors = std::move(*tensors);
  else
    outgoing->error = wire::to_message(tensors.error(), request->from_->core().options.name);
  if (!request->timings.empty()) request->timings.back().total_ns = nanoseconds(Clock::now() - request->arrived);
  outgoing->result.stages = std::move(request->timings);
  outgoing->tensors = std::move(request->tensors);
  request->answered_ = outgoing->counts = true;
  Upstream& upstream = *request->from_;
  upstream.outbox().post(std::move(outgoing));
}

void Request::fail(std::unique_ptr<Request> request, const Error& error) {
  wire::ErrorMessage message = wire::to_message(error, request->from_->core().options.name);
  fail(std::move(request), std::move(message));
}

void Request::fail(std::unique_ptr<Request> request, wire::ErrorMessage message) {
  auto outgoing = std::make_unique<OutgoingAnswer>(request->from_, request->id_);
  outgoing->error = std::move(message);
  request->answered_ = outgoing->counts = true;
  request->from_->outbox().post(std::move(outgoing));
}

void execute(std::unique_ptr<Request> request) {
  try {
    NodeCore& core = request->from()->core();
    if (auto over = request->over(Clock::now())) return Request::fail(std::move(request), *over);
    Stage& stage = *request->stage;
    auto outputs = stage.compute(request->tensors, request->timing, core.buffers, request->deadline, request->cancel);
    if (!outputs) return Request::fail(std::move(request), outputs.error());
    request->tensors = std::move(*outputs);
    request->timing.output_bytes = request->tensors.total_bytes();
    if (stage.next() != nullptr) return stage.next()->call(std::move(request));
    request->timing.total_ns = nanoseconds(Clock::now() - request->fired);
    // A stage that only hands an answer on is no stage to report; what its codecs took is its call's.
    if (stage.computes() || request->timings.empty())
      request->timings.insert(request->timings.begin(), std::move(request->timing));
    else if (stage.fires_on_answer())
      for (wire::StageTiming& call : request->timings) {
        if (call.node != request->timing.node || call.stage != stage.after()) continue;
        call.decode_ns += request->timing.decode_ns;
        call.encode_ns += request->timing.encode_ns;
      }
    Request::answer(std::move(request));
  } catch (const std::exception& error) {
    // The request answers by itself as it goes.
    log(LogLevel::kError, fmt::format("a request failed: {}", error.what()));
  }
}

}  // namespace tideline
