#include "client/peer.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/units.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// The slowest link on which a busy peer is still told from a dead one: a heartbeat may wait behind the bytes of a call.
constexpr double kSlowestLinkBytesPerS = 125'000;
// Of a CANCEL: a control connection that takes none for so long is dead.
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

Result<std::unique_ptr<Peer>> Peer::connect(const PeerOptions& options, SteadyTime deadline) {
  std::unique_ptr<Peer> peer(new Peer(options));
  peer->name_ = options.peer_name.empty() ? to_string(options.address) : options.peer_name;
  auto control = peer->open(wire::ConnectionKind::kControl, deadline);
  if (!control) return peer->explain(std::move(control).error());
  peer->control_ = std::move(*control);
  try {
    peer->heartbeat_thread_ = std::thread([raw = peer.get()] { raw->heartbeat(); });
  } catch (const std::system_error&) {
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[peer] the system gives no thread for heartbeats to node '{}'", peer->name_)};
  }
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
  if (error.message.starts_with("[peer] node '")) return error;  // it was already
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
  if (kind == wire::ConnectionKind::kControl) {
    flows_ = (theirs.capabilities & wire::kCapFlow) != 0;
    knows_codecs_ = (theirs.capabilities & wire::kCapCodecs) != 0;
    knows_shares_ = (theirs.capabilities & wire::kCapShares) != 0;
  }
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
  if (!still_there()) return explain(dead);
  auto opened = open(wire::ConnectionKind::kData, deadline);
  if (!opened) return explain(std::move(opened).error());
  const std::lock_guard lock(mutex_);
  if (!alive()) return explain(dead);
  open_.push_back(opened->get());
  return std::make_unique<Lease>(*this, std::move(*opened));
}

