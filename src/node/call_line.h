// CallLine: one DATA connection to a next node, with the calls that this node has made on it and not yet got answered. What comes
// back is taken off by the line's own reader thread, which finds the request in the table and hands it to its caller or to its
// next stage here; so no thread waits for an answer, and one line carries a pipeline. Only who has just made the sole call on the
// line looks for its answer itself, for as long as waking the reader would take. Thread-safe.
//
// Who owns what: a Request that is called on belongs to the table from call() until its answer comes, its time is over, it is
// cancelled for longer than the grace, or the line ends; whoever takes it out of the table ends it. Its tensors belong to the
// outbox until they are sent.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "client/peer.h"
#include "node/outbox.h"
#include "node/request.h"

namespace tideline {

struct NodeCore;

class CallLine {
 public:
  // `channel` was opened by the peer. The core must outlive it.
  CallLine(NodeCore& core, std::shared_ptr<Peer> peer, Peer::Line line);
  // Ends it and joins the reader: not from the reader itself.
  ~CallLine();
  CallLine(const CallLine&) = delete;
  CallLine& operator=(const CallLine&) = delete;

  // Calls the next stage with the request's tensors. Never waits.
  void call(std::unique_ptr<Request> request);
  // Ends what is over: past its deadline, or cancelled and not answered since.
  void expire(SteadyTime now);
  bool ended() const;
  void shut_down() { line_.channel->shutdown(); }

 private:
  friend class OutgoingCall;
  struct Entry {
    std::unique_ptr<Request> request;
    std::uint64_t bytes = 0;
    std::unique_ptr<CancelToken::Watch> watch;
    SteadyTime began{}, sent{};  // of its sending; sent is 0 until it has left
    bool credited = false;
    std::optional<SteadyTime> cancelled;
  };
  void read();
  // One frame; an Error ends the line. `reader`: on the reader's thread, which may wait for room in a queue.
  Status read_one(SteadyTime deadline, bool reader);
  // Reads in place of the reader for a moment, when the only call on the line has just been sent.
  void linger();
  // An Error ends the line.
  Status handle(const Frame& frame, bool reader);
  Status handle_credit(const Frame& frame);
  Status handle_result(const Frame& frame, Entry entry, SteadyTime arrived, bool reader);
  std::optional<Entry> take(std::uint64_t id);
  void has_sent(std::uint64_t id, SteadyTime began);
  void end(const Error& reason);
  // The credit of a call that nobody waits for any more is out until the next node lets go of it.
  void abandon(std::uint64_t id, const Entry& entry);
  std::optional<std::uint64_t> forget(std::uint64_t id);

  NodeCore& core_;
  const std::shared_ptr<Peer> peer_;
  Peer::Line line_;
  Outbox outbox_;

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::uint64_t, Entry> calls_;
  std::map<std::uint64_t, std::uint64_t> abandoned_;  // bytes by id
  std::uint64_t next_id_ = 1;
  bool ended_ = false;
  bool reading_ = false;         // somebody has the right to read
  bool awaits_credit_;           // the first frame of a peer that grants
  std::optional<Error> broken_;  // why nobody may read any more
  std::condition_variable changed_;

  std::thread reader_;
};

}  // namespace tideline
