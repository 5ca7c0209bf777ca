// NodeServer: the daemon of one host. Keeps segments, installs stages of plans, runs requests, and calls the next node of the
// chain.
//
// Accepts connections and gives each a thread (node/connection.h). Nothing that a peer sends can make it allocate above its
// limits, abort, run anything but a registered segment, or call anybody but the next node of an installed stage. What is short
// (threads, memory, descriptors, places) is refused to one caller and does not end the others.
// A resource; start(), drain() and stop() from one thread. Transports and engine must outlive it.
//
//   TIDELINE_TRY(const auto node, NodeServer::start(options, tcp, tcp, *engine));
//   wait_for_sigterm();
//   node->drain(5s);
#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "engine/engine.h"
#include "node/buffer_pool.h"
#include "node/options.h"
#include "transport/transport.h"

namespace tideline {

class NodeConnection;
struct NodeCore;

class NodeServer {
 public:
  // `onward` carries the calls to the next nodes (shaped, when links are emulated).
  static Result<std::unique_ptr<NodeServer>> start(const NodeOptions& options, Transport& transport, Transport& onward,
                                                   Engine& engine);
  ~NodeServer();
  NodeServer(const NodeServer&) = delete;
  NodeServer& operator=(const NodeServer&) = delete;

  Address address() const { return listener_->address(); }
  // Refuses new connections and requests and says so to those who are connected; waits for the running requests, at most
  // `patience`; then stops.
  void drain(std::chrono::milliseconds patience);
  void stop();
  // Of the memory of requests; for tests.
  BufferPool::Figures buffer_figures() const;

 private:
  // A connection and its thread.
  struct Served;

  explicit NodeServer(std::unique_ptr<NodeCore> core);
  void accept_loop();
  void admit(std::unique_ptr<Connection> connection);
  // The connection that has been silent for longest, of that address or of any.
  Served* most_silent(const std::string* address);
  // Joins the threads of those that have ended.
  void reap(bool all);
  // Looks after what no connection's own thread can see: a peer that is gone while its request is computed, memory that the
  // allocator keeps after sessions have ended.
  void watch_loop();

  std::unique_ptr<NodeCore> core_;
  std::unique_ptr<Listener> listener_;
  std::thread accept_thread_;
  std::thread watch_thread_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::list<std::unique_ptr<Served>> served_;
  bool watch_stops_ = false;
  std::condition_variable watch_changed_;
};

}  // namespace tideline
