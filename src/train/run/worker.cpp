#include "train/run/worker.h"

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "platform/host.h"
#include "train/exchange/update_codec.h"
#include "train/protocol/messages.h"
#include "train/run/guarded.h"
#include "train/run/peers.h"
#include "train/strategy/draw.h"
#include "train/strategy/strategy.h"
#include "transport/wait.h"

namespace tideline::train {
namespace {

// Callers whose HELLO is awaited: a stranger that calls without end gets no more threads than that.
constexpr std::size_t kGreetersMax = 128;

// Who calls a worker: first its coordinator, then other workers of the same run.
class Doorway {
 public:
  Doorway(Listener& listener, const CancelToken& cancel)
      : listener_(listener), watch_(cancel.watch([this] { close(); })), acceptor_([this] { accept(); }) {}
  ~Doorway() {
    close();
    acceptor_.join();
    for (Greeter& greeter : greeters_) greeter.thread.join();
  }

  // The first one to call in that role, at the start or since release().
  Result<std::unique_ptr<Channel>> coordinator(SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    const bool has_come = wait_for(changed_, lock, deadline, [&] { return coordinator_ != nullptr || closed_; });
    if (coordinator_ == nullptr)
      return Error{ErrorCode::kDisconnected, has_come ? "[train] interrupted" : "[train] no coordinator has called"};
    return std::move(coordinator_);
  }
  // The coordinator is gone: it may call again, and so may that of another run.
  void release() {
    const std::lock_guard lock(mutex_);
    is_free_ = true;
  }
  // REQUIRES: a coordinator has come.
  wire::SessionId session() {
    const std::lock_guard lock(mutex_);
    return *session_;
  }
  // From now on workers of the session are let in; null: nobody is.
  void let_in(PeerNetwork* peers) {
    const std::lock_guard lock(mutex_);
    peers_ = peers;
    changed_.notify_all();
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      for (Connection* connection : greeting_) connection->shutdown();
    }
    changed_.notify_all();
    listener_.shutdown();
  }

 private:
  struct Greeter {
    std::thread thread;
    bool is_done = false;
  };

  void accept() {
    while (true) {
      auto connection = listener_.accept(kNoDeadline);
      if (!connection && connection.error().code == ErrorCode::kOverloaded) continue;
      if (!connection) return;
      // What there is no memory or thread for is hung up on.
      (void)guarded([&] { begin_greeting(std::move(*connection)); });
      const std::lock_guard lock(mutex_);
      if (closed_) return;
    }
  }

  void begin_greeting(std::unique_ptr<Connection> connection) {
    auto channel = std::make_shared<std::unique_ptr<Channel>>(std::make_unique<Channel>(std::move(connection)));
    const std::lock_guard lock(mutex_);
    for (auto it = greeters_.begin(); it != greeters_.end();) {
      if (it->is_done) it->thread.join();
      it = it->is_done ? greeters_.erase(it) : std::next(it);
    }
    if (closed_ || greeters_.size() >= kGreetersMax) return;
    Connection* const greeted = &(*channel)->connection();
    Greeter& greeter = greeters_.emplace_back();
    const Status begun =
        guarded([&] { greeter.thread = std::thread([this, channel, &greeter] { greet(std::move(*channel), greeter); }); });
    if (begun)
      greeting_.push_back(greeted);
    else
      greeters_.pop_back();
  }

  void greet(std::unique_ptr<Channel> channel, Greeter& greeter) {
    Connection* const connection = &channel->connection();
    const auto hello = channel->await_hello(deadline_in(limits::kHandshakeTimeout));
    std::unique_lock lock(mutex_);
    if (hello) take(std::move(channel), *hello, lock);
    std::erase(greeting_, connection);
    greeter.is_done = true;
  }

