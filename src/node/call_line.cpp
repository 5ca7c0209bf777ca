#include "node/call_line.h"

#include <algorithm>
#include <thread>

#include <sched.h>

#include <fmt/format.h>

#include "base/log.h"
#include "node/coding.h"
#include "node/core.h"
#include "node/next_node.h"
#include "node/upstream.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTransferTimeout{30'000};
// For the next node's own word about a deadline or a cancellation to arrive.
constexpr std::chrono::milliseconds kDeadlineGrace{200};
constexpr std::chrono::milliseconds kCancelGrace{1000};
// What waking the reader costs, about.
constexpr std::chrono::microseconds kLinger{50};
// For which a piece of a message beyond its share lets others go first.
constexpr std::chrono::seconds kPieceWaitMost{1};

}  // namespace

// A RUN to the next node.
class OutgoingCall final : public Outgoing {
 public:
  OutgoingCall(CallLine& line, std::uint64_t id, const Request& request, TensorSet tensors)
      : line_(line),
        id_(id),
        upstream_(request.from()),
        upstream_id_(request.id()),
        deadline_(request.deadline),
        cancel_(request.cancel),
        stage_(request.stage),
        tensors_(std::move(tensors)) {}

  wire::Run run;

  Status write(Channel& channel) override {
    const SteadyTime began = Clock::now();
    if (const auto reason = over(began)) {
      drop(*reason, true);
      return {};
    }
    run.deadline_us = static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::microseconds>(deadline_ - began).count());
    Status sent;
    if (in_pieces_) {
      const Pace pace{.bytes = in_pieces_->piece_bytes(), .before = [&](std::size_t bytes) { wait_for_room(bytes); }};
      sent = channel.send(id_, run, tensors_.bytes, deadline_in(kTransferTimeout), &pace);
    } else {
      sent = channel.send(id_, run, tensors_.bytes, deadline_in(kTransferTimeout));
    }
    if (!sent && sent.error().code == ErrorCode::kInvalidArgument) {  // nothing has left
      drop(sent.error(), true);
      return {};
    }
    if (sent) line_.has_sent(id_, began);
    tensors_ = {};
    upstream_->passed_on(upstream_id_);
    return sent;
  }
  void dropped(const Error& error) override { drop(error, false); }
  std::optional<Error> over(SteadyTime now) const override {
    if (cancel_.cancelled()) return Error{ErrorCode::kCancelled, "[node] the caller gave up"};
    if (now >= deadline_)
      return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed before the next node was called"};
    return std::nullopt;
  }
  SteadyTime hold_until(SteadyTime now) override {
    if (over(now)) return now;
    Leave leave = stage_->leave(now, tensors_.total_bytes());
    in_pieces_ = std::move(leave.in_pieces);
    return leave.at;
  }
  std::optional<std::uint64_t> bytes_of_credit() const override { return tensors_.total_bytes(); }

 private:
  // Until nothing is under way on the link, but not for ever: what has begun comes to its end.
  void wait_for_room(std::size_t bytes) const {
    const SteadyTime latest = Clock::now() + kPieceWaitMost;
    for (SteadyTime now = Clock::now(); !in_pieces_->add_if_free(now, static_cast<double>(bytes)); now = Clock::now()) {
      if (now >= latest) return in_pieces_->add(now, static_cast<double>(bytes));
      std::this_thread::sleep_until(std::min(in_pieces_->free_at(), latest));
    }
  }

  void drop(const Error& error, bool took_credit) {
    auto entry = line_.take(id_);
    if (!entry) return;
    if (took_credit) line_.outbox_.give_back(entry->bytes);
    tensors_ = {};
    Request::fail(std::move(entry->request), line_.peer_->explain(error));
  }

  CallLine& line_;
  const std::uint64_t id_;
  const std::shared_ptr<Upstream> upstream_;
  const std::uint64_t upstream_id_;
  const SteadyTime deadline_;
  const CancelToken cancel_;
  const std::shared_ptr<Stage> stage_;   // that calls
  std::shared_ptr<LinkLoad> in_pieces_;  // when it leaves beyond its share
  TensorSet tensors_;
};

