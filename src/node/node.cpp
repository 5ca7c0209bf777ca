#include "node/node.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAnswerTimeout{30'000};
constexpr std::chrono::milliseconds kFarewell{200};
// Of one segment; a package may hold hundreds of megabytes, or constants that take for ever to fold.
constexpr std::chrono::seconds kLoadTimeout{100};
constexpr std::size_t kStagesPerCallerMax = 64;
constexpr std::size_t kSegmentPieceSlot = 0;

std::uint64_t nanoseconds(Clock::duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, Nanos(time).count()));
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

// What outlives single connections of one session: gone when its last connection is.
struct NodeServer::Caller {
  wire::SessionId session;
  std::mutex mutex;
  // Guarded by mutex:
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::shared_ptr<Stage>> stages;
  std::map<std::string, std::shared_ptr<Peer>> peers;
  std::unordered_map<std::uint64_t, CancelToken> running;

  void cancel_all() {
    std::vector<CancelToken> tokens;
    {
      const std::lock_guard lock(mutex);
      for (const auto& [id, token] : running) tokens.push_back(token);
    }
    for (const CancelToken& token : tokens) token.cancel();
  }
};

struct NodeServer::Connection_ {
  explicit Connection_(std::unique_ptr<Connection> connection) : channel(std::move(connection)) {}
  Channel channel;
  wire::Hello hello;
  std::shared_ptr<Caller> caller;
  RequestBuffers buffers;
  std::thread thread;
  std::atomic<bool> finished{false};
};

NodeServer::NodeServer(const NodeOptions& options, Transport& onward, Engine& engine)
    : options_(options), onward_(onward), engine_(engine) {}

Result<std::unique_ptr<NodeServer>> NodeServer::start(const NodeOptions& options, Transport& transport, Transport& onward,
                                                      Engine& engine) {
  std::unique_ptr<NodeServer> node(new NodeServer(options, onward, engine));
  node->started_at_ = Clock::now();
  TIDELINE_TRY(node->store_, SegmentStore::open(options.store_folder, options.store_bytes));
  TIDELINE_TRY(node->listener_, transport.listen(options.listen));
  node->accept_thread_ = std::thread([raw = node.get()] { raw->accept_loop(); });
  return node;
}

NodeServer::~NodeServer() { stop(); }

void NodeServer::stop() {
  stopping_ = true;
  if (listener_) listener_->shutdown();
  if (accept_thread_.joinable()) accept_thread_.join();
  reap(true);
}

void NodeServer::drain(std::chrono::milliseconds patience) {
  draining_ = true;
  listener_->shutdown();
  const SteadyTime until = deadline_in(patience);
  std::unique_lock lock(mutex_);
  idle_changed_.wait_until(lock, until, [this] { return requests_running_ == 0; });
  lock.unlock();
  stop();
}

void NodeServer::accept_loop() {
  while (!stopping_ && !draining_) {
    auto accepted = listener_->accept(deadline_in(std::chrono::seconds(1)));
    reap(false);
    if (!accepted) {
      if (accepted.error().code == ErrorCode::kDisconnected) return;
      if (accepted.error().code == ErrorCode::kOverloaded) log(LogLevel::kWarning, accepted.error().message);
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (connections_.size() >= options_.connections_max) {
      log(LogLevel::kWarning, fmt::format("refused {}: {} connections are open", (*accepted)->peer(), connections_.size()));
      continue;
    }
    auto connection = std::make_unique<Connection_>(std::move(*accepted));
    Connection_& entry = *connections_.emplace_back(std::move(connection));
    entry.thread = std::thread([this, &entry] {
      serve(entry);
      entry.finished = true;
    });
  }
}

void NodeServer::reap(bool all) {
  std::list<std::unique_ptr<Connection_>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = connections_.begin(); it != connections_.end();) {
      const auto next = std::next(it);
      if (all) (*it)->channel.shutdown();
      if (all || (*it)->finished) ended.splice(ended.end(), connections_, it);
      it = next;
    }
    if (all)
      for (const auto& [session, weak] : callers_)
        if (const auto caller = weak.lock()) caller->cancel_all();
    std::erase_if(callers_, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
  }
  for (const auto& connection : ended) connection->thread.join();
}

