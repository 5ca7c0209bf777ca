// Peer: the calling end of one node; what a caller has of the first node and a node of the next one along the chain.
//
// Holds one control connection with a heartbeat, one data connection that all RUNs share (client/run_line.h), and as many others
// as there are management calls at once. A peer that is gone, frozen or lying ends every call with a typed error before its
// deadline: kDisconnected when heartbeats stop, kDeadlineExceeded, kCorrupt when its bytes make no sense. After kDisconnected the
// Peer stays dead; connect another. A resource; thread-safe. The transport must outlive it.
//
//   const PeerOptions options{.transport = &tcp, .address = address, .session = id, .own_name = "caller"};
//   TIDELINE_TRY(const auto peer, Peer::connect(options, deadline_in(3s)));
//   TIDELINE_TRY(const auto missing, peer->missing_segments(hashes, deadline_in(3s)));
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "client/run_line.h"
#include "transport/channel.h"
#include "transport/transport.h"
#include "wire/messages.h"

namespace tideline {

struct PeerOptions {
  Transport* transport = nullptr;
  Address address;
  wire::SessionId session;
  std::string own_name;
  std::string peer_name;  // for errors; the peer's HELLO must say the same unless this is empty
  wire::Role role = wire::Role::kCaller;
  // Errors name the peer and not where it is: for a node, whose errors travel to strangers.
  bool hide_address = false;
};

class Peer {
 public:
  static Result<std::unique_ptr<Peer>> connect(const PeerOptions& options, SteadyTime deadline);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const std::string& name() const { return name_; }
  bool alive() const { return alive_.load(std::memory_order_acquire); }
  // The same, but looks: the next heartbeat may be a quarter of a second away. One system call.
  bool still_there();

  // Management, of the peer or of the node at the end of `via`, to which the nodes in between pass it on. An empty path is the
  // peer.
  using Path = std::vector<wire::Forward::Hop>;
  Result<std::vector<wire::SegmentsMissing::Entry>> missing_segments(const std::vector<Sha256>& hashes, SteadyTime deadline,
                                                                     const Path& via = {});
  // In pieces, from `from_byte` on; calls `progress`, which may be empty, with the bytes that have arrived.
  Status push_segment(const Sha256& hash, std::string_view bytes, std::uint64_t from_byte, const CancelToken& cancel,
                      const std::function<void(std::uint64_t)>& progress, const Path& via = {});
  Result<wire::Installed> install(const wire::Install& install, SteadyTime deadline, const Path& via = {});
  Result<wire::ProgramInstalled> install(const wire::InstallProgram& program, SteadyTime deadline, const Path& via = {});
  // Forgets the session's stages there up to and with `epoch`.
  Result<wire::Uninstalled> uninstall(std::uint64_t epoch, SteadyTime deadline, const Path& via = {});
  Result<wire::NodeStatus> status(SteadyTime deadline, const Path& via = {});
  struct PingReport {
    Nanos total{0};
    wire::Pong pong;
  };
  // On a data connection of its own: `payload_bytes` there, `reply_bytes` back; each at most limits::kPingPayloadBytesMax.
  Result<PingReport> ping(std::uint64_t payload_bytes, std::uint64_t reply_bytes, SteadyTime deadline, const Path& via = {});
  // Whether it knows programs, credits and forwarding.
  bool flows() const { return flows_; }
  // Whether its stages may have shares.
  bool knows_shares() const { return knows_shares_; }
  // Whether its stages may have codecs.
  bool knows_codecs() const { return knows_codecs_; }

  // One request. The result's tensors go straight into the buffers that `buffer_for` gives. At cancellation the peer is told, and
  // the call returns kCancelled when it has answered, or after a short grace. Many may run at once.
  Result<wire::RunResult> run(const wire::Run& run, ConstPieces payload, const TensorBuffer& buffer_for, SteadyTime deadline,
                              const CancelToken& cancel, CallTiming* timing);
  // The same in two parts, so that one thread can have many under way: sends as soon as the peer has room for it; then finish()
  // waits for the answer, which is one whatever happens. `buffer_for` may be called until finish() has returned.
  class Pending;
  Result<std::unique_ptr<Pending>> start(const wire::Run& run, ConstPieces payload, TensorBuffer buffer_for, SteadyTime deadline,
                                         const CancelToken& cancel);
  Result<wire::RunResult> finish(Pending& pending, CallTiming* timing);