  // REQUIRES: the lock is held. Whatever happens to `channel`, its place in greeting_ is cleared by the caller.
  void take(std::unique_ptr<Channel> channel, const wire::Hello& hello, std::unique_lock<std::mutex>& lock) {
    const auto worker = worker_of_name(hello.name);
    std::optional<Error> refusal;
    if (worker && !session_) {
      refusal = Error{ErrorCode::kInvalidArgument, "this worker has no coordinator yet"};
    } else if (worker ? hello.session != *session_ : !is_free_) {
      refusal = Error{ErrorCode::kInvalidArgument, "this worker belongs to another run"};
    }
    if (!refusal && worker) {
      // A member may be told of the round before this one is.
      wait_for(changed_, lock, deadline_in(limits::kHandshakeTimeout), [&] { return peers_ != nullptr || closed_; });
      if (peers_ == nullptr) refusal = Error{ErrorCode::kInvalidArgument, "this worker takes no pieces from others"};
    }
    // One coordinator, even if two call at the same time; and nobody waits for a slow caller with the lock held.
    const bool is_coordinator = !refusal && !worker;
    const auto before = session_;
    if (is_coordinator) {
      session_ = hello.session;
      is_free_ = false;
    }
    lock.unlock();
    const wire::Hello ours{.role = wire::Role::kNode, .name = "worker"};
    const Status welcomed = channel->welcome(ours, hello, refusal ? &*refusal : nullptr, deadline_in(limits::kHandshakeTimeout));
    lock.lock();
    if (!welcomed) {
      if (is_coordinator) {
        session_ = before;
        is_free_ = true;
      }
      return;
    }
    if (closed_) return;
    if (is_coordinator) {
      coordinator_ = std::move(channel);
      changed_.notify_all();
    } else if (peers_ != nullptr) {
      peers_->adopt(*worker, std::move(channel));
    }
  }

  Listener& listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  std::optional<wire::SessionId> session_;
  bool is_free_ = true;  // no coordinator holds it
  std::unique_ptr<Channel> coordinator_;
  PeerNetwork* peers_ = nullptr;
  std::vector<Connection*> greeting_;
  std::list<Greeter> greeters_;
  CancelToken::Watch watch_;
  std::thread acceptor_;
};

// One run, once its coordinator has said what it is; however often that one's connection is lost and made anew.
class WorkerRun {
 public:
  WorkerRun(const WorkerOptions& options, Doorway& doorway) : options_(options), doorway_(doorway), session_(doorway.session()) {}
  ~WorkerRun() { doorway_.let_in(nullptr); }
  const wire::SessionId& session() const { return session_; }

  // Until GOODBYE.
  Status serve(Channel& channel) {
    channel_ = &channel;
    is_broken_ = false;
    while (true) {
      TIDELINE_TRY(const Frame frame, channel.receive(kNoDeadline));
      if (frame.header.type == wire::FrameType::kGoodbye) return {};
      Status answered;
      // Nothing that is thrown in the middle of an answer leaves a connection that can go on.
      TIDELINE_CHECK_OK(guarded([&] {
        switch (frame.header.type) {
          case wire::FrameType::kTrainSetup: answered = answer<TrainSetup>(frame); break;
          case wire::FrameType::kTrainWork: answered = answer<TrainWork>(frame); break;
          case wire::FrameType::kTrainFetch: answered = answer<TrainFetch>(frame); break;
          default:
            answered =
                Error{ErrorCode::kCorrupt, fmt::format("[train] a worker does not answer {}", to_string(frame.header.type))};
        }
      }));
      TIDELINE_CHECK_OK(answered);
    }
  }

 private:
  // An error of its own ends the request and not the run: it is sent instead of the answer. What is returned ends the run.
  template <class Message>
  Status answer(const Frame& frame) {
    TIDELINE_TRY(const Message message, decode_train<Message>(frame));
    // Takes memory only as it is filled: a stranger may announce much and send nothing.
    Buffer payload(static_cast<std::size_t>(frame.header.payload_bytes));
    const std::uint64_t id = frame.header.request_id;
    const std::span<std::byte> piece = payload.span();
    if (!piece.empty()) TIDELINE_CHECK_OK(channel_->receive_payload(frame, {&piece, 1}, kNoDeadline));
    Status done;
    if (const Status thrown = guarded([&] { done = handle(message, piece, id); }); !thrown) done = thrown;
    if (done || is_broken_) return done;
    // Another member that sent what no member may is named; else it is this one's own failure.
    const auto accused = peers_ == nullptr ? std::nullopt : peers_->take_accused();
    return channel_->send(id, wire::to_message(done.error(), worker_name(accused.value_or(worker_))), kNoDeadline);
  }

