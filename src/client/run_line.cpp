#include "client/run_line.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// How long a cancelled call waits for the peer's word.
constexpr std::chrono::milliseconds kAnswerGrace{1000};
constexpr std::chrono::milliseconds kFresh{20};

}  // namespace

RunLine::RunLine(std::unique_ptr<Channel> channel, bool flow, std::string name)
    : channel_(std::move(channel)), flow_(flow), name_(std::move(name)) {
  if (flow_) return;
  credit_requests_ = 1;
  credit_bytes_ = granted_bytes_ = limits::kFramePayloadBytesMax;
}

bool RunLine::ended() const {
  const std::lock_guard lock(mutex_);
  // The question costs a system call: only when there was time to end unnoticed.
  return ended_.has_value() || (Clock::now() - used_ > kFresh && channel_->connection().ended());
}

bool RunLine::has_room(std::uint64_t bytes) const {
  return credit_requests_ > 0 && (bytes <= credit_bytes_ || credit_bytes_ == granted_bytes_);
}

void RunLine::give_back(std::uint64_t bytes) {
  credit_requests_ = std::min<std::uint64_t>(credit_requests_ + 1, limits::kCreditRequestsMax);
  credit_bytes_ = std::min(credit_bytes_ + std::min(bytes, granted_bytes_), granted_bytes_);
}

template <class Ready>
void RunLine::serve(std::unique_lock<std::mutex>& lock, SteadyTime until, Ready ready) {
  while (!ready() && !ended_) {
    if (reading_) {
      if (changed_.wait_until(lock, until) == std::cv_status::timeout) return;
      continue;
    }
    reading_ = true;
    lock.unlock();
    const bool in_time = read_one(until);
    lock.lock();
    reading_ = false;
    changed_.notify_all();
    // A peer that sends without an end must not keep us beyond the time either.
    if (!in_time || (!ready() && Clock::now() >= until)) return;
  }
}

bool RunLine::read_one(SteadyTime deadline) {
  try {
    auto frame = channel_->receive(deadline);
    if (!frame && frame.error().code == ErrorCode::kDeadlineExceeded) return false;
    const Status done = frame ? dispatch(*frame) : Status(frame.error());
    if (!done) end(done.error());
  } catch (const std::exception&) {
    end(Error{ErrorCode::kOverloaded, "[peer] out of memory while an answer was read"});
  }
  return true;
}

Status RunLine::dispatch(const Frame& frame) {
  const SteadyTime arrived = Clock::now();
  const std::uint64_t id = frame.header.request_id;
  const auto strange = [&](std::string_view what) {
    return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' {}", name_, what)};
  };
  switch (frame.header.type) {
    case wire::FrameType::kGoodbye: return channel_->skip_payload(frame, deadline_in(kAnswerGrace));
    case wire::FrameType::kCredit: {
      TIDELINE_TRY(const auto credit, decode<wire::Credit>(frame));
      const std::lock_guard lock(mutex_);
      if (id == 0) {
        const std::uint64_t bytes = std::min(credit.bytes, limits::kCreditBytesMax);
        credit_requests_ = std::min<std::uint64_t>(credit_requests_ + credit.requests, limits::kCreditRequestsMax);
        credit_bytes_ = std::min(credit_bytes_ + bytes, limits::kCreditBytesMax);
        granted_bytes_ = std::min(granted_bytes_ + bytes, limits::kCreditBytesMax);
      } else if (const auto found = calls_.find(id); found != calls_.end()) {
        if (!std::exchange(found->second->credited, true)) give_back(found->second->bytes);
      } else if (const auto gone = abandoned_.find(id); gone != abandoned_.end()) {
        give_back(gone->second);
        abandoned_.erase(gone);
      }
      return {};
    }
    case wire::FrameType::kResult:
    case wire::FrameType::kError: break;
    default: return strange(fmt::format("answered with {}", wire::to_string(frame.header.type)));
  }
  std::shared_ptr<Call> call;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = calls_.find(id); found != calls_.end()) {
      call = found->second;
      calls_.erase(found);
      call->receiving = call->answered = true;
      if (!call->credited) give_back(call->bytes);
    } else if (const auto gone = abandoned_.find(id); gone != abandoned_.end()) {
      give_back(gone->second);
      abandoned_.erase(gone);
    }
  }
  if (!call) {
    if (frame.header.type == wire::FrameType::kError && id == 0) {
      // The last word about the connection.
      const auto reason = decode<wire::RunResult>(frame);
      return reason ? strange("ended the connection") : reason.error();
    }
    if (id == 0) return strange("answered a request that was not asked");
    // An answer that comes too late.
    return channel_->skip_payload(frame, deadline_in(limits::kRequestDeadlineDefault));
  }
  Status connection;
  auto received = [&]() -> Result<wire::RunResult> {
    auto result = decode<wire::RunResult>(frame);
    if (result && result->epoch != call->epoch)
      result = strange(fmt::format("answered for plan {} instead of {}", result->epoch, call->epoch));
    if (!result) {
      if (channel_->owes_payload()) connection = channel_->skip_payload(frame, call->deadline);
      return result;
    }
    const Status tensors = receive_tensors(*channel_, frame, result->tensors, call->buffer_for, call->deadline);
    if (tensors) return result;
    // A refusal leaves the stream in step; otherwise the channel has shut the connection down.
    if (tensors.error().code == ErrorCode::kDisconnected || tensors.error().code == ErrorCode::kDeadlineExceeded)
      connection = tensors.error();
    return tensors.error();
  }();
  const SteadyTime now = Clock::now();
  const std::lock_guard lock(mutex_);
  // Sending may be over only now, by this thread's view.
  const SteadyTime sent = call->sent == SteadyTime{} ? arrived : std::min(call->sent, arrived);
  call->timing = {sent - call->began, arrived - sent, now - arrived, now - call->began};
  call->result = std::move(received);
  call->receiving = false;
  changed_.notify_all();
  return connection;
}