void NodeServer::serve(Connection_& connection) {
  // Whatever a peer makes us throw (out of memory at worst) ends its connection and nothing else.
  try {
    if (const Status greeted = greet(connection); !greeted) {
      log(LogLevel::kInfo, fmt::format("refused {}: {}", connection.channel.connection().peer(), greeted.error().message));
    } else if (connection.hello.kind == wire::ConnectionKind::kControl) {
      serve_control(connection);
      connection.caller->cancel_all();
    } else {
      serve_data(connection);
    }
  } catch (const std::exception& error) {
    log(LogLevel::kError, fmt::format("connection {} ended: {}", connection.channel.connection().peer(), error.what()));
  }
  // An ERROR that ended the connection must arrive before the end of the stream does.
  if (!stopping_) connection.channel.connection().finish(deadline_in(kFarewell));
  connection.channel.shutdown();
  connection.caller.reset();
}

Status NodeServer::greet(Connection_& connection) {
  Channel& channel = connection.channel;
  const SteadyTime deadline = deadline_in(limits::kHandshakeTimeout);
  TIDELINE_TRY(connection.hello, channel.await_hello(deadline));
  wire::Hello ours;
  ours.role = wire::Role::kNode;
  ours.kind = connection.hello.kind;
  ours.session = connection.hello.session;
  ours.name = options_.name;
  if (draining_) {
    const Error refusal{ErrorCode::kOverloaded, "[node] this node is shutting down; use another or wait"};
    return channel.welcome(ours, connection.hello, &refusal, deadline);
  }
  TIDELINE_CHECK_OK(channel.welcome(ours, connection.hello, nullptr, deadline));
  const std::lock_guard lock(mutex_);
  std::weak_ptr<Caller>& known = callers_[connection.hello.session];
  connection.caller = known.lock();
  if (!connection.caller) {
    connection.caller = std::make_shared<Caller>();
    connection.caller->session = connection.hello.session;
    known = connection.caller;
  }
  return {};
}

Status NodeServer::refuse(Channel& channel, std::uint64_t request_id, const Error& error) {
  return channel.send(request_id, wire::to_message(error, options_.name), deadline_in(kAnswerTimeout));
}

void NodeServer::serve_control(Connection_& connection) {
  Channel& channel = connection.channel;
  while (!stopping_) {
    auto frame = channel.receive(deadline_in(options_.idle_timeout));
    if (!frame) return;
    const SteadyTime deadline = deadline_in(kAnswerTimeout);
    switch (frame->header.type) {
      case wire::FrameType::kPing:
        // Heartbeats only: bulk belongs on a data connection.
        if (frame->header.payload_bytes > 0 || !handle_ping(channel, *frame)) return;
        break;
      case wire::FrameType::kCancel: {
        if (!channel.skip_payload(*frame, deadline)) return;
        CancelToken token;
        {
          const std::lock_guard lock(connection.caller->mutex);
          const auto found = connection.caller->running.find(frame->header.request_id);
          if (found != connection.caller->running.end()) token = found->second;
        }
        token.cancel();
        break;
      }
      case wire::FrameType::kGetStatus:
        if (!channel.skip_payload(*frame, deadline) || !channel.send(frame->header.request_id, status(), deadline)) return;
        break;
      default:
        (void)refuse(channel, 0,
                     Error{ErrorCode::kCorrupt, fmt::format("[node] {} does not belong on a control connection",
                                                            wire::to_string(frame->header.type))});
        return;
    }
  }
}

void NodeServer::serve_data(Connection_& connection) {
  Channel& channel = connection.channel;
  while (!stopping_) {
    auto frame = channel.receive(deadline_in(options_.idle_timeout));
    if (!frame) {
      if (frame.error().code == ErrorCode::kCorrupt)
        log(LogLevel::kWarning, fmt::format("{}: {}", channel.connection().peer(), frame.error().message));
      return;
    }
    if (!handle(connection, *frame)) return;
  }
}