  Status handle(const TrainSetup& setup, std::span<const std::byte> payload, std::uint64_t id) {
    const std::string_view text(reinterpret_cast<const char*>(setup.job.data()), setup.job.size());
    const auto model_bytes = static_cast<std::size_t>(setup.model_bytes);
    const std::string_view model(reinterpret_cast<const char*>(payload.data()), model_bytes);
    const std::string digest = sha256(model).hex();
    const bool is_known = learner_ != nullptr && text == text_ && digest == model_digest_ && setup.worker == worker_;
    if (rule_ != nullptr && !is_known) return Error{ErrorCode::kInvalidArgument, "this worker is set up already"};
    // A set-up that fails leaves nothing that could be asked to work.
    rule_.reset();
    if (!is_known) {
      doorway_.let_in(nullptr);
      peers_.reset();
      learner_.reset();
      TIDELINE_TRY(job_, parse_job(text, "job"));
      if (job_.workers != setup.workers)
        return Error{ErrorCode::kInvalidArgument, fmt::format("the job has {} workers, not {}", job_.workers, setup.workers)};
      worker_ = setup.worker;
      TIDELINE_TRY(learner_, options_.make_learner(job_, worker_, std::string(model)));
      text_ = text;
      model_digest_ = digest;
    }
    const std::size_t numbers = learner_->parameters().size() + learner_->buffers().size();
    const ModelSize size{learner_->parameters().size(), learner_->buffers().size(), learner_->layers()};
    TIDELINE_TRY(codec_, make_update_codec(job_.compression, size, seed_of(job_.seed, DrawFor::kCompression, {worker_})));
    auto rule = make_worker_rule(job_, worker_, *learner_);
    if (setup.state_bytes > 0) TIDELINE_CHECK_OK(load(*rule, payload.subspan(model_bytes)));
    if (job_.exchange != Exchange::kParameterServer && peers_ == nullptr) {
      // What is exchanged has a number behind the model.
      peers_ = std::make_unique<PeerNetwork>(options_.transport, worker_, session_, numbers + 1,
                                             std::chrono::duration_cast<Nanos>(job_.deadlines.patience),
                                             [this] { return options_.cancel.cancelled() || channel_->connection().ended(); });
      doorway_.let_in(peers_.get());
    }
    rule_ = std::move(rule);
    return say(id, TrainReady{learner_->samples(), learner_->parameters().size(), learner_->buffers().size()}, {});
  }

  Status handle(const TrainWork& work, std::span<const std::byte> payload, std::uint64_t id) {
    TIDELINE_CHECK_OK(need_setup());
    std::vector<float> model(payload.size() / sizeof(float));
    if (!payload.empty()) std::memcpy(model.data(), payload.data(), payload.size());
    const std::size_t numbers = learner_->parameters().size() + learner_->buffers().size();
    if (!model.empty() && model.size() != numbers)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("a model of {} numbers was sent for one of {}", model.size(), numbers)};
    if (model.empty() && peers_ == nullptr) return Error{ErrorCode::kInvalidArgument, "no model was sent"};
    if (work.commit) rule_->commit(*learner_);
    TrainUpdate update{.round = work.round, .attempt = work.attempt};
    if (peers_ != nullptr) {
      TIDELINE_CHECK_OK(peers_->begin(work.round, work.attempt, work.members));
      update.replica_crc32c = wire::crc32c(std::as_bytes(learner_->parameters()));
    }
    const Nanos before = thread_cpu_time();
    auto done =
        rule_->work(*learner_, {.round = work.round, .model = model, .codec = codec_.get(), .rounds = work.rounds}, peers_.get());
    update.compute_ns = static_cast<std::uint64_t>((thread_cpu_time() - before).count());
    if (!done) {
      if (peers_ != nullptr) peers_->abort();
      return done.error();
    }
    update.samples = done->samples;
    update.correct = done->correct;
    update.loss = done->loss;
    std::vector<std::byte> bytes;
    if (peers_ != nullptr) {
      const PeerNetwork::Bytes moved = peers_->take_bytes();
      update.peer_sent_bytes = moved.sent;
      update.peer_received_bytes = moved.received;
    } else {
      TIDELINE_TRY(bytes, codec_->encode(done->update, {.round = work.round, .loss = done->loss}));
    }
    return say(id, update, bytes);
  }

