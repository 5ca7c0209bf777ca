#include "client/peer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// The slowest link on which a busy peer is still told from a dead one: a heartbeat may wait behind the bytes of a call.
constexpr double kSlowestLinkBytesPerS = 125'000;
// How long a cancelled call waits for the peer's word before it gives the connection up.
constexpr std::chrono::milliseconds kCancelGrace{1000};

}  // namespace

class Peer::Lease {
 public:
  Lease(Peer& peer, std::unique_ptr<Channel> channel) : peer_(peer), channel_(std::move(channel)) {}
  ~Lease() {
    const std::lock_guard lock(peer_.mutex_);
    if (!broken && peer_.alive()) {
      peer_.idle_.push_back(std::move(channel_));
    } else {
      std::erase(peer_.open_, channel_.get());
    }
  }
  Channel& channel() { return *channel_; }
  // Set while an answer is owed, so that a connection that is out of step is never used again.
  bool broken = false;
  bool used_before = false;
  // The first byte of an answer has come: what follows is not tried again.
  bool answered = false;

 private:
  Peer& peer_;
  std::unique_ptr<Channel> channel_;
};

class Peer::InFlight {
 public:
  explicit InFlight(Peer& peer) : peer_(peer) {}
  ~InFlight() { peer_.bytes_in_flight_ -= bytes_; }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  void add(std::uint64_t bytes) {
    bytes_ += bytes;
    peer_.bytes_in_flight_ += bytes;
  }

 private:
  Peer& peer_;
  std::uint64_t bytes_ = 0;
};

Result<std::unique_ptr<Peer>> Peer::connect(const PeerOptions& options, SteadyTime deadline) {
  std::unique_ptr<Peer> peer(new Peer(options));
  peer->name_ = options.peer_name.empty() ? to_string(options.address) : options.peer_name;
  auto control = peer->open(wire::ConnectionKind::kControl, deadline);
  if (!control) return peer->explain(std::move(control).error());
  peer->control_ = std::move(*control);
  peer->heartbeat_thread_ = std::thread([raw = peer.get()] { raw->heartbeat(); });
  // One data connection right away, so that the first request does not pay for it.
  TIDELINE_TRY(const auto first, peer->lease(deadline));
  return peer;
}

Peer::~Peer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  if (control_) control_->shutdown();
  if (heartbeat_thread_.joinable()) heartbeat_thread_.join();
}

Error Peer::explain(Error error) const {
  if (options_.hide_address) {
    if (error.code == ErrorCode::kDisconnected)
      return Error{error.code, fmt::format("[peer] node '{}' is gone or does not answer", name_)};
    if (error.code == ErrorCode::kDeadlineExceeded)
      return Error{error.code, fmt::format("[peer] node '{}' did not answer before the deadline", name_)};
    return error;
  }
  if (error.code == ErrorCode::kDisconnected || error.code == ErrorCode::kDeadlineExceeded)
    return Error{error.code, fmt::format("[peer] node '{}' at {}: {}", name_, to_string(options_.address), error.message)};
  return error;
}

Result<std::unique_ptr<Channel>> Peer::open(wire::ConnectionKind kind, SteadyTime deadline) {
  const SteadyTime soon = std::min(deadline, deadline_in(limits::kConnectTimeout));
  TIDELINE_TRY(auto connection, options_.transport->connect(options_.address, soon));
  auto channel = std::make_unique<Channel>(std::move(connection));
  wire::Hello hello;
  hello.role = options_.role;
  hello.kind = kind;
  hello.session = options_.session;
  hello.name = options_.own_name;
  TIDELINE_TRY(const wire::Hello theirs, channel->greet(hello, std::min(deadline, deadline_in(limits::kHandshakeTimeout))));
  if (!options_.peer_name.empty() && theirs.name != options_.peer_name)
    return Error{ErrorCode::kNotFound,
                 fmt::format("[peer] expected node '{}' at {}, found '{}'; check the addresses in the cluster file",
                             options_.peer_name, to_string(options_.address), theirs.name)};
  return channel;
}

Result<std::unique_ptr<Peer::Lease>> Peer::lease(SteadyTime deadline, bool fresh) {
  const Error dead{ErrorCode::kDisconnected, "it has stopped answering"};
  {
    const std::lock_guard lock(mutex_);
    if (!alive()) return explain(dead);
    while (!fresh && !idle_.empty()) {
      auto channel = std::move(idle_.back());
      idle_.pop_back();
      if (channel->connection().ended()) {
        std::erase(open_, channel.get());
        continue;
      }
      auto lease = std::make_unique<Lease>(*this, std::move(channel));
      lease->used_before = true;
      return lease;
    }
  }
  auto opened = open(wire::ConnectionKind::kData, deadline);
  if (!opened) return explain(std::move(opened).error());
  const std::lock_guard lock(mutex_);
  if (!alive()) return explain(dead);
  open_.push_back(opened->get());
  return std::make_unique<Lease>(*this, std::move(*opened));
}