  // Opens the connection of the RUNs, so that the first of them does not pay for it.
  Status prepare_runs(SteadyTime deadline);
  // Whether an idle connection had ended unnoticed before anything of it was answered: another try goes over a fresh one.
  bool may_try_again(const Pending& pending, const Error& error) const;

  // For a node that calls on (node/call_line.h): a data connection of its own, ended with the peer; what goes over it, so that
  // heartbeats may wait behind it; and a frame passed on as it is.
  struct Line {
    std::unique_ptr<Channel> channel;
    bool flow = false;
  };
  Result<Line> open_line(SteadyTime deadline);
  void forget(Channel& channel);
  void count_bytes(std::int64_t bytes) { bytes_in_flight_ += static_cast<std::uint64_t>(bytes); }
  void send_cancel(std::uint64_t request_id);
  Error explain(Error error) const;
  struct Answer {
    wire::FrameType type = wire::FrameType::kError;
    std::vector<std::byte> meta;
    Buffer payload;
  };
  Result<Answer> relay(wire::FrameType type, std::span<const std::byte> meta, ConstPieces payload, SteadyTime deadline);
  Result<Answer> relay(const wire::Forward& forward, ConstPieces payload, SteadyTime deadline);
  // Ends all its connections; it is dead then.
  void shut_down();

 private:
  // A data connection; back to the idle ones when it goes out of scope unbroken.
  class Lease;
  // Bytes of a call under way, counted for as long as it lives.
  class InFlight;

  explicit Peer(PeerOptions options) : options_(std::move(options)) {}
  Result<std::unique_ptr<Channel>> open(wire::ConnectionKind kind, SteadyTime deadline);
  // A new connection, or one that was used before and has not ended since.
  Result<std::unique_ptr<Lease>> lease(SteadyTime deadline, bool fresh = false);
  // Calls `attempt` with a connection; once more with a fresh one when a used one had ended before it answered anything.
  template <class Attempt>
  auto with_connection(SteadyTime deadline, Attempt attempt) -> decltype(attempt(std::declval<Lease&>()));
  void heartbeat();
  void declare_dead();
  template <class Message, class Question>
  Result<Message> ask(const Question& question, ConstPieces payload, SteadyTime deadline, const Path& via);
  struct Runs {
    std::shared_ptr<RunLine> line;
    bool used_before = false;
  };
  // The line of the RUNs; another when `not_this` is it.
  Result<Runs> run_line(SteadyTime deadline, const RunLine* not_this);

  PeerOptions options_;
  std::string name_;
  std::atomic<bool> alive_{true};
  std::atomic<std::uint64_t> next_request_{1};
  // Bytes of the calls under way: heartbeats may wait behind them on a slow link.
  std::atomic<std::uint64_t> bytes_in_flight_{0};

  bool flows_ = false;
  bool knows_codecs_ = false;
  bool knows_shares_ = false;
  std::unique_ptr<Channel> control_;
  std::mutex control_send_mutex_;
  std::thread heartbeat_thread_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable stop_changed_;
  bool stop_ = false;
  std::vector<std::unique_ptr<Channel>> idle_;
  std::vector<Channel*> open_;
  std::shared_ptr<RunLine> run_line_;
  std::mutex line_mutex_;  // held while a line for RUNs is opened
};

// Bytes of a call under way.
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

// A RUN under way. The peer must outlive it.
class Peer::Pending {
 public:
  Pending(Peer& peer, const wire::Run& run, TensorBuffer buffer_for, SteadyTime deadline, const CancelToken& cancel);
  ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  friend class Peer;
  struct Watch {
    std::mutex mutex;
    Peer* peer = nullptr;  // guarded by mutex
  };
  Peer& peer_;
  InFlight in_flight_;
  std::shared_ptr<RunLine> line_;
  bool line_used_before_ = false;
  const std::shared_ptr<RunLine::Call> call_;
  const std::shared_ptr<Watch> watch_;
  std::unique_ptr<CancelToken::Watch> cancellation_;
};

}  // namespace tideline
