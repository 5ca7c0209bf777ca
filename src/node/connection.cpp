#include "node/connection.h"

#include <algorithm>
#include <array>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "node/coding.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAnswerTimeout{30'000};
constexpr std::chrono::milliseconds kFarewell{200};
// So many frames in a row that were there already are no chance: more than one request is under way.
constexpr unsigned kAheadOfAnswers = 3;
// Of one tensor's bytes: longer than any request waits, since to break off ends the connection for all of them.
constexpr std::chrono::milliseconds kReceiveTimeout{30'000};
// Of a message that is forwarded: loading a segment takes long.
constexpr std::chrono::milliseconds kForwardTimeout{150'000};
// What a caller's beats may be late: three of them missing, and the one that is due.
constexpr std::chrono::milliseconds kSilenceMax = limits::kHeartbeatPeriod * (limits::kHeartbeatsMissedMax + 1);

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string without_port(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

bool may_lead_to(const std::vector<std::string>& allowed, const Address& address) {
  return allowed.empty() || std::any_of(allowed.begin(), allowed.end(), [&](const std::string& entry) {
           return entry == address.host || entry == to_string(address);
         });
}

}  // namespace

NodeConnection::NodeConnection(NodeCore& core, std::unique_ptr<Connection> connection)
    : core_(core),
      channel_(std::move(connection)),
      address_(without_port(channel_.connection().peer())),
      heard_at_(Clock::now()) {}

SteadyTime NodeConnection::silent_since() const {
  if (refusal_ || has_hired_) return kNoDeadline;
  {
    const std::lock_guard lock(caller_mutex_);
    if ((caller_ && caller_->beats()) || (upstream_ && upstream_->busy())) return kNoDeadline;
  }
  const SteadyTime since = heard_at_.load(std::memory_order_relaxed);
  return Clock::now() - since < core_.options.silence ? kNoDeadline : since;
}

void NodeConnection::notice_end() {
  std::shared_ptr<Upstream> upstream;
  {
    const std::lock_guard lock(caller_mutex_);
    upstream = upstream_;
  }
  if (upstream && upstream->busy() && channel_.connection().ended()) upstream->caller().cancel_all(upstream.get());
}

void NodeConnection::say_goodbye() {
  if (!is_control_.load()) return;
  const std::lock_guard lock(send_mutex_);
  (void)channel_.send(0, wire::Goodbye{"the node is shutting down"}, deadline_in(kFarewell));
}

void NodeConnection::serve() {
  try {
    if (const Status greeted = greet(); !greeted) {
      log(LogLevel::kInfo, fmt::format("refused {}: {}", channel_.connection().peer(), greeted.error().message));
    } else {
      struct Leave {
        NodeConnection& self;
        ~Leave() {
          self.caller_->leave(self.channel_, self.hello_.kind);
          if (!self.upstream_) return;
          self.caller_->cancel_all(self.upstream_.get());
          self.upstream_->close();
        }
      } const leave{*this};
      if (hello_.kind == wire::ConnectionKind::kControl)
        serve_control();
      else
        serve_data();
      // An ERROR that ended the connection must arrive before the end of the stream does.
      if (!core_.stopping) channel_.connection().finish(deadline_in(kFarewell));
    }
  } catch (const std::exception& error) {
    log(LogLevel::kError, fmt::format("connection {} ended: {}", channel_.connection().peer(), error.what()));
  }
  channel_.shutdown();
  hired_.reset();
  // What only this connection kept goes outside the lock: it may close others.
  std::shared_ptr<Caller> last;
  std::shared_ptr<Upstream> requests;
  const std::lock_guard lock(caller_mutex_);
  last.swap(caller_);
  requests.swap(upstream_);
}

Status NodeConnection::greet() {
  const SteadyTime deadline = deadline_in(refusal_ ? limits::kHandshakeTimeout / 5 : limits::kHandshakeTimeout);
  TIDELINE_TRY(hello_, channel_.await_hello(deadline));
  heard();
  wire::Hello ours;
  ours.role = wire::Role::kNode;
  ours.kind = hello_.kind;
  ours.session = hello_.session;
  ours.name = core_.options.name;
  if (refusal_) {
    const Error full{ErrorCode::kOverloaded, "[node] this node has too many connections; try again later"};
    return channel_.welcome(ours, hello_, &full, deadline_in(kFarewell));
  }
  if (core_.draining) {
    const Error draining{ErrorCode::kOverloaded, "[node] this node is shutting down; use another or wait"};
    return channel_.welcome(ours, hello_, &draining, deadline);
  }
  auto caller = core_.callers.join(hello_);
  if (!caller) return channel_.welcome(ours, hello_, &caller.error(), deadline);
  // Before the peer hears that it is in: what ends its other connections ends this one too.
  (*caller)->join(channel_, hello_.kind);
  if (const Status welcomed = channel_.welcome(ours, hello_, nullptr, deadline); !welcomed) {
    (*caller)->leave(channel_, hello_.kind);
    return welcomed;
  }
  is_control_ = hello_.kind == wire::ConnectionKind::kControl;
  const bool flow = (hello_.capabilities & ours.capabilities & wire::kCapFlow) != 0;
  {
    const std::lock_guard lock(caller_mutex_);
    caller_ = std::move(*caller);
    if (!is_control_) upstream_ = std::make_shared<Upstream>(core_, caller_, channel_, flow);
  }
  if (upstream_) upstream_->open();
  return {};
}

template <class Message>
Status NodeConnection::send(std::uint64_t request_id, const Message& message, ConstPieces payload, SteadyTime deadline) {
  return send_with([&](Channel& channel) { return channel.send(request_id, message, payload, deadline); });
}

Status NodeConnection::send_with(const std::function<Status(Channel&)>& write) {
  if (!upstream_) {
    const std::lock_guard lock(send_mutex_);
    return write(channel_);
  }
  // In turn with the answers of requests; this thread waits for its own.
  struct Turn {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Status> result;  // guarded by mutex
    void set(Status status) {
      const std::lock_guard lock(mutex);
      result = std::move(status);
      changed.notify_all();
    }
  };
  class Direct final : public Outgoing {
   public:
    Direct(const std::function<Status(Channel&)>& write, std::shared_ptr<Turn> turn) : write_(write), turn_(std::move(turn)) {}
    Status write(Channel& channel) override {
      Status sent = write_(channel);
      turn_->set(sent);
      // What may not be sent was not, and the connection goes on.
      return !sent && sent.error().code == ErrorCode::kInvalidArgument ? Status() : sent;
    }
    void dropped(const Error& error) override { turn_->set(error); }

   private:
    const std::function<Status(Channel&)>& write_;  // of the thread that waits
    const std::shared_ptr<Turn> turn_;
  };
  const auto turn = std::make_shared<Turn>();
  upstream_->outbox().post(std::make_unique<Direct>(write, turn));
  std::unique_lock lock(turn->mutex);
  turn->changed.wait(lock, [&] { return turn->result.has_value(); });
  return *turn->result;
}

Status NodeConnection::refuse(std::uint64_t request_id, const Error& error) {
  return send(request_id, wire::to_message(error, core_.options.name), {}, deadline_in(kAnswerTimeout));
}

Status NodeConnection::refuse(const Frame& frame, const Error& error) {
  if (channel_.owes_payload()) TIDELINE_CHECK_OK(channel_.skip_payload(frame, deadline_in(kAnswerTimeout)));
  return refuse(frame.header.request_id, error);
}

template <class Handle>
Status NodeConnection::guarded(const Frame& frame, Handle handle) {
  try {
    return handle();
  } catch (const std::exception& error) {
    log(LogLevel::kError,
        fmt::format("{} of {}: {}", wire::to_string(frame.header.type), channel_.connection().peer(), error.what()));
  }
  return refuse(frame, Error{ErrorCode::kOverloaded, "[node] out of memory or threads; try again later or ask for less"});
}

void NodeConnection::serve_control() {
  std::uint64_t data_bytes = 0;
  while (!core_.stopping) {
    const bool beats = caller_->beats();
    auto frame = channel_.receive(deadline_in(beats ? kSilenceMax : std::chrono::milliseconds(limits::kHandshakeTimeout)));
    if (!frame) {
      if (frame.error().code == ErrorCode::kCorrupt) (void)refuse(0, frame.error());
      if (frame.error().code != ErrorCode::kDeadlineExceeded) return;
      // Silence. A beat may wait behind bulk on a slow link; who has never beaten may be a plain program with requests elsewhere.
      if (!beats && caller_->connections() > 1 && Clock::now() - heard_at_.load() < core_.options.idle_timeout) continue;
      const std::uint64_t now = caller_->received_bytes();
      if (beats && now != data_bytes) {
        data_bytes = now;
        continue;
      }
      log(LogLevel::kInfo, fmt::format("caller '{}' at {} has fallen silent", caller_->name(), channel_.connection().peer()));
      return;
    }
    heard();
    if (!guarded(*frame, [&] { return handle_control(*frame); })) return;
  }
}

Status NodeConnection::handle_control(const Frame& frame) {
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  const std::uint64_t id = frame.header.request_id;
  switch (frame.header.type) {
    case wire::FrameType::kPing: {
      const auto ping = decode<wire::Ping>(frame);
      if (!ping) return refuse(frame, ping.error());
      if (frame.header.payload_bytes > 0 || ping->reply_bytes > 0)
        return refuse(frame,
                      Error{ErrorCode::kInvalidArgument, "[node] only heartbeats here: bulk belongs on a DATA connection"});
      caller_->has_beaten();
      return send(id, wire::Pong{}, {}, deadline);
    }
    case wire::FrameType::kCancel: {
      const auto cancel = decode<wire::Cancel>(frame);
      if (!cancel) return refuse(frame, cancel.error());
      caller_->cancel(id);
      return {};
    }
    case wire::FrameType::kGetStatus: {
      const auto question = decode<wire::GetStatus>(frame);
      if (!question) return refuse(frame, question.error());
      return send(id, status(), {}, deadline);
    }
    case wire::FrameType::kGoodbye: return channel_.skip_payload(frame, deadline);
    default:
      return refuse(frame, Error{ErrorCode::kInvalidArgument, fmt::format("[node] {} does not belong on a CONTROL connection",
                                                                          wire::to_string(frame.header.type))});
  }
}

void NodeConnection::serve_data() {
  // Frames in a row that were there already, which means that they were sent before the last one was answered, or by a caller
  // that is quick. On a slow link they come while an earlier one is under way.
  unsigned ahead = 0;
  while (!core_.stopping) {
    upstream_->wait_for_room();
    auto frame = channel_.receive(Clock::now());
    ahead = frame ? std::min(ahead + 1, kAheadOfAnswers) : 0;
    if (!frame && frame.error().code == ErrorCode::kDeadlineExceeded)
      frame = channel_.receive(deadline_in(core_.options.idle_timeout));
    const bool pipelined = ahead == kAheadOfAnswers || upstream_->has_more();
    if (!frame) {
      if (frame.error().code == ErrorCode::kDeadlineExceeded && (caller_->beats() || upstream_->busy() || has_hired_)) continue;
      if (frame.error().code == ErrorCode::kCorrupt) {
        log(LogLevel::kWarning, fmt::format("{}: {}", channel_.connection().peer(), frame.error().message));
        (void)refuse(0, frame.error());
      }
      return;
    }
    heard();
    if (frame->header.type == wire::FrameType::kGoodbye) {
      // No more requests: those that are here are answered still.
      if (channel_.skip_payload(*frame, deadline_in(kAnswerTimeout))) upstream_->wait_until_answered(deadline_in(kAnswerTimeout));
      return;
    }
    if (!guarded(*frame, [&] { return handle(*frame, pipelined); })) return;
    heard();
  }
}

Status NodeConnection::handle(const Frame& frame, bool pipelined) {
  const SteadyTime arrived = Clock::now();
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  const std::uint64_t id = frame.header.request_id;
  switch (frame.header.type) {
    case wire::FrameType::kRun: return handle_run(frame, arrived, pipelined);
    case wire::FrameType::kPutSegment: return handle_put(frame);
    case wire::FrameType::kForward: return handle_forward(frame);
    case wire::FrameType::kPing: return handle_ping(frame);
    case wire::FrameType::kHireWorkers: return handle_hire(frame);
    case wire::FrameType::kGetStatus: {
      const auto question = decode<wire::GetStatus>(frame);
      if (!question) return refuse(frame, question.error());
      return send(id, status(), {}, deadline);
    }
    case wire::FrameType::kHasSegments: {
      const auto question = decode<wire::HasSegments>(frame);
      if (!question) return refuse(frame, question.error());
      wire::SegmentsMissing answer;
      for (const Sha256& hash : question->hashes) {
        if (core_.store->has(hash)) continue;
        answer.missing.push_back({hash, core_.store->resume_at(caller_->session(), hash)});
      }
      return send(id, answer, {}, deadline);
    }
    case wire::FrameType::kInstall: {
      const auto request = decode<wire::Install>(frame);
      if (!request) return refuse(frame, request.error());
      // The case of one stage, whose next one has the next number.
      wire::ProgramStage stage{.id = request->stage,
                               .segment = request->segment,
                               .inputs = request->inputs,
                               .outputs = request->outputs,
                               .calls = !request->next_node.empty(),
                               .next_node = request->next_node,
                               .next_address = request->next_address};
      if (stage.calls) stage.next = request->stage + 1;
      const auto loaded = install(request->epoch, {stage});
      if (!loaded) return refuse(id, loaded.error());
      return send(id, wire::Installed{request->epoch, request->stage, *loaded}, {}, deadline_in(kAnswerTimeout));
    }
    case wire::FrameType::kInstallProgram: {
      const auto request = decode<wire::InstallProgram>(frame);
      if (!request) return refuse(frame, request.error());
      const auto loaded = install(request->epoch, request->stages);
      if (!loaded) return refuse(id, loaded.error());
      return send(id, wire::ProgramInstalled{request->epoch, *loaded}, {}, deadline_in(kAnswerTimeout));
    }
    case wire::FrameType::kUninstall: {
      const auto request = decode<wire::Uninstall>(frame);
      if (!request) return refuse(frame, request.error());
      return send(id, wire::Uninstalled{static_cast<std::uint32_t>(caller_->uninstall(request->epoch))}, {}, deadline);
    }
    default:
      return refuse(frame, Error{ErrorCode::kInvalidArgument, fmt::format("[node] {} is not for a node to receive on a DATA "
                                                                          "connection",
                                                                          wire::to_string(frame.header.type))});
  }
}

Status NodeConnection::handle_ping(const Frame& frame) {
  static constexpr std::array<std::byte, 65536> kZeros{};
  const SteadyTime start = Clock::now();
  const auto ping = decode<wire::Ping>(frame);
  if (!ping) return refuse(frame, ping.error());
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  TIDELINE_CHECK_OK(channel_.skip_payload(frame, deadline));
  const wire::Pong pong{frame.header.payload_bytes, nanoseconds(Clock::now() - start)};
  // The same zeros over and over: an echo takes no memory of its own.
  std::vector<std::span<const std::byte>> pieces;
  for (std::uint64_t left = ping->reply_bytes; left > 0; left -= pieces.back().size())
    pieces.push_back(std::span(kZeros).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, kZeros.size()))));
  return send(frame.header.request_id, pong, pieces, deadline);
}