CallLine::CallLine(NodeCore& core, std::shared_ptr<Peer> peer, Peer::Line line)
    : core_(core), peer_(std::move(peer)), line_(std::move(line)), outbox_(*line_.channel, true), awaits_credit_(line_.flow) {
  // A peer that grants nothing takes one request at a time, whatever its size.
  if (!line_.flow) outbox_.grant(1, limits::kFramePayloadBytesMax);
  reader_ = std::thread([this] { read(); });
}

CallLine::~CallLine() {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = Error{ErrorCode::kDisconnected, "the connection has ended"};
    changed_.notify_all();
  }
  shut_down();
  reader_.join();
  outbox_.close();
  peer_->forget(*line_.channel);
}

bool CallLine::ended() const {
  const std::lock_guard lock(mutex_);
  // Nobody reads while nothing is out: so it is asked.
  return ended_ || (calls_.empty() && line_.channel->connection().ended());
}

void CallLine::call(std::unique_ptr<Request> request) {
  Request& r = *request;
  TensorSet tensors = std::move(r.tensors);
  r.tensors = {};
  Entry entry;
  entry.bytes = tensors.total_bytes();
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
  }
  auto announced = announce(tensors);
  if (!announced) return Request::fail(std::move(request), announced.error());
  auto outgoing = std::make_unique<OutgoingCall>(*this, id, r, std::move(tensors));
  outgoing->run.epoch = r.epoch();
  outgoing->run.stage = r.stage->next_stage();
  outgoing->run.tensors = std::move(*announced);
  // The token may fire after this line is gone: what it touches is the peer, by a reference that does not keep it.
  entry.watch.reset(new CancelToken::Watch(r.cancel.watch([peer = std::weak_ptr<Peer>(peer_), id] {
    if (const auto alive = peer.lock()) alive->send_cancel(id);
  })));
  entry.request = std::move(request);
  bool ended = false;
  {
    const std::lock_guard lock(mutex_);
    ended = ended_;
    if (!ended) {
      peer_->count_bytes(static_cast<std::int64_t>(entry.bytes));
      calls_.emplace(id, std::move(entry));
    }
  }
  if (ended)
    return Request::fail(std::move(entry.request), peer_->explain({ErrorCode::kDisconnected, "the connection has ended"}));
  outbox_.post(std::move(outgoing));
  linger();
}

void CallLine::linger() {
  {
    const std::lock_guard lock(mutex_);
    if (reading_ || broken_) return;
    if (calls_.size() != 1 || calls_.begin()->second.sent == SteadyTime{}) return changed_.notify_all();
    reading_ = true;
  }
  const SteadyTime until = Clock::now() + kLinger;
  Status read;
  bool waiting = true;
  while (read && waiting && Clock::now() < until) {
    read = read_one(Clock::now(), false);
    ::sched_yield();
    const std::lock_guard lock(mutex_);
    waiting = !calls_.empty();
  }
  const std::lock_guard lock(mutex_);
  reading_ = false;
  if (!read) broken_ = read.error();
  changed_.notify_all();
}

std::optional<CallLine::Entry> CallLine::take(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end()) return std::nullopt;
  Entry entry = std::move(found->second);
  calls_.erase(found);
  peer_->count_bytes(-static_cast<std::int64_t>(entry.bytes));
  return entry;
}

void CallLine::has_sent(std::uint64_t id, SteadyTime began) {
  const SteadyTime now = Clock::now();
  const std::lock_guard lock(mutex_);
  if (const auto found = calls_.find(id); found != calls_.end()) {
    found->second.began = began;
    found->second.sent = now;
  }
}

void CallLine::expire(SteadyTime now) {
  outbox_.expire(now);
  std::vector<std::pair<std::uint64_t, Error>> over;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [id, entry] : calls_) {
      if (entry.request->cancel.cancelled()) {
        if (!entry.cancelled) entry.cancelled = now;
        if (now - *entry.cancelled > kCancelGrace)
          over.emplace_back(id, Error{ErrorCode::kCancelled, "[node] the caller gave up"});
      } else if (now > entry.request->deadline + kDeadlineGrace) {
        over.emplace_back(id,
                          Error{ErrorCode::kDeadlineExceeded, fmt::format("[node] the next node '{}' did not answer before the "
                                                                          "deadline",
                                                                          peer_->name())});
      }
    }
  }
  for (const auto& [id, error] : over) {
    // Its credit comes back when the next node lets go of it.
    if (auto entry = take(id)) {
      abandon(id, *entry);
      Request::fail(std::move(entry->request), error);
    }
  }
}

