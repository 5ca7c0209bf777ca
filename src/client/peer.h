// Peer: the calling end of one node; what a caller has of the first node and a node of the next one along the chain.
//
// Holds one control connection with a heartbeat and as many data connections as there are calls at once. A peer that is gone,
// frozen or lying ends every call with a typed error before its deadline: kDisconnected when heartbeats stop, kDeadlineExceeded,
// kCorrupt when its bytes make no sense. After kDisconnected the Peer stays dead; connect another.
// A resource; thread-safe. The transport must outlive it.
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
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
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

// Where the time of one RUN call went, by the caller's clock. The transfer both ways is total - the callee's own total.
struct CallTiming {
  Nanos send{0};     // until the transport took the last byte
  Nanos wait{0};     // until the RESULT's header
  Nanos receive{0};  // its payload
  Nanos total{0};
};

class Peer {
 public:
  static Result<std::unique_ptr<Peer>> connect(const PeerOptions& options, SteadyTime deadline);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const std::string& name() const { return name_; }
  bool alive() const { return alive_.load(std::memory_order_acquire); }

  Result<std::vector<wire::SegmentsMissing::Entry>> missing_segments(const std::vector<Sha256>& hashes, SteadyTime deadline);
  // In pieces, from `from_byte` on; calls `progress` with the bytes that have arrived.
  Status push_segment(const Sha256& hash, std::string_view bytes, std::uint64_t from_byte, const CancelToken& cancel,
                      const std::function<void(std::uint64_t)>& progress);
  Result<wire::Installed> install(const wire::Install& install, SteadyTime deadline);
  // Forgets the session's stages there up to and with `epoch`.
  Result<wire::Uninstalled> uninstall(std::uint64_t epoch, SteadyTime deadline);
  Result<wire::NodeStatus> status(SteadyTime deadline);
  struct PingReport {
    Nanos total{0};
    wire::Pong pong;
  };
  // On a data connection of its own: `payload_bytes` there, `reply_bytes` back.
  Result<PingReport> ping(std::uint64_t payload_bytes, std::uint64_t reply_bytes, SteadyTime deadline);

  // One request. The result's tensors go straight into the buffers that `buffer_for` gives. At cancellation the peer is told, and
  // the call returns kCancelled when it has answered, or after a short grace.
  Result<wire::RunResult> run(const wire::Run& run, ConstPieces payload, const TensorBuffer& buffer_for, SteadyTime deadline,
                              const CancelToken& cancel, CallTiming* timing);

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
  void send_cancel(std::uint64_t request_id);
  Error explain(Error error) const;
  template <class Answer, class Question>
  Result<Answer> ask(const Question& question, ConstPieces payload, SteadyTime deadline);

  PeerOptions options_;
  std::string name_;
  std::atomic<bool> alive_{true};
  std::atomic<std::uint64_t> next_request_{1};
  // Bytes of the calls under way: heartbeats may wait behind them on a slow link.
  std::atomic<std::uint64_t> bytes_in_flight_{0};

  std::unique_ptr<Channel> control_;
  std::mutex control_send_mutex_;
  std::thread heartbeat_thread_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable stop_changed_;
  bool stop_ = false;
  std::vector<std::unique_ptr<Channel>> idle_;
  std::vector<Channel*> open_;
};

}  // namespace tideline