Status NodeConnection::handle_hire(const Frame& frame) {
  const auto request = decode<wire::HireWorkers>(frame);
  if (!request) return refuse(frame, request.error());
  const std::uint64_t id = frame.header.request_id;
  if (hired_) return refuse(id, Error{ErrorCode::kOverloaded, "[node] this connection has its workers already"});
  auto hired = HiredWorkers::start(core_.options, *request, core_.worker_processes,
                                   [this] { return core_.stopping || channel_.connection().ended(); });
  if (!hired) return refuse(id, hired.error());
  hired_ = std::move(*hired);
  has_hired_ = true;
  log(LogLevel::kInfo, fmt::format("{} worker(s) of training for {}", request->count, channel_.connection().peer()));
  return send(id, wire::WorkersHired{hired_->ports()}, {}, deadline_in(kAnswerTimeout));
}

Status NodeConnection::handle_put(const Frame& frame) {
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  const auto request = decode<wire::PutSegment>(frame);
  if (!request) return refuse(frame, request.error());
  const auto lent = core_.buffers.take(frame.header.payload_bytes);
  const std::span<std::byte> piece = lent.bytes;
  const std::span<std::byte> pieces[] = {piece};
  TIDELINE_CHECK_OK(channel_.receive_payload(frame, pieces, deadline));
  const auto stored = core_.store->put(caller_->session(), request->hash, request->total_bytes, request->offset, piece);
  if (!stored) return refuse(frame.header.request_id, stored.error());
  // Also the answer to a piece from the wrong place: where the upload stands.
  return send(frame.header.request_id, wire::SegmentProgress{request->hash, stored->have_bytes, stored->complete}, {}, deadline);
}