void CallLine::abandon(std::uint64_t id, const Entry& entry) {
  if (entry.credited) return;
  const std::lock_guard lock(mutex_);
  abandoned_[id] = entry.bytes;
  if (abandoned_.size() > limits::kNodeRequestsPerCallerMax) abandoned_.erase(abandoned_.begin());
}

std::optional<std::uint64_t> CallLine::forget(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = abandoned_.find(id);
  if (found == abandoned_.end()) return std::nullopt;
  const std::uint64_t bytes = found->second;
  abandoned_.erase(found);
  return bytes;
}

void CallLine::end(const Error& reason) {
  std::map<std::uint64_t, Entry> left;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    left.swap(calls_);
    for (const auto& [id, entry] : left) peer_->count_bytes(-static_cast<std::int64_t>(entry.bytes));
  }
  for (auto& [id, entry] : left) Request::fail(std::move(entry.request), reason);
}

Status CallLine::read_one(SteadyTime deadline, bool reader) {
  try {
    auto frame = line_.channel->receive(deadline);
    if (frame) return handle(*frame, reader);
    return frame.error().code == ErrorCode::kDeadlineExceeded ? Status() : Status(frame.error());
  } catch (const std::exception& error) {
    log(LogLevel::kError, fmt::format("the connection to next node '{}' ended: {}", peer_->name(), error.what()));
    return Error{ErrorCode::kDisconnected, "the connection has ended"};
  }
}

void CallLine::read() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return !reading_ && (broken_ || awaits_credit_ || !calls_.empty()); });
    if (broken_) break;
    reading_ = true;
    lock.unlock();
    const Status read = read_one(kNoDeadline, true);
    lock.lock();
    reading_ = false;
    if (!read && !broken_) broken_ = read.error();
  }
  const Error reason =
      broken_->code == ErrorCode::kCorrupt ? *broken_ : Error{ErrorCode::kDisconnected, "the connection has ended"};
  lock.unlock();
  shut_down();
  end(peer_->explain(reason));
}

Status CallLine::handle(const Frame& frame, bool reader) {
  const SteadyTime arrived = Clock::now();
  const SteadyTime deadline = arrived + kTransferTimeout;
  Channel& channel = *line_.channel;
  switch (frame.header.type) {
    case wire::FrameType::kCredit: return handle_credit(frame);
    case wire::FrameType::kGoodbye: return channel.skip_payload(frame, deadline);
    case wire::FrameType::kResult:
    case wire::FrameType::kError: break;
    default:
      return Error{ErrorCode::kCorrupt,
                   fmt::format("[node] node '{}' answered with {}", peer_->name(), wire::to_string(frame.header.type))};
  }
  auto entry = take(frame.header.request_id);
  if (!entry && frame.header.request_id == 0) return Error{ErrorCode::kDisconnected, "the next node ended the connection"};
  if (!entry) {
    // Nobody waits for it any more.
    if (const auto bytes = forget(frame.header.request_id)) outbox_.give_back(*bytes);
    return channel.skip_payload(frame, deadline);
  }
  if (!entry->credited) outbox_.give_back(entry->bytes);
  if (frame.header.type == wire::FrameType::kResult) return handle_result(frame, std::move(*entry), arrived, reader);
  auto error = wire::decode<wire::ErrorMessage>(frame.meta, frame.header.payload_bytes);
  if (!error) {
    Request::fail(std::move(entry->request), error.error());
    return error.error();
  }
  Request::fail(std::move(entry->request), std::move(*error));
  return {};
}

