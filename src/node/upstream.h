// Upstream: the calling end of one DATA connection, as its requests see it: where their answers go, how much of them there may
// be, and the thread that computes when several are there at once. Shared by the connection and its requests; thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "node/caller.h"
#include "node/outbox.h"
#include "node/request.h"

namespace tideline {

struct NodeCore;

class Upstream {
 public:
  // `flow`: the peer keeps to credits and understands CREDIT. The core must outlive it, the channel close().
  Upstream(NodeCore& core, std::shared_ptr<Caller> caller, Channel& channel, bool flow);
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  NodeCore& core() { return core_; }
  Caller& caller() { return *caller_; }
  Outbox& outbox() { return outbox_; }

  // The first CREDIT. Once.
  void open();
  // A RUN has come. kOverloaded when the peer keeps more than it was granted, or what Caller::begin says. After success the
  // request ends by end(), when its id and its room are free again, and then answered().
  Result<CancelToken> begin(std::uint64_t id, std::uint64_t bytes);
  void end(std::uint64_t id);
  // Its answer has left, or never will.
  void answered();
  // The request's tensors have left for the next node: they take no room here any more.
  void passed_on(std::uint64_t id);
  // Until a peer that knows no credits may send one more: at once, unless its queue is full.
  void wait_for_room();

  // Requests have come that are not answered.
  bool busy() const;
  // A request has come whose answer is not on its way yet. Who sends one at a time never sees that when the next comes.
  bool has_more() const;
  // Computes it in its turn: on this thread when it may and nothing else is there, else on the thread of this upstream. Waits
  // only with `answered` (an answer has come back and is to be computed on), while many such wait already: so the next node is
  // slowed down.
  void post(std::unique_ptr<Request> request, bool answered, bool may_run_here);
  // Until all requests are answered.
  void wait_until_answered(SteadyTime deadline);
  void shut_down();  // any thread
  // The connection has ended: nothing is sent or computed any more. On the connection's own thread, once.
  void close();

 private:
  void run();
  // With mutex_. Gives the turn to whoever waits for it.
  void free_turn();
  // Runs it without the mutex, which `lock` holds before and after. The turn ends with the request's answer, if it is answered
  // here, else when it has been passed on: a caller that is quick finds it free.
  void run_in_turn(std::unique_lock<std::mutex>& lock, std::unique_ptr<Request> request);
  // What has left and is to be given back now: when the peer has little credit.
  struct Due {
    std::uint64_t id;
    std::uint64_t bytes;
  };
  std::vector<Due> due_credits();  // with mutex_
  void send_credits(const std::vector<Due>& due);

  NodeCore& core_;
  const std::shared_ptr<Caller> caller_;
  Channel& channel_;
  const bool flow_;
  Outbox outbox_;

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable changed_;
  // Of the thread alone, which would otherwise be woken by every request that it has nothing to do with.
  std::condition_variable queued_;
  struct Out {
    std::uint64_t bytes = 0;
    bool left = false;  // passed on; its credit not yet given back
  };
  std::map<std::uint64_t, Out> out_;  // what counts against the peer's credit
  std::uint64_t out_bytes_ = 0;
  std::size_t in_queue_ = 0;  // of out_, not left
  std::size_t unanswered_ = 0;
  std::size_t under_way_ = 0;  // from begin() to end()
  struct Waiting {
    std::unique_ptr<Request> request;
    bool answered;
  };
  std::deque<Waiting> queue_;
  std::size_t answered_waiting_ = 0;
  std::optional<std::uint64_t> computing_;  // the request whose turn it is
  std::uint64_t turn_ = 0;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace tideline
