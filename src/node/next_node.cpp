#include "node/next_node.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/log.h"

namespace tideline {

Result<std::shared_ptr<Peer>> NextNode::connected(SteadyTime deadline) {
  const Error unreachable{ErrorCode::kDisconnected,
                          fmt::format("[node] the next node '{}' cannot be reached from here", options_.peer_name)};
  deadline = std::min(deadline, deadline_in(limits::kConnectTimeout));
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline, [&] { return !connecting_; })) return unreachable;
  if (peer_ && peer_->alive()) return peer_;
  connecting_ = true;
  const std::shared_ptr<Peer> lost = std::move(peer_);
  lock.unlock();
  struct Connecting {
    NextNode& node;
    std::shared_ptr<Peer> result;
    ~Connecting() {
      const std::lock_guard guard(node.mutex_);
      node.connecting_ = false;
      node.peer_ = result;
      node.changed_.notify_all();
    }
  } connecting{*this, nullptr};
  auto made = Peer::connect(options_, deadline);
  if (!made) {
    log(LogLevel::kInfo, fmt::format("cannot reach next node '{}' at {}: {}", options_.peer_name, to_string(options_.address),
                                     made.error().message));
    return unreachable;
  }
  connecting.result = std::move(*made);
  return connecting.result;
}

}  // namespace tideline