void Peer::declare_dead() {
  const std::lock_guard lock(mutex_);
  alive_.store(false, std::memory_order_release);
  // Whoever waits on one of these returns with kDisconnected.
  for (Channel* channel : open_) channel->shutdown();
  for (const auto& channel : idle_) std::erase(open_, channel.get());
  idle_.clear();
}

void Peer::heartbeat() {
  // The first at once: a caller that beats is not taken for one of those who connect and say nothing.
  for (std::uint64_t beat = 1;; ++beat) {
    if (beat > 1) {
      std::unique_lock lock(mutex_);
      if (stop_changed_.wait_for(lock, limits::kHeartbeatPeriod, [this] { return stop_; })) return;
    }
    const auto patience = std::chrono::duration<double>(static_cast<double>(bytes_in_flight_.load()) / kSlowestLinkBytesPerS);
    const SteadyTime deadline = Clock::now() + (limits::kHeartbeatPeriod * limits::kHeartbeatsMissedMax) +
                                std::chrono::duration_cast<std::chrono::nanoseconds>(patience);
    Status sent;
    {
      const std::lock_guard lock(control_send_mutex_);
      sent = control_->send(beat, wire::Ping{}, deadline);
    }
    if (!sent) return declare_dead();
    // The answer to this beat; anything else that a control connection may carry is read on the way.
    while (true) {
      auto frame = control_->receive(deadline);
      if (!frame || !control_->skip_payload(*frame, deadline)) return declare_dead();
      if (frame->header.type == wire::FrameType::kPong && frame->header.request_id == beat) break;
      if (frame->header.type != wire::FrameType::kPong && frame->header.type != wire::FrameType::kGoodbye) return declare_dead();
    }
  }
}

void Peer::send_cancel(std::uint64_t request_id) {
  const std::lock_guard lock(control_send_mutex_);
  (void)control_->send(request_id, wire::Cancel{}, deadline_in(kCancelGrace));
}

template <class Attempt>
auto Peer::with_connection(SteadyTime deadline, Attempt attempt) -> decltype(attempt(std::declval<Lease&>())) {
  TIDELINE_TRY(auto connection, lease(deadline));
  auto result = attempt(*connection);
  if (result || result.error().code != ErrorCode::kDisconnected || !connection->used_before || connection->answered || !alive())
    return result;
  connection.reset();
  TIDELINE_TRY(connection, lease(deadline, true));
  return attempt(*connection);
}

template <class Answer, class Question>
Result<Answer> Peer::ask(const Question& question, ConstPieces payload, SteadyTime deadline) {
  auto answer = with_connection(deadline, [&](Lease& connection) -> Result<Answer> {
    Channel& channel = connection.channel();
    connection.broken = true;
    const std::uint64_t id = next_request_.fetch_add(1);
    TIDELINE_CHECK_OK(channel.send(id, question, payload, deadline));
    TIDELINE_TRY(const Frame frame, channel.receive(deadline));
    connection.answered = true;
    TIDELINE_CHECK_OK(channel.skip_payload(frame, deadline));
    // An ERROR with id 0 is about the connection, and ends it.
    if (frame.header.request_id != id && frame.header.type == wire::FrameType::kError) return decode<Answer>(frame);
    if (frame.header.request_id != id)
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' answered a request that was not asked", name_)};
    connection.broken = false;
    return decode<Answer>(frame);
  });
  if (!answer) return explain(std::move(answer).error());
  return answer;
}

Result<std::vector<wire::SegmentsMissing::Entry>> Peer::missing_segments(const std::vector<Sha256>& hashes, SteadyTime deadline) {
  TIDELINE_TRY(auto answer, ask<wire::SegmentsMissing>(wire::HasSegments{hashes}, {}, deadline));
  return std::move(answer.missing);
}

Status Peer::push_segment(const Sha256& hash, std::string_view bytes, std::uint64_t from_byte, const CancelToken& cancel,
                          const std::function<void(std::uint64_t)>& progress) {
  std::uint64_t offset = from_byte;
  int restarts = 0;
  while (true) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[peer] interrupted"};
    if (offset >= bytes.size())
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' claims more of a segment than there is", name_)};
    const std::string_view piece = bytes.substr(offset, limits::kSegmentPieceBytes);
    const std::span<const std::byte> payload[] = {std::as_bytes(std::span(piece.data(), piece.size()))};
    InFlight in_flight(*this);
    in_flight.add(piece.size());
    auto answer = ask<wire::SegmentProgress>(wire::PutSegment{hash, bytes.size(), offset}, payload,
                                             deadline_in(limits::kRequestDeadlineDefault));
    if (!answer) return std::move(answer).error();
    if (answer->complete) {
      if (progress) progress(bytes.size());
      return {};
    }
    // A peer that keeps sending us back would never let this end.
    if (answer->have_bytes <= offset && ++restarts > 3)
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' does not keep the pieces of a segment", name_)};
    offset = answer->have_bytes;
    if (progress) progress(offset);
  }
}