// Errors of the request are answered; an Error from here means that the connection cannot go on.
Status NodeServer::handle(Connection_& connection, const Frame& frame) {
  const SteadyTime arrived = Clock::now();
  Channel& channel = connection.channel;
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  const std::uint64_t id = frame.header.request_id;
  switch (frame.header.type) {
    case wire::FrameType::kRun: return handle_run(connection, frame, arrived);
    case wire::FrameType::kPutSegment: return handle_put(connection, frame);
    case wire::FrameType::kPing: return handle_ping(channel, frame);
    case wire::FrameType::kGetStatus:
      TIDELINE_CHECK_OK(channel.skip_payload(frame, deadline));
      return channel.send(id, status(), deadline);
    case wire::FrameType::kHasSegments: {
      TIDELINE_TRY(const auto question, decode<wire::HasSegments>(frame));
      wire::SegmentsMissing answer;
      for (const Sha256& hash : question.hashes) {
        if (store_->has(hash)) continue;
        TIDELINE_TRY(const std::uint64_t here, store_->resume_at(hash));
        answer.missing.push_back({hash, here});
      }
      return channel.send(id, answer, deadline);
    }
    case wire::FrameType::kInstall: {
      TIDELINE_TRY(const auto request, decode<wire::Install>(frame));
      const auto installed = install(*connection.caller, request);
      if (!installed) return refuse(channel, id, installed.error());
      return channel.send(id, *installed, deadline);
    }
    case wire::FrameType::kUninstall: {
      TIDELINE_TRY(const auto request, decode<wire::Uninstall>(frame));
      wire::Uninstalled answer;
      {
        const std::lock_guard lock(connection.caller->mutex);
        answer.stages = static_cast<std::uint32_t>(
            std::erase_if(connection.caller->stages, [&](const auto& entry) { return entry.first.first <= request.epoch; }));
      }
      return channel.send(id, answer, deadline);
    }
    default: {
      const Error wrong{ErrorCode::kCorrupt,
                        fmt::format("[node] {} is not for a node to receive here", wire::to_string(frame.header.type))};
      if (frame.header.type != wire::FrameType::kGoodbye) (void)refuse(channel, 0, wrong);
      return wrong;
    }
  }
}

Status NodeServer::handle_ping(Channel& channel, const Frame& frame) {
  const SteadyTime start = Clock::now();
  TIDELINE_TRY(const auto ping, decode<wire::Ping>(frame));
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  TIDELINE_CHECK_OK(channel.skip_payload(frame, deadline));
  const wire::Pong pong{frame.header.payload_bytes, nanoseconds(Clock::now() - start)};
  if (ping.reply_bytes == 0) return channel.send(frame.header.request_id, pong, deadline);
  const std::vector<std::byte> payload(ping.reply_bytes);
  const std::span<const std::byte> pieces[] = {payload};
  return channel.send(frame.header.request_id, pong, pieces, deadline);
}

Status NodeServer::handle_put(Connection_& connection, const Frame& frame) {
  Channel& channel = connection.channel;
  const SteadyTime deadline = deadline_in(kAnswerTimeout);
  TIDELINE_TRY(const auto request, decode<wire::PutSegment>(frame));
  const std::span<std::byte> piece = connection.buffers.get(kSegmentPieceSlot, frame.header.payload_bytes);
  const std::span<std::byte> pieces[] = {piece};
  TIDELINE_CHECK_OK(channel.receive_payload(frame, pieces, deadline));
  wire::SegmentProgress progress{request.hash, 0, false};
  Status stored = store_->put(request.hash, request.total_bytes, request.offset, piece);
  if (!stored && stored.error().code != ErrorCode::kInvalidArgument)
    return refuse(channel, frame.header.request_id, stored.error());
  progress.complete = store_->has(request.hash);
  if (progress.complete) {
    progress.have_bytes = request.total_bytes;
  } else {
    // Also the answer to a piece from the wrong place: where the upload stands.
    TIDELINE_TRY(progress.have_bytes, store_->resume_at(request.hash));
  }
  return channel.send(frame.header.request_id, progress, deadline);
}

