// NextNode: the way from this node to the next one of a session: connects when it is needed, and anew when the node was lost.
// All failures look the same from outside, so that nobody learns through us what is open where. Thread-safe.
//
// Who owns what: the stages that lead there, and the requests that are there, keep it. It has threads of its own, and the last
// owner may be one of them; so it is taken apart by the watch thread of the node (NextNodes).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "client/peer.h"

namespace tideline {

class CallLine;
class Request;
struct NodeCore;

class NextNode {
 public:
  NextNode(NodeCore& core, PeerOptions options);
  ~NextNode();
  NextNode(const NextNode&) = delete;
  NextNode& operator=(const NextNode&) = delete;

  const std::string& name() const { return options_.peer_name; }
  // kDisconnected, whatever the reason is (the log has it).
  Result<std::shared_ptr<Peer>> connected(SteadyTime deadline);
  // Opens the connection of the calls, so that the first of them does not pay for it.
  Status prepare(SteadyTime deadline);
  // Calls the next stage; the request is answered whatever happens. Waits only where it has to connect first.
  void call(std::unique_ptr<Request> request);
  void expire(SteadyTime now);
  void shut_down();

 private:
  friend class NextNodes;
  Result<std::shared_ptr<CallLine>> line(SteadyTime deadline);

  NodeCore& core_;
  const PeerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::shared_ptr<Peer> peer_;
  bool connecting_ = false;
  std::shared_ptr<CallLine> line_;
  std::vector<std::shared_ptr<CallLine>> old_lines_;  // ended, their readers not yet joined
  bool shut_down_ = false;

  std::mutex line_mutex_;  // held while a line is made
  NextNode* next_buried_ = nullptr;
};

// All of one node.
class NextNodes {
 public:
  std::shared_ptr<NextNode> make(NodeCore& core, PeerOptions options);
  // Ends requests whose time is over; takes apart what nobody has any more. On the watch thread.
  void tick(SteadyTime now);
  // Ends the connections of all: whoever waits for one goes on.
  void shut_down();
  // Ends all; returns when they are gone. Nobody may make others.
  void stop();

 private:
  struct State {
    std::mutex mutex;
    // Guarded by mutex:
    std::vector<std::weak_ptr<NextNode>> all;
    NextNode* buried = nullptr;
    std::size_t alive = 0;
  };
  // Never to be let go with the mutex held: the last owner buries.
  std::vector<std::shared_ptr<NextNode>> alive() const;
  void take_apart();

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace tideline