Status CallLine::handle_credit(const Frame& frame) {
  TIDELINE_TRY(const auto credit, decode<wire::Credit>(frame));
  const std::uint64_t id = frame.header.request_id;
  if (id == 0) {
    outbox_.grant(credit.requests, credit.bytes);
    const std::lock_guard lock(mutex_);
    awaits_credit_ = false;
    return {};
  }
  std::optional<std::uint64_t> bytes = forget(id);
  if (!bytes) {
    const std::lock_guard lock(mutex_);
    if (const auto found = calls_.find(id); found != calls_.end() && !std::exchange(found->second.credited, true))
      bytes = found->second.bytes;
  }
  if (bytes) outbox_.give_back(*bytes);
  return {};
}

Status CallLine::handle_result(const Frame& frame, Entry entry, SteadyTime arrived, bool reader) {
  std::unique_ptr<Request> request = std::move(entry.request);
  Channel& channel = *line_.channel;
  const SteadyTime transfer_deadline = arrived + kTransferTimeout;
  // A request that cannot go on is answered, and its payload forgotten.
  const auto give_up = [&](const Error& error) {
    Request::fail(std::move(request), error);
    return channel.owes_payload() ? channel.skip_payload(frame, transfer_deadline) : Status();
  };
  auto result = decode<wire::RunResult>(frame);
  if (!result) return give_up(result.error());
  if (result->epoch != request->epoch()) return give_up({ErrorCode::kCorrupt, "[node] the next node answered for another plan"});
  if (result->stages.size() + request->timings.size() >= limits::kPlanHopsMax)
    return give_up({ErrorCode::kCorrupt, "[node] the next node reports too many stages"});
  const std::shared_ptr<Stage> then = request->stage->on_answer();
  if (then && result->tensors.size() != then->inputs().size())
    return give_up({ErrorCode::kCorrupt, "[node] the next node's result is not what the next stage takes"});
  if (std::max(frame.header.payload_bytes, decoded_bytes(result->tensors)) > core_.options.request_bytes)
    return give_up({ErrorCode::kOverloaded, "[node] the result is above --request-bytes"});

  const std::shared_ptr<Upstream> upstream = request->from();
  upstream->outbox().wait_below(limits::kAnswersWaitingMax);
  TensorSet tensors;
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    if (tensor.index != position) return Error{ErrorCode::kCorrupt, "[node] the result's tensors are out of order"};
    if (then) TIDELINE_CHECK_OK(then->accepts(tensor));
    auto lent = core_.buffers.take(tensor.bytes);
    tensors.specs.push_back({then ? then->inputs()[position] : "", tensor.dtype, tensor.shape});
    tensors.bytes.push_back(lent.bytes);
    tensors.owners.push_back(std::move(lent.owner));
    tensors.encodings.push_back(tensor.encoding);
    return lent.bytes;
  };
  const Status received = receive_tensors(channel, frame, result->tensors, buffer_for, transfer_deadline);
  if (!received) {
    Request::fail(std::move(request), peer_->explain(received.error()));
    return channel.owes_payload() || received.error().code == ErrorCode::kDisconnected ? received : Status();
  }
  const SteadyTime now = Clock::now();
  wire::StageTiming& timing = request->timing;
  if (entry.sent != SteadyTime{}) {
    timing.send_ns = nanoseconds(entry.sent - entry.began);
    timing.wait_ns = nanoseconds(arrived - entry.sent);
  }
  timing.return_ns = nanoseconds(now - arrived);
  timing.total_ns = nanoseconds(now - request->fired);
  std::vector<wire::StageTiming> timings = std::move(result->stages);
  timings.push_back(std::move(timing));
  for (auto& earlier : request->timings) timings.push_back(std::move(earlier));
  request->timings = std::move(timings);
  request->tensors = std::move(tensors);
  if (!then) {
    Request::answer(std::move(request));
    return {};
  }
  request->stage = then;
  request->fired = arrived;
  request->timing = then->new_timing(request->tensors);
  request->timing.receive_ns = nanoseconds(now - arrived);
  if (!then->computes()) {
    execute(std::move(request));
    return {};
  }
  bool alone = false;
  {
    const std::lock_guard lock(mutex_);
    alone = calls_.empty();
  }
  upstream->post(std::move(request), reader, alone);
  return {};
}

}  // namespace tideline