Result<std::shared_ptr<LoadedSegment>> NodeServer::load(const Sha256& hash) {
  Bytes loaded_bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = loaded_[hash].lock()) return known;
    for (const auto& [other, weak] : loaded_)
      if (const auto segment = weak.lock()) loaded_bytes += segment->package_bytes;
  }
  TIDELINE_TRY(const std::string package, store_->read(hash));
  if (options_.memory_bytes > 0 && loaded_bytes + package.size() > options_.memory_bytes)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] the segment needs {} and {} of {} are in use; raise `memory` or place fewer blocks here",
                             format_bytes(package.size()), format_bytes(loaded_bytes), format_bytes(options_.memory_bytes))};
  auto segment = std::make_shared<LoadedSegment>();
  segment->package_bytes = package.size();
  TIDELINE_TRY(segment->session, engine_.load(package, {.deadline = deadline_in(kLoadTimeout)}));
  const std::lock_guard lock(mutex_);
  loaded_[hash] = segment;
  return segment;
}

Result<wire::Installed> NodeServer::install(Caller& caller, const wire::Install& request) {
  const SteadyTime start = Clock::now();
  wire::Installed answer{request.epoch, request.stage, 0};
  std::shared_ptr<LoadedSegment> segment;
  if (request.segment) {
    TIDELINE_TRY(segment, load(*request.segment));
    answer.load_ns = nanoseconds(Clock::now() - start);
  }
  std::shared_ptr<Peer> next;
  if (!request.next_address.empty()) {
    const std::string key = request.next_node + "@" + request.next_address;
    {
      const std::lock_guard lock(caller.mutex);
      if (const auto found = caller.peers.find(key); found != caller.peers.end() && found->second->alive()) next = found->second;
    }
    if (!next) {
      TIDELINE_TRY(const Address address, parse_address(request.next_address));
      TIDELINE_TRY(auto peer, Peer::connect({.transport = &onward_,
                                             .address = address,
                                             .session = caller.session,
                                             .own_name = options_.name,
                                             .peer_name = request.next_node,
                                             .role = wire::Role::kNode},
                                            deadline_in(limits::kConnectTimeout)));
      next = std::move(peer);
      const std::lock_guard lock(caller.mutex);
      caller.peers[key] = next;
    }
  }
  StageOptions stage_options;
  stage_options.node_name = options_.name;
  stage_options.slowdown = options_.slowdown;
  stage_options.result_bytes_max = options_.request_bytes;
  TIDELINE_TRY(auto stage, Stage::make(request, std::move(segment), std::move(next), slot_, stage_options));
  const std::lock_guard lock(caller.mutex);
  if (caller.stages.size() >= kStagesPerCallerMax)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] {} stages are installed already; uninstall older plans", kStagesPerCallerMax)};
  caller.stages[{request.epoch, request.stage}] = std::move(stage);
  log(LogLevel::kInfo,
      fmt::format("installed stage {} of plan {}: {}", request.stage, request.epoch,
                  request.segment ? "segment " + request.segment->hex().substr(0, 12) : std::string("passes on")));
  return answer;
}