void RunLine::end(const Error& reason) {
  channel_->shutdown();
  const std::lock_guard lock(mutex_);
  if (!ended_) ended_ = reason;
  for (const auto& [id, call] : calls_) call->result = *ended_;
  calls_.clear();
  changed_.notify_all();
}

Status RunLine::send(const std::shared_ptr<Call>& call, const wire::Run& run, ConstPieces payload) {
  call->bytes = 0;
  for (const auto& piece : payload) call->bytes += piece.size();
  call->began = Clock::now();
  {
    std::unique_lock lock(mutex_);
    while (!has_room(call->bytes) && !ended_ && !call->cancel.cancelled() && Clock::now() < call->deadline)
      serve(lock, std::min(call->deadline, deadline_in(kAnswerGrace / 5)), [&] { return has_room(call->bytes); });
    if (ended_) return *ended_;
    if (call->cancel.cancelled()) return Error{ErrorCode::kCancelled, "[peer] the caller gave up"};
    if (!has_room(call->bytes))
      return Error{ErrorCode::kDeadlineExceeded, "the node had no room for the request before the deadline"};
    used_ = call->began;
    --credit_requests_;
    credit_bytes_ -= std::min(call->bytes, credit_bytes_);
    calls_[call->id] = call;
  }
  Status sent;
  {
    const std::lock_guard lock(send_mutex_);
    sent = channel_->send(call->id, run, payload, call->deadline);
  }
  const std::lock_guard lock(mutex_);
  call->sent = Clock::now();
  if (sent || call->result || call->receiving) return {};  // an early answer is the answer
  if (calls_.erase(call->id) > 0 && !call->credited) give_back(call->bytes);
  return sent;
}

bool RunLine::abandon(const std::shared_ptr<Call>& call) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !call->receiving; });
  if (calls_.erase(call->id) == 0) return false;
  if (!call->credited) abandoned_[call->id] = call->bytes;
  if (abandoned_.size() > limits::kAbandonedCallsMax) abandoned_.erase(abandoned_.begin());
  return true;
}

Result<wire::RunResult> RunLine::wait(const std::shared_ptr<Call>& call) {
  std::unique_lock lock(mutex_);
  SteadyTime until = call->deadline;
  bool given_up = false;
  while (!call->result) {
    if (!given_up && call->cancel.cancelled()) {
      given_up = true;
      until = std::min(until, deadline_in(kAnswerGrace));
    }
    // Short waits, so that a cancelled call ends after its grace even when the peer says nothing.
    serve(lock, std::min(until, deadline_in(kAnswerGrace)), [&] { return call->result.has_value(); });
    if (call->result || call->receiving) {
      changed_.wait(lock, [&] { return !call->receiving; });
      continue;
    }
    if (ended_) {
      call->result = *ended_;
    } else if (Clock::now() >= until) {
      calls_.erase(call->id);
      if (!call->credited) abandoned_[call->id] = call->bytes;
      if (abandoned_.size() > limits::kAbandonedCallsMax) abandoned_.erase(abandoned_.begin());
      call->result = call->cancel.cancelled() ? Error{ErrorCode::kCancelled, "[peer] the caller gave up"}
                                              : Error{ErrorCode::kDeadlineExceeded, "it did not answer before the deadline"};
    }
  }
  return std::move(*call->result);
}

}  // namespace tideline
