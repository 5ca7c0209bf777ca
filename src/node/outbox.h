// Outbox: the sending end of one connection, shared by all who have something to say on it. What can go now goes on the thread
// that brings it, so that a lone request pays for no hand-off; what cannot (somebody is sending, or the other end has granted no
// room yet) waits in order for a thread of the outbox's own. Nobody ever waits in post(). Thread-safe.
//
// Who owns what: an Outgoing belongs to the outbox from post() until written() or dropped() has been called, once, by whichever
// thread. The channel must outlive close().
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "transport/channel.h"

namespace tideline {

// Of one send on a connection that others use too: not the request's own deadline, since to break off ends the connection.
inline constexpr std::chrono::milliseconds kSendTimeout{30'000};

// One message to be sent.
class Outgoing {
 public:
  virtual ~Outgoing() = default;
  // Sends it. An error ends the connection.
  virtual Status write(Channel& channel) = 0;
  // Instead of write: the connection is gone (kDisconnected), or `over` was true while it waited.
  virtual void dropped(const Error& error) = 0;
  // Nobody waits for it any more: cancelled, or past its deadline. Only asked of what waits.
  virtual std::optional<Error> over(SteadyTime) const { return std::nullopt; }
  // `now` when it may go, which it then counts as having done; otherwise when to ask again.
  virtual SteadyTime hold_until(SteadyTime now) { return now; }
  // Counted against what the other end has granted; nullopt: needs no room there.
  virtual std::optional<std::uint64_t> bytes_of_credit() const { return std::nullopt; }
};

class Outbox {
 public:
  // With `limited`, only what the other end grants is sent of what needs credit.
  Outbox(Channel& channel, bool limited) : channel_(channel), limited_(limited) {}
  ~Outbox() { close(); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void post(std::unique_ptr<Outgoing> message);
  // More room at the other end: granted, or given back by a message of so many bytes.
  void grant(std::uint32_t requests, std::uint64_t bytes);
  void give_back(std::uint64_t bytes);
  // Returns when fewer than so many messages wait, or it has closed.
  void wait_below(std::size_t messages);
  // Drops what is over by now.
  void expire(SteadyTime now);
  // Drops what waits; nothing is sent any more, and no thread is in write() after it. Not from within write() or dropped().
  void close();
  std::size_t waiting() const;

 private:
  bool may_send(const Outgoing& message) const;  // with mutex_
  void take_credit(const Outgoing& message);     // with mutex_
  void run();
  void wake();  // with mutex_: something has changed that somebody may wait for

  Channel& channel_;
  const bool limited_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable changed_;
  std::condition_variable queued_;  // of the thread alone, so that messages that never wait do not wake it
  std::deque<std::unique_ptr<Outgoing>> queue_;
  std::uint32_t credit_requests_ = 0;
  std::uint64_t credit_bytes_ = 0;
  std::uint64_t granted_bytes_ = 0;  // in all: so much is there when nothing is out
  bool sending_ = false;
  bool closed_ = false;
  std::thread thread_;  // made when something waits for the first time
};

}  // namespace tideline
