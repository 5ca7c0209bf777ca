// NextNode: the way from this node to the next one of a session: connects when it is needed, and anew when the node was lost.
// All failures look the same from outside, so that nobody learns through us what is open where. Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "client/peer.h"

namespace tideline {

class NextNode {
 public:
  explicit NextNode(PeerOptions options) : options_(std::move(options)) {}

  const std::string& name() const { return options_.peer_name; }
  // kDisconnected, whatever the reason is (the log has it).
  Result<std::shared_ptr<Peer>> connected(SteadyTime deadline);

 private:
  const PeerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::shared_ptr<Peer> peer_;
  bool connecting_ = false;
};

}  // namespace tideline