  Status handle(const TrainFetch& fetch, std::span<const std::byte>, std::uint64_t id) {
    TIDELINE_CHECK_OK(need_setup());
    if (fetch.commit) rule_->commit(*learner_);
    if (fetch.what == TrainFetch::What::kModel) {
      const std::vector<float> model = rule_->model(*learner_);
      return say(id, TrainState{fetch.what}, std::as_bytes(std::span(model)));
    }
    StateWriter state;
    const std::vector<std::byte> memory = codec_->memory();
    state.number(memory.size());
    state.raw(memory);
    rule_->save(*learner_, state);
    return say(id, TrainState{fetch.what}, state.take());
  }

  Status load(WorkerRule& rule, std::span<const std::byte> state) {
    StateReader reader(state);
    TIDELINE_TRY(const std::uint64_t memory_bytes, reader.number());
    TIDELINE_TRY(const std::span<const std::byte> memory, reader.raw(memory_bytes));
    TIDELINE_CHECK_OK(codec_->restore(memory));
    TIDELINE_CHECK_OK(rule.load(*learner_, reader));
    return reader.finish();
  }
  Status need_setup() const {
    if (rule_ != nullptr) return {};
    return Error{ErrorCode::kInvalidArgument, "this worker is not set up"};
  }
  template <class Message>
  Status say(std::uint64_t id, const Message& message, std::span<const std::byte> payload) {
    const Status sent =
        send_train(*channel_, id, message, payload.empty() ? ConstPieces{} : ConstPieces{&payload, 1}, kNoDeadline);
    is_broken_ = !sent && sent.error().code == ErrorCode::kDisconnected;
    return sent;
  }

  const WorkerOptions& options_;
  Doorway& doorway_;
  const wire::SessionId session_;
  Channel* channel_ = nullptr;
  std::string text_;          // of the job
  std::string model_digest_;  // of the file that the learner was made of
  Job job_;
  std::uint32_t worker_ = 0;
  bool is_broken_ = false;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<UpdateCodec> codec_;
  std::unique_ptr<WorkerRule> rule_;
  std::unique_ptr<PeerNetwork> peers_;
};

}  // namespace

Status run_worker(const WorkerOptions& options) {
  Doorway doorway(options.listener, options.cancel);
  std::unique_ptr<WorkerRun> run;
  std::unique_ptr<Channel> channel;
  Status last;
  while (true) {
    auto caller = doorway.coordinator(deadline_in(run == nullptr ? limits::kTrainOrphanPatience : options.return_patience));
    if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[train] interrupted"};
    if (!caller) return run == nullptr ? Status(caller.error()) : last;
    channel = std::move(*caller);
    if (run == nullptr || run->session() != doorway.session()) {
      run.reset();
      run = std::make_unique<WorkerRun>(options, doorway);
    }
    const auto watch = options.cancel.watch([&] { channel->shutdown(); });
    last = run->serve(*channel);
    if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[train] interrupted"};
    if (last) return last;
    channel->shutdown();
    if (last.error().code != ErrorCode::kDisconnected) return last;
    doorway.release();
  }
}

}  // namespace tideline::train