Result<std::shared_ptr<NextNode>> NodeConnection::next_node(const std::string& name, const std::string& address) {
  if (name == core_.options.name || core_.callers.has_caller(caller_->session(), wire::Role::kNode, name))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[node] the stage leads back to '{}', which the request has passed: a ring", name)};
  return caller_->next_node(name, address, [&]() -> Result<std::shared_ptr<NextNode>> {
    TIDELINE_TRY(const Address where, parse_address(address));
    if (!may_lead_to(core_.options.allow_next, where))
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[node] this node may not call '{}' at the address given (--allow-next)", name)};
    const auto link = core_.options.links.find(name);
    auto next = core_.next_nodes.make(core_, {.transport = link == core_.options.links.end() ? &core_.onward : link->second,
                                              .address = where,
                                              .session = caller_->session(),
                                              .own_name = core_.options.name,
                                              .peer_name = name,
                                              .role = wire::Role::kNode,
                                              .hide_address = true});
    TIDELINE_TRY([[maybe_unused]] const auto peer, next->connected(deadline_in(limits::kConnectTimeout)));
    return next;
  });
}

Status NodeConnection::handle_forward(const Frame& frame) {
  auto forward = decode<wire::Forward>(frame);
  if (!forward) return refuse(frame, forward.error());
  const std::uint64_t id = frame.header.request_id;
  const auto lent = core_.buffers.take(frame.header.payload_bytes);
  const std::span<std::byte> pieces[] = {lent.bytes};
  if (channel_.owes_payload()) TIDELINE_CHECK_OK(channel_.receive_payload(frame, pieces, deadline_in(kReceiveTimeout)));
  const auto next = next_node(forward->path.front().node, forward->path.front().address);
  if (!next) return refuse(id, next.error());
  caller_->keep(*next);
  const auto peer = (*next)->connected(deadline_in(limits::kConnectTimeout));
  if (!peer) return refuse(id, peer.error());
  forward->path.erase(forward->path.begin());
  const std::span<const std::byte> payload[] = {lent.bytes};
  const ConstPieces inner = lent.bytes.empty() ? ConstPieces{} : ConstPieces(payload);
  auto answer = forward->path.empty() ? (*peer)->relay(forward->inner, forward->meta, inner, deadline_in(kForwardTimeout))
                                      : (*peer)->relay(*forward, inner, deadline_in(kForwardTimeout));
  if (!answer) return refuse(id, answer.error());
  const std::span<const std::byte> answered[] = {answer->payload.span()};
  return send_with([&](Channel& channel) {
    return channel.send_frame(id, answer->type, answer->meta, answer->payload.empty() ? ConstPieces{} : ConstPieces(answered),
                              deadline_in(kAnswerTimeout));
  });
}

