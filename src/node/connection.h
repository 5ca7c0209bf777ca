// NodeConnection: one accepted connection and what comes over it: greeting, requests, heartbeats. The thread that reads a request
// computes it and sends it on by itself while requests come one by one, so that a hop has no hand-offs; once the next one is
// there already, reading, computing (Upstream) and sending (Outbox) are done by threads of their own. serve() runs on the
// connection's own thread; everything else is for any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "node/core.h"
#include "node/hired_workers.h"
#include "node/upstream.h"
#include "transport/channel.h"

namespace tideline {

class NodeConnection {
 public:
  // The core must outlive it.
  NodeConnection(NodeCore& core, std::unique_ptr<Connection> connection);
  // Greets only to say that there is no room. REQUIRES: before serve().
  void refuse_instead() { refusal_ = true; }

  // Until either side ends it. Whatever a peer makes us throw ends this connection and nothing else.
  void serve();
  void shutdown() { channel_.shutdown(); }
  // The node drains: told to callers on their control connections.
  void say_goodbye();

  bool is_refusal() const { return refusal_; }
  const std::string& address() const { return address_; }  // of the peer, without its port
  // Since when nothing has come from a peer that has no request here and whose caller does not beat; never: kNoDeadline.
  SteadyTime silent_since() const;
  // Cancels the requests of a peer that has closed the connection while they run: nobody reads it then.
  void notice_end();

 private:
  Status greet();
  void serve_control();
  void serve_data();
  // Errors of the request are answered; an Error from here means that the connection cannot go on.
  Status handle_control(const Frame& frame);
  // `pipelined`: the frame had come before the one before it was done with.
  Status handle(const Frame& frame, bool pipelined);
  Status handle_put(const Frame& frame);
  Status handle_run(const Frame& frame, SteadyTime arrived, bool pipelined);
  Status handle_forward(const Frame& frame);
  Status handle_ping(const Frame& frame);
  Status handle_hire(const Frame& frame);
  Result<std::uint64_t> install(std::uint64_t epoch, const std::vector<wire::ProgramStage>& stages);  // nanoseconds of loading
  Result<std::shared_ptr<NextNode>> next_node(const std::string& name, const std::string& address);
  // Answers with an ERROR; the payload must have been read.
  Status refuse(std::uint64_t request_id, const Error& error);
  // Skips the payload first.
  Status refuse(const Frame& frame, const Error& error);
  wire::NodeStatus status() const;
  // Answers on this thread; on a DATA connection in turn with the answers of requests.
  template <class Message>
  Status send(std::uint64_t request_id, const Message& message, ConstPieces payload, SteadyTime deadline);
  Status send_with(const std::function<Status(Channel&)>& write);
  // Calls `handle` and answers the frame with ERROR when it throws.
  template <class Handle>
  Status guarded(const Frame& frame, Handle handle);
  void heard() { heard_at_.store(std::chrono::steady_clock::now(), std::memory_order_relaxed); }

  NodeCore& core_;
  bool refusal_ = false;
  Channel channel_;
  const std::string address_;
  std::mutex send_mutex_;
  std::atomic<SteadyTime> heard_at_;
  std::atomic<bool> is_control_{false};
  wire::Hello hello_;  // of the serving thread
  // For whoever trains over this connection; of the serving thread, which they end with. The flag is for any thread.
  std::unique_ptr<HiredWorkers> hired_;
  std::atomic<bool> has_hired_{false};
  // Written by the serving thread under the mutex; others read them under it.
  mutable std::mutex caller_mutex_;
  std::shared_ptr<Caller> caller_;
  std::shared_ptr<Upstream> upstream_;  // of a DATA connection
};

}  // namespace tideline