Status NodeServer::handle_run(Connection_& connection, const Frame& frame, SteadyTime arrived) {
  Channel& channel = connection.channel;
  Caller& caller = *connection.caller;
  const std::uint64_t id = frame.header.request_id;
  TIDELINE_TRY(const auto run, decode<wire::Run>(frame));
  const SteadyTime deadline =
      arrived + std::min<std::chrono::microseconds>(std::chrono::microseconds(run.deadline_us), std::chrono::hours(24));

  std::shared_ptr<Stage> stage;
  CancelToken token;
  {
    const std::lock_guard lock(caller.mutex);
    if (const auto found = caller.stages.find({run.epoch, run.stage}); found != caller.stages.end()) stage = found->second;
    caller.running[id] = token;
  }
  ++requests_running_;
  struct Finish {
    NodeServer& node;
    Caller& caller;
    std::uint64_t id;
    ~Finish() {
      {
        const std::lock_guard lock(caller.mutex);
        caller.running.erase(id);
      }
      // Under the mutex, so that drain() cannot miss the change between its test and its wait.
      const std::lock_guard lock(node.mutex_);
      if (--node.requests_running_ == 0) node.idle_changed_.notify_all();
    }
  } const finish{*this, caller, id};

  TensorSet inputs;
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    if (!stage)
      return Error{ErrorCode::kNotFound, fmt::format("[node] plan {} is not installed here; install it again", run.epoch)};
    if (draining_) return Error{ErrorCode::kOverloaded, "[node] this node is shutting down"};
    if (frame.header.payload_bytes > options_.request_bytes)
      return Error{ErrorCode::kOverloaded,
                   fmt::format("[node] a request of {} is above the limit of {} (--request-bytes)",
                               format_bytes(frame.header.payload_bytes), format_bytes(options_.request_bytes))};
    TIDELINE_CHECK_OK(stage->accepts(tensor));
    if (run.tensors.size() != stage->install().inputs.size() || tensor.index != position)
      return Error{ErrorCode::kCorrupt, "[node] a request must bring each input of its stage once, in order"};
    inputs.specs.push_back({stage->install().inputs[position], tensor.dtype, tensor.shape});
    const std::span<std::byte> buffer = connection.buffers.get(position, tensor.bytes);
    inputs.bytes.push_back(buffer);
    return buffer;
  };
  const Status received = receive_tensors(channel, frame, run.tensors, buffer_for, deadline);
  if (!received) {
    ++requests_failed_;
    // A refusal leaves the stream in step and is answered; a broken stream shows itself at the next receive.
    return refuse(channel, id, received.error());
  }
  if (run.tensors.empty() || !stage) {
    ++requests_failed_;
    return refuse(channel, id, Error{ErrorCode::kInvalidArgument, "[node] a request without tensors, or without its plan"});
  }
  wire::StageTiming timing;
  timing.receive_ns = nanoseconds(Clock::now() - arrived);
  auto reply = stage->run(inputs, timing, arrived, connection.buffers, deadline, token);
  if (!reply) {
    ++requests_failed_;
    return refuse(channel, id, reply.error());
  }
  wire::RunResult result;
  result.epoch = run.epoch;
  result.stages = std::move(reply->timings);
  for (std::size_t i = 0; i < reply->tensors.specs.size(); ++i) {
    const TensorSpec& spec = reply->tensors.specs[i];
    auto tensor = wire::wire_tensor(static_cast<std::uint16_t>(i), spec.dtype, spec.shape);
    if (!tensor) return refuse(channel, id, tensor.error());
    result.tensors.push_back(std::move(*tensor));
  }
  const Status sent = channel.send(id, result, reply->tensors.bytes, std::max(deadline, deadline_in(std::chrono::seconds(1))));
  if (!sent && sent.error().code == ErrorCode::kInvalidArgument) return refuse(channel, id, sent.error());
  ++requests_done_;
  return sent;
}

wire::NodeStatus NodeServer::status() {
  wire::NodeStatus status;
  status.name = options_.name;
  status.version = "0.1.0";
  status.engine = engine_.version();
  status.threads = static_cast<std::uint32_t>(engine_.threads());
  status.uptime_ms = nanoseconds(Clock::now() - started_at_) / 1'000'000;
  status.memory_bytes = resident_bytes();
  status.memory_limit_bytes = options_.memory_bytes;
  status.requests_done = requests_done_;
  status.requests_failed = requests_failed_;
  status.requests_running = requests_running_;
  status.draining = draining_;
  const std::lock_guard lock(mutex_);
  status.connections = static_cast<std::uint32_t>(connections_.size());
  for (const auto& [hash, weak] : loaded_) status.segments_loaded += weak.expired() ? 0 : 1;
  return status;
}

}  // namespace tideline
