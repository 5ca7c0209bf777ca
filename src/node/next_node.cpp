#include "node/next_node.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/log.h"
#include "node/call_line.h"
#include "node/request.h"

namespace tideline {

NextNode::NextNode(NodeCore& core, PeerOptions options) : core_(core), options_(std::move(options)) {}
NextNode::~NextNode() = default;

Result<std::shared_ptr<Peer>> NextNode::connected(SteadyTime deadline) {
  const Error unreachable{ErrorCode::kDisconnected,
                          fmt::format("[node] the next node '{}' cannot be reached from here", options_.peer_name)};
  deadline = std::min(deadline, deadline_in(limits::kConnectTimeout));
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline, [&] { return !connecting_; })) return unreachable;
  if (shut_down_) return unreachable;
  if (peer_ && peer_->still_there()) return peer_;
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

Result<std::shared_ptr<CallLine>> NextNode::line(SteadyTime deadline) {
  const std::lock_guard making(line_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (line_ && !line_->ended()) return line_;
    if (line_) old_lines_.push_back(std::move(line_));
    line_ = nullptr;
  }
  TIDELINE_TRY(const auto peer, connected(deadline));
  TIDELINE_TRY(auto opened, peer->open_line(std::min(deadline, deadline_in(limits::kConnectTimeout))));
  auto made = std::make_shared<CallLine>(core_, peer, std::move(opened));
  const std::lock_guard lock(mutex_);
  line_ = made;
  if (shut_down_) made->shut_down();
  return made;
}

Status NextNode::prepare(SteadyTime deadline) {
  TIDELINE_CHECK_OK(line(deadline));
  return {};
}

void NextNode::call(std::unique_ptr<Request> request) {
  auto ready = line(request->deadline);
  if (!ready) return Request::fail(std::move(request), ready.error());
  (*ready)->call(std::move(request));
}

void NextNode::expire(SteadyTime now) {
  std::shared_ptr<CallLine> line;
  std::vector<std::shared_ptr<CallLine>> over;
  {
    const std::lock_guard lock(mutex_);
    line = line_;
    for (auto& old : old_lines_)
      if (old->ended()) over.push_back(std::move(old));
    std::erase(old_lines_, nullptr);
  }
  if (line) line->expire(now);
}

void NextNode::shut_down() {
  const std::lock_guard lock(mutex_);
  shut_down_ = true;
  if (line_) line_->shut_down();
  if (peer_) peer_->shut_down();
}

std::shared_ptr<NextNode> NextNodes::make(NodeCore& core, PeerOptions options) {
  auto owned = std::make_unique<NextNode>(core, std::move(options));
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->alive;
  }
  // Nothing may throw in here: it links the node into a list.
  const auto bury = [state = state_](NextNode* node) {
    node->shut_down();
    const std::lock_guard lock(state->mutex);
    node->next_buried_ = std::exchange(state->buried, node);
  };
  std::shared_ptr<NextNode> made(owned.release(), bury);
  const std::lock_guard lock(state_->mutex);
  std::erase_if(state_->all, [](const auto& weak) { return weak.expired(); });
  state_->all.push_back(made);
  return made;
}

void NextNodes::take_apart() {
  NextNode* buried = nullptr;
  {
    const std::lock_guard lock(state_->mutex);
    buried = std::exchange(state_->buried, nullptr);
  }
  while (buried != nullptr) {
    const std::unique_ptr<NextNode> node(std::exchange(buried, buried->next_buried_));
    const std::lock_guard lock(state_->mutex);
    --state_->alive;
  }
}

void NextNodes::tick(SteadyTime now) {
  for (const auto& node : alive()) node->expire(now);
  take_apart();
}

std::vector<std::shared_ptr<NextNode>> NextNodes::alive() const {
  std::vector<std::shared_ptr<NextNode>> found;
  const std::lock_guard lock(state_->mutex);
  for (const auto& weak : state_->all)
    if (auto node = weak.lock()) found.push_back(std::move(node));
  return found;
}

void NextNodes::shut_down() {
  for (const auto& node : alive()) node->shut_down();
}

void NextNodes::stop() {
  while (true) {
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->alive == 0) {
        // What remembers a node that is gone keeps its burial, and that this state.
        state_->all.clear();
        return;
      }
    }
    shut_down();
    take_apart();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace tideline
