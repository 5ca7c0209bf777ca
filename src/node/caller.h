// Who calls this node within one session, and what lives as long as they do.
//
// A Caller is all connections with one session, role and name: what the program `tideline run` has open here, or the node before
// this one along the chain. Request ids, cancellation, heartbeats and installed stages belong to a Caller, and end with it: with
// its last connection, or when its control connection ends or misses three beats. Since every Caller's life hangs on its own
// connections alone, no ring of nodes can keep itself alive.
// Thread-safe.
//
//   TIDELINE_TRY(const auto caller, callers.join(hello));
//   TIDELINE_TRY(const CancelToken token, caller->begin(connection, request_id));
//   caller->end(connection, request_id);
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/cancel.h"
#include "node/next_node.h"
#include "node/stage.h"
#include "transport/channel.h"
#include "wire/messages.h"

namespace tideline {

class Caller {
 public:
  using StageKey = std::pair<std::uint64_t, std::uint32_t>;  // epoch, stage

  Caller(const wire::SessionId& session, wire::Role role, std::string name)
      : session_(session), role_(role), name_(std::move(name)) {}

  const wire::SessionId& session() const { return session_; }
  wire::Role role() const { return role_; }
  const std::string& name() const { return name_; }

  // Connections, each until it leaves. With the last control connection go the data connections too.
  void join(Channel& channel, wire::ConnectionKind kind);
  void leave(Channel& channel, wire::ConnectionKind kind);
  std::size_t connections() const;
  // A control connection is there and has beaten.
  bool beats() const { return beats_.load(std::memory_order_relaxed); }
  void has_beaten() { beats_.store(true, std::memory_order_relaxed); }
  // Bytes that came on its data connections: a heartbeat may wait behind them on a slow link.
  std::uint64_t received_bytes() const;

  // A request under way; `connection` is any address that is unique for as long as its requests last. kInvalidArgument for an id
  // that this connection uses already, kCancelled when its CANCEL came first, kOverloaded above the table's limit.
  Result<CancelToken> begin(const void* connection, std::uint64_t id);
  void end(const void* connection, std::uint64_t id);
  // CANCEL: the request of that id on any of this caller's connections.
  void cancel(std::uint64_t id);
  void cancel_all(const void* connection = nullptr);

  // Stages that this caller has installed.
  std::shared_ptr<Stage> stage(const StageKey& key) const;
  // All or none; each replaces one of the same epoch and id. kOverloaded above limits::kNodeStagesPerCallerMax.
  Status install(std::uint64_t epoch, const std::map<std::uint32_t, std::shared_ptr<Stage>>& stages);
  std::size_t uninstall(std::uint64_t epoch);
  // The way to a next node: an open one where there is, so that plans share it. kOverloaded above the limits.
  Result<std::shared_ptr<NextNode>> next_node(const std::string& name, const std::string& address,
                                              const std::function<Result<std::shared_ptr<NextNode>>()>& make);
  bool leads_to(const std::string& name) const;
  // Keeps the way open for messages to be forwarded, until another of that name takes its place.
  void keep(std::shared_ptr<NextNode> next);

 private:
  const wire::SessionId session_;
  const wire::Role role_;
  const std::string name_;
  std::atomic<bool> beats_{false};

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::set<Channel*> data_;
  std::size_t controls_ = 0;
  std::map<std::pair<const void*, std::uint64_t>, CancelToken> running_;
  struct EarlyCancel {
    std::uint64_t id;
    SteadyTime until;
  };
  std::deque<EarlyCancel> early_cancels_;
  std::map<StageKey, std::shared_ptr<Stage>> stages_;
  std::map<std::string, std::weak_ptr<NextNode>> next_;
  std::map<std::string, std::shared_ptr<NextNode>> kept_;
  std::size_t next_failures_ = 0;
};

// The callers of one node. Thread-safe.
class Callers {
 public:
  // The Caller of that session, role and name. kInvalidArgument for one that would close a ring: a node that this session leads
  // to already.
  Result<std::shared_ptr<Caller>> join(const wire::Hello& hello);
  // A stage for a request of `caller`: its own, or another's of the same session (who installs is not always who sends).
  std::shared_ptr<Stage> find_stage(const Caller& caller, const Caller::StageKey& key);
  bool has_caller(const wire::SessionId& session, wire::Role role, const std::string& name);
  void cancel_all();
  // Forgets those that are gone; whether there were any.
  bool sweep();

 private:
  std::vector<std::shared_ptr<Caller>> of_session(const wire::SessionId& session);

  using Key = std::tuple<wire::SessionId, wire::Role, std::string>;
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<Caller>> callers_;  // guarded by mutex_
};

}  // namespace tideline
