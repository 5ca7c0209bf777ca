// NodeServer: the daemon of one host. Keeps segments, installs stages of plans, runs requests, and calls the next node of the
// chain.
//
// One thread per connection: whoever reads a request also computes and answers it, so that a hop has no hand-offs. Nothing that a
// peer sends can make it allocate above its limits, abort, or run anything but a registered segment. When a caller's control
// connection ends, its requests are cancelled here and down the chain.
// A resource; start() and stop() from one thread.
//
//   TIDELINE_TRY(auto node, NodeServer::start(options, tcp, tcp, *engine));
//   ...                         // until SIGTERM
//   node->drain(5s);            // finishes what runs, refuses what comes
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/limits.h"
#include "base/result.h"
#include "engine/engine.h"
#include "node/compute_slot.h"
#include "node/segment_store.h"
#include "node/stage.h"
#include "transport/channel.h"
#include "transport/transport.h"

namespace tideline {

struct NodeOptions {
  std::string name;
  Address listen;
  std::string store_folder;
  Bytes store_bytes = Bytes{20} << 30;
  Bytes memory_bytes = 0;                // of loaded segments; 0: no limit of ours
  Bytes request_bytes = Bytes{1} << 30;  // of one request's tensors, and of one result's
  double slowdown = 1;
  std::size_t connections_max = limits::kNodeConnectionsMax;
  // A connection that says nothing for this long is closed; a calling Peer's control connection beats far more often.
  std::chrono::milliseconds idle_timeout{600'000};
};

class NodeServer {
 public:
  // `onward` carries the calls to the next nodes (shaped, when links are emulated). Transports and engine must outlive the
  // server.
  static Result<std::unique_ptr<NodeServer>> start(const NodeOptions& options, Transport& transport, Transport& onward,
                                                   Engine& engine);
  ~NodeServer();
  NodeServer(const NodeServer&) = delete;
  NodeServer& operator=(const NodeServer&) = delete;

  Address address() const { return listener_->address(); }
  // No new connections or requests; waits for the running ones, at most `patience`; then stops.
  void drain(std::chrono::milliseconds patience);
  void stop();

 private:
  struct Caller;       // one session: its stages, its peers down the chain, its running requests
  struct Connection_;  // one connection and its thread

  NodeServer(const NodeOptions& options, Transport& onward, Engine& engine);
  void accept_loop();
  void reap(bool all);
  void serve(Connection_& connection);
  Status greet(Connection_& connection);
  void serve_control(Connection_& connection);
  void serve_data(Connection_& connection);
  Status handle(Connection_& connection, const Frame& frame);
  Status handle_put(Connection_& connection, const Frame& frame);
  Status handle_run(Connection_& connection, const Frame& frame, SteadyTime arrived);
  Status handle_ping(Channel& channel, const Frame& frame);
  Result<wire::Installed> install(Caller& caller, const wire::Install& request);
  Result<std::shared_ptr<LoadedSegment>> load(const Sha256& hash);
  wire::NodeStatus status();
  Status refuse(Channel& channel, std::uint64_t request_id, const Error& error);

  NodeOptions options_;
  Transport& onward_;
  Engine& engine_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<SegmentStore> store_;
  ComputeSlot slot_;
  std::thread accept_thread_;
  SteadyTime started_at_{};
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> requests_done_{0};
  std::atomic<std::uint64_t> requests_failed_{0};
  std::atomic<std::uint32_t> requests_running_{0};

  std::mutex mutex_;
  // Guarded by mutex_:
  std::list<std::unique_ptr<Connection_>> connections_;
  std::map<wire::SessionId, std::weak_ptr<Caller>> callers_;
  std::map<Sha256, std::weak_ptr<LoadedSegment>> loaded_;
  std::condition_variable idle_changed_;
};

}  // namespace tideline