Result<std::uint64_t> NodeConnection::install(std::uint64_t epoch, const std::vector<wire::ProgramStage>& stages) {
  const SteadyTime start = Clock::now();
  std::uint64_t load_ns = 0;
  StageOptions stage_options;
  stage_options.node_name = core_.options.name;
  stage_options.slowdown = core_.options.slowdown;
  stage_options.shares = &core_.shares;
  std::map<std::uint32_t, std::shared_ptr<Stage>> made;
  for (const wire::ProgramStage& program : stages) {
    for (const Codec& codec : {program.codec_in, program.codec_out})
      if (!is_known(codec))
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[node] stage {} wants a codec (scheme {}, packing {}) that this node does not know", program.id,
                                 static_cast<int>(codec.scheme), static_cast<int>(codec.packing))};
    std::shared_ptr<LoadedSegment> segment;
    if (program.segment) {
      TIDELINE_TRY(segment, core_.segments.load(*program.segment));
      load_ns = nanoseconds(Clock::now() - start);
    }
    std::shared_ptr<NextNode> next;
    if (program.calls) {
      TIDELINE_TRY(next, next_node(program.next_node, program.next_address));
      TIDELINE_CHECK_OK(next->prepare(deadline_in(limits::kConnectTimeout)));
    }
    stage_options.engine_share = nullptr;
    stage_options.link_share = nullptr;
    if (segment && program.share.compute_ppm > 0) {
      TIDELINE_TRY(stage_options.engine_share, core_.shares.engine(caller_->session(), program.share));
    }
    if (next && program.share.link_bytes_per_s > 0) {
      TIDELINE_TRY(stage_options.link_share, core_.shares.link(caller_->session(), next->name(), program.share));
    }
    TIDELINE_TRY(auto stage, Stage::make(program, std::move(segment), std::move(next), core_.slot, stage_options));
    if (program.on_answer) {
      const auto before = made.find(program.after);
      if (before == made.end() || before->second->next() == nullptr || before->second->on_answer())
        return Error{
            ErrorCode::kInvalidArgument,
            fmt::format("[node] stage {} waits for the answer to stage {}, which calls nobody here", program.id, program.after)};
      before->second->set_on_answer(stage);
    }
    made[program.id] = std::move(stage);
  }
  TIDELINE_CHECK_OK(caller_->install(epoch, made));
  for (const wire::ProgramStage& program : stages)
    log(LogLevel::kInfo,
        fmt::format("installed stage {} of plan {}: {}", program.id, epoch,
                    program.segment ? "segment " + program.segment->hex().substr(0, 12) : std::string("passes on")));
  return load_ns;
}