Result<wire::Installed> Peer::install(const wire::Install& install, SteadyTime deadline) {
  return ask<wire::Installed>(install, {}, deadline);
}

Result<wire::Uninstalled> Peer::uninstall(std::uint64_t epoch, SteadyTime deadline) {
  return ask<wire::Uninstalled>(wire::Uninstall{epoch}, {}, deadline);
}

Result<wire::NodeStatus> Peer::status(SteadyTime deadline) { return ask<wire::NodeStatus>(wire::GetStatus{}, {}, deadline); }

Result<Peer::PingReport> Peer::ping(std::uint64_t payload_bytes, std::uint64_t reply_bytes, SteadyTime deadline) {
  const std::vector<std::byte> payload(payload_bytes);
  const std::span<const std::byte> pieces[] = {payload};
  const SteadyTime start = Clock::now();
  InFlight in_flight(*this);
  in_flight.add(payload_bytes + reply_bytes);
  auto pong = ask<wire::Pong>(wire::Ping{reply_bytes}, payload_bytes == 0 ? ConstPieces{} : ConstPieces(pieces), deadline);
  if (!pong) return std::move(pong).error();
  return PingReport{Clock::now() - start, *pong};
}

Result<wire::RunResult> Peer::run(const wire::Run& run, ConstPieces payload, const TensorBuffer& buffer_for, SteadyTime deadline,
                                  const CancelToken& cancel, CallTiming* timing) {
  const Error given_up{ErrorCode::kCancelled, "[peer] the caller gave up"};
  if (cancel.cancelled()) return given_up;
  const SteadyTime start = Clock::now();
  const std::uint64_t id = next_request_.fetch_add(1);
  InFlight in_flight(*this);
  for (const auto& piece : payload) in_flight.add(piece.size());
  // The token outlives this call and may fire after it: what its callback touches is shared and says when the call is over.
  struct Watch {
    std::mutex mutex;
    Peer* peer = nullptr;
  };
  const auto watch = std::make_shared<Watch>();
  watch->peer = this;
  const auto cancellation = cancel.watch([watch, id] {
    const std::lock_guard lock(watch->mutex);
    if (watch->peer != nullptr) watch->peer->send_cancel(id);
  });

  auto result = with_connection(deadline, [&](Lease& connection) -> Result<wire::RunResult> {
    Channel& channel = connection.channel();
    connection.broken = true;
    TIDELINE_CHECK_OK(channel.send(id, run, payload, deadline));
    const SteadyTime sent = Clock::now();
    SteadyTime until = deadline;
    Result<Frame> frame = Error{ErrorCode::kInternal, ""};
    while (true) {
      // Short waits, so that a cancelled call ends after its grace even when the peer says nothing.
      frame = channel.receive(std::min(until, deadline_in(kCancelGrace)));
      if (frame || frame.error().code != ErrorCode::kDeadlineExceeded) break;
      if (cancel.cancelled()) {
        if (until != deadline) return given_up;
        until = std::min(deadline, deadline_in(kCancelGrace));
      }
      if (Clock::now() >= until) break;
    }
    TIDELINE_CHECK_OK(frame);
    connection.answered = true;
    const SteadyTime answered = Clock::now();
    if (frame->header.type == wire::FrameType::kError) {
      TIDELINE_CHECK_OK(channel.skip_payload(*frame, deadline));
      // With id 0 it is about the connection, and ends it.
      connection.broken = frame->header.request_id != id;
      return decode<wire::RunResult>(*frame);
    }
    if (frame->header.request_id != id)
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' answered another request", name_)};
    in_flight.add(frame->header.payload_bytes);
    TIDELINE_TRY(auto answer, decode<wire::RunResult>(*frame));
    if (answer.epoch != run.epoch)
      return Error{ErrorCode::kCorrupt,
                   fmt::format("[peer] node '{}' answered for plan {} instead of {}", name_, answer.epoch, run.epoch)};
    const Status received = receive_tensors(channel, *frame, answer.tensors, buffer_for, deadline);
    if (!received) return received.error();
    connection.broken = false;
    if (timing != nullptr) {
      const SteadyTime end = Clock::now();
      *timing = {sent - start, answered - sent, end - answered, end - start};
    }
    return answer;
  });

  {
    const std::lock_guard lock(watch->mutex);
    watch->peer = nullptr;
  }
  if (!result) return explain(std::move(result).error());
  return result;
}

}  // namespace tideline