bool Peer::still_there() {
  if (alive() && !control_->connection().ended()) return true;
  // What would be opened now would belong to a node that has started anew, and end with this peer.
  declare_dead();
  return false;
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

Result<Peer::Answer> Peer::relay(wire::FrameType type, std::span<const std::byte> meta, ConstPieces payload,
                                 SteadyTime deadline) {
  InFlight in_flight(*this);
  for (const auto& piece : payload) in_flight.add(piece.size());
  auto answer = with_connection(deadline, [&](Lease& connection) -> Result<Answer> {
    Channel& channel = connection.channel();
    connection.broken = true;
    const std::uint64_t id = next_request_.fetch_add(1);
    TIDELINE_CHECK_OK(channel.send_frame(id, type, meta, payload, deadline));
    Result<Frame> frame = Error{};
    while (true) {
      frame = channel.receive(deadline);
      TIDELINE_CHECK_OK(frame);
      connection.answered = true;
      // What it grants for RUNs does not concern this connection.
      if (frame->header.type != wire::FrameType::kCredit && frame->header.type != wire::FrameType::kGoodbye) break;
      connection.answered = false;
      TIDELINE_CHECK_OK(channel.skip_payload(*frame, deadline));
    }
    Answer made{frame->header.type, {frame->meta.begin(), frame->meta.end()}, {}};
    if (frame->header.payload_bytes > limits::kPingPayloadBytesMax)
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' answered with more than was asked for", name_)};
    if (frame->header.payload_bytes > 0) {
      made.payload = Buffer(frame->header.payload_bytes);
      in_flight.add(made.payload.size());
      const std::span<std::byte> pieces[] = {made.payload.span()};
      TIDELINE_CHECK_OK(channel.receive_payload(*frame, pieces, deadline));
    }
    // An ERROR with id 0 is about the connection, and ends it.
    if (frame->header.request_id != id && made.type == wire::FrameType::kError) return made;
    if (frame->header.request_id != id)
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' answered a request that was not asked", name_)};
    connection.broken = false;
    return made;
  });
  if (!answer) return explain(std::move(answer).error());
  return answer;
}

Result<Peer::Answer> Peer::relay(const wire::Forward& forward, ConstPieces payload, SteadyTime deadline) {
  std::vector<std::byte> meta;
  TIDELINE_CHECK_OK(wire::encode(forward, meta));
  return relay(wire::FrameType::kForward, meta, payload, deadline);
}

template <class Message, class Question>
Result<Message> Peer::ask(const Question& question, ConstPieces payload, SteadyTime deadline, const Path& via) {
  std::vector<std::byte> meta;
  TIDELINE_CHECK_OK(wire::encode(question, meta));
  TIDELINE_TRY(const Answer answer, via.empty() ? relay(Question::kType, meta, payload, deadline)
                                                : relay(wire::Forward{via, Question::kType, meta}, payload, deadline));
  const Frame frame{{.type = answer.type, .payload_bytes = answer.payload.size()}, answer.meta};
  return decode<Message>(frame);
}

Result<std::vector<wire::SegmentsMissing::Entry>> Peer::missing_segments(const std::vector<Sha256>& hashes, SteadyTime deadline,
                                                                         const Path& via) {
  TIDELINE_TRY(auto answer, ask<wire::SegmentsMissing>(wire::HasSegments{hashes}, {}, deadline, via));
  return std::move(answer.missing);
}

Status Peer::push_segment(const Sha256& hash, std::string_view bytes, std::uint64_t from_byte, const CancelToken& cancel,
                          const std::function<void(std::uint64_t)>& progress, const Path& via) {
  std::uint64_t offset = from_byte;
  int restarts = 0;
  while (true) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[peer] interrupted"};
    if (offset >= bytes.size())
      return Error{ErrorCode::kCorrupt, fmt::format("[peer] node '{}' claims more of a segment than there is", name_)};
    const std::string_view piece = bytes.substr(offset, limits::kSegmentPieceBytes);
    const std::span<const std::byte> payload[] = {std::as_bytes(std::span(piece.data(), piece.size()))};
    auto answer = ask<wire::SegmentProgress>(wire::PutSegment{hash, bytes.size(), offset}, payload,
                                             deadline_in(limits::kRequestDeadlineDefault), via);
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

Result<wire::Installed> Peer::install(const wire::Install& install, SteadyTime deadline, const Path& via) {
  return ask<wire::Installed>(install, {}, deadline, via);
}

Result<wire::ProgramInstalled> Peer::install(const wire::InstallProgram& program, SteadyTime deadline, const Path& via) {
  return ask<wire::ProgramInstalled>(program, {}, deadline, via);
}

Result<wire::Uninstalled> Peer::uninstall(std::uint64_t epoch, SteadyTime deadline, const Path& via) {
  return ask<wire::Uninstalled>(wire::Uninstall{epoch}, {}, deadline, via);
}

Result<wire::NodeStatus> Peer::status(SteadyTime deadline, const Path& via) {
  return ask<wire::NodeStatus>(wire::GetStatus{}, {}, deadline, via);
}

Result<Peer::PingReport> Peer::ping(std::uint64_t payload_bytes, std::uint64_t reply_bytes, SteadyTime deadline,
                                    const Path& via) {
  if (payload_bytes > limits::kPingPayloadBytesMax || reply_bytes > limits::kPingPayloadBytesMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[peer] an echo may have {} each way", format_bytes(limits::kPingPayloadBytesMax))};
  const std::vector<std::byte> payload(payload_bytes);
  const std::span<const std::byte> pieces[] = {payload};
  const SteadyTime start = Clock::now();
  auto pong = ask<wire::Pong>(wire::Ping{reply_bytes}, payload_bytes == 0 ? ConstPieces{} : ConstPieces(pieces), deadline, via);
  if (!pong) return std::move(pong).error();
  return PingReport{Clock::now() - start, *pong};
}

Peer::Pending::Pending(Peer& peer, const wire::Run& run, TensorBuffer buffer_for, SteadyTime deadline, const CancelToken& cancel)
    : peer_(peer), in_flight_(peer), call_(std::make_shared<RunLine::Call>()), watch_(std::make_shared<Watch>()) {
  call_->id = peer.next_request_.fetch_add(1);
  call_->epoch = run.epoch;
  call_->buffer_for = std::move(buffer_for);
  call_->deadline = deadline;
  call_->cancel = cancel;
  // The token outlives this call and may fire after it: what its callback touches is shared and says when the call is over.
  watch_->peer = &peer;
  cancellation_.reset(new CancelToken::Watch(cancel.watch([watch = watch_, id = call_->id] {
    const std::lock_guard lock(watch->mutex);
    if (watch->peer != nullptr) watch->peer->send_cancel(id);
  })));
}

Peer::Pending::~Pending() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->peer = nullptr;
  }
  if (line_ && line_->abandon(call_)) peer_.send_cancel(call_->id);
}

Result<Peer::Line> Peer::open_line(SteadyTime deadline) {
  if (!still_there()) return explain(Error{ErrorCode::kDisconnected, "it has stopped answering"});
  auto opened = open(wire::ConnectionKind::kData, deadline);
  if (!opened) return explain(std::move(opened).error());
  const std::lock_guard lock(mutex_);
  if (!alive()) return explain(Error{ErrorCode::kDisconnected, "it has stopped answering"});
  open_.push_back(opened->get());
  return Line{std::move(*opened), flows_};
}

void Peer::forget(Channel& channel) {
  const std::lock_guard lock(mutex_);
  std::erase(open_, &channel);
}

void Peer::shut_down() {
  control_->shutdown();
  declare_dead();
}

Result<Peer::Runs> Peer::run_line(SteadyTime deadline, const RunLine* not_this) {
  const std::lock_guard opening(line_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (!alive()) return explain(Error{ErrorCode::kDisconnected, "it has stopped answering"});
    if (run_line_ && run_line_.get() != not_this && !run_line_->ended()) return Runs{run_line_, true};
  }
  TIDELINE_TRY(Line line, open_line(deadline));
  // Forgotten when the last call on it is over.
  std::shared_ptr<RunLine> made(new RunLine(std::move(line.channel), line.flow, name_), [this](RunLine* gone) {
    forget(gone->channel());
    delete gone;
  });
  // What it replaces goes after the lock: it has the channel forgotten, under the lock.
  std::shared_ptr<RunLine> before;
  const std::lock_guard lock(mutex_);
  before = std::exchange(run_line_, made);
  return Runs{made, false};
}

Result<std::unique_ptr<Peer::Pending>> Peer::start(const wire::Run& run, ConstPieces payload, TensorBuffer buffer_for,
                                                   SteadyTime deadline, const CancelToken& cancel) {
  if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[peer] the caller gave up"};
  const RunLine* stale = nullptr;
  while (true) {
    TIDELINE_TRY(const Runs runs, run_line(deadline, stale));
    auto pending = std::make_unique<Pending>(*this, run, buffer_for, deadline, cancel);
    for (const auto& piece : payload) pending->in_flight_.add(piece.size());
    pending->line_ = runs.line;
    pending->line_used_before_ = runs.used_before;
    const Status sent = runs.line->send(pending->call_, run, payload);
    if (sent) return pending;
    if (sent.error().code != ErrorCode::kDisconnected || !runs.used_before || !alive()) return explain(sent.error());
    stale = runs.line.get();
  }
}

Result<wire::RunResult> Peer::finish(Pending& pending, CallTiming* timing) {
  auto result = pending.line_->wait(pending.call_);
  if (!result) return explain(std::move(result).error());
  if (timing != nullptr) *timing = pending.call_->timing;
  return result;
}

Result<wire::RunResult> Peer::run(const wire::Run& run, ConstPieces payload, const TensorBuffer& buffer_for, SteadyTime deadline,
                                  const CancelToken& cancel, CallTiming* timing) {
  while (true) {
    TIDELINE_TRY(const auto pending, start(run, payload, buffer_for, deadline, cancel));
    auto result = finish(*pending, timing);
    // A connection that had been idle may have ended unnoticed: once more over a fresh one, when nothing was answered.
    if (result || !may_try_again(*pending, result.error())) return result;
  }
}

Status Peer::prepare_runs(SteadyTime deadline) {
  TIDELINE_CHECK_OK(run_line(deadline, nullptr));
  return {};
}

bool Peer::may_try_again(const Pending& pending, const Error& error) const {
  return error.code == ErrorCode::kDisconnected && !pending.call_->answered && pending.line_used_before_ && alive();
}

}  // namespace tideline