Status NodeConnection::handle_run(const Frame& frame, SteadyTime arrived, bool pipelined) {
  const std::uint64_t id = frame.header.request_id;
  const auto run = decode<wire::Run>(frame);
  if (!run) return refuse(frame, run.error());
  const SteadyTime deadline =
      arrived + std::min<std::chrono::microseconds>(std::chrono::microseconds(run->deadline_us), std::chrono::hours(24));
  std::shared_ptr<Stage> stage = core_.callers.find_stage(*caller_, {run->epoch, run->stage});
  auto request = Request::begin(upstream_, id, run->epoch, frame.header.payload_bytes, arrived, deadline);
  if (!request) return refuse(frame, request.error());
  // The payload goes first: the answer may leave at once, and the stream must be in step.
  const auto fail = [&](const Error& error) -> Status {
    if (channel_.owes_payload()) TIDELINE_CHECK_OK(channel_.skip_payload(frame, deadline_in(kReceiveTimeout)));
    Request::fail(std::move(*request), error);
    return {};
  };
  if (!stage)
    return fail({ErrorCode::kNotFound, fmt::format("[node] plan {} is not installed here; install it again", run->epoch)});
  if (stage->fires_on_answer())
    return fail({ErrorCode::kInvalidArgument, fmt::format("[node] stage {} takes answers and no requests", run->stage)});
  if (core_.draining) return fail({ErrorCode::kOverloaded, "[node] this node is shutting down"});
  // Also of what it becomes once it is decoded.
  const std::uint64_t bytes = std::max(frame.header.payload_bytes, decoded_bytes(run->tensors));
  if (bytes > core_.options.request_bytes)
    return fail({ErrorCode::kOverloaded, fmt::format("[node] a request of {} is above the limit of {} (--request-bytes)",
                                                     format_bytes(bytes), format_bytes(core_.options.request_bytes))});
  if (run->tensors.size() != stage->inputs().size())
    return fail({ErrorCode::kInvalidArgument, "[node] a request must bring each input of its stage once, in order"});
  if (run->deadline_us == 0) return fail({ErrorCode::kDeadlineExceeded, "[node] the deadline has passed already"});

  TensorSet& inputs = (*request)->tensors;
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    TIDELINE_CHECK_OK(stage->accepts(tensor));
    if (tensor.index != position)
      return Error{ErrorCode::kInvalidArgument, "[node] a request must bring each input of its stage once, in order"};
    auto lent = core_.buffers.take(tensor.bytes);
    inputs.specs.push_back({stage->inputs()[position], tensor.dtype, tensor.shape});
    inputs.bytes.push_back(lent.bytes);
    inputs.owners.push_back(std::move(lent.owner));
    inputs.encodings.push_back(tensor.encoding);
    return lent.bytes;
  };
  const Status received =
      receive_tensors(channel_, frame, run->tensors, buffer_for, std::max(deadline, deadline_in(kReceiveTimeout)));
  // A refusal leaves the stream in step and is answered; a broken stream shows itself at the next receive.
  if (!received) return fail(received.error());
  Request& ready = **request;
  ready.fired = arrived;
  ready.timing = stage->new_timing(inputs);
  ready.timing.receive_ns = nanoseconds(Clock::now() - arrived);
  ready.stage = std::move(stage);
  upstream_->post(std::move(*request), false, !pipelined);
  return {};
}

wire::NodeStatus NodeConnection::status() const {
  wire::NodeStatus status;
  status.name = core_.options.name;
  status.version = "0.1.0";
  status.engine = core_.engine.version();
  status.threads = static_cast<std::uint32_t>(core_.engine.threads());
  status.uptime_ms = nanoseconds(Clock::now() - core_.started_at) / 1'000'000;
  status.memory_bytes = resident_bytes();
  status.memory_limit_bytes = core_.options.memory_bytes;
  status.connections = core_.connections;
  status.segments_stored = static_cast<std::uint32_t>(core_.store->count());
  status.segments_loaded = static_cast<std::uint32_t>(core_.segments.count());
  status.segments_dropped = core_.segments.dropped();
  status.segments_reloaded = core_.segments.reloaded();
  status.requests_done = core_.requests_done;
  status.requests_failed = core_.requests_failed;
  status.requests_running = core_.requests_running;
  status.draining = core_.draining;
  return status;
}

}  // namespace tideline
