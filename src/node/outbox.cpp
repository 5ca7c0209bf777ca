#include "node/outbox.h"

#include <algorithm>
#include <system_error>

#include "base/limits.h"

namespace tideline {
namespace {

bool is_due(Outgoing& message, SteadyTime now) { return message.hold_until(now) <= now; }

const Error kGone{ErrorCode::kDisconnected, "[node] the connection has ended"};

}  // namespace

bool Outbox::may_send(const Outgoing& message) const {
  if (!limited_) return true;
  const auto bytes = message.bytes_of_credit();
  if (!bytes) return true;
  // One that is larger than everything goes alone.
  return credit_requests_ > 0 && (*bytes <= credit_bytes_ || credit_bytes_ == granted_bytes_);
}

void Outbox::take_credit(const Outgoing& message) {
  const auto bytes = message.bytes_of_credit();
  if (!limited_ || !bytes) return;
  --credit_requests_;
  credit_bytes_ -= std::min(*bytes, credit_bytes_);
}

void Outbox::post(std::unique_ptr<Outgoing> message) {
  std::unique_lock lock(mutex_);
  if (!closed_ && !sending_ && queue_.empty() && may_send(*message) && is_due(*message, std::chrono::steady_clock::now())) {
    take_credit(*message);
    sending_ = true;
    lock.unlock();
    Status sent;
    try {
      sent = message->write(channel_);
    } catch (const std::exception&) {
      sent = Error{ErrorCode::kInternal, "[node] out of memory while sending"};
    }
    message.reset();
    lock.lock();
    if (!sent) channel_.shutdown();  // close() waits for us
    sending_ = false;
    wake();
    return;
  }
  if (!closed_) {
    try {
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
      queue_.push_back(std::move(message));
      wake();
      return;
    } catch (const std::exception&) {
      // No thread or no memory to wait with.
    }
  }
  const bool closed = closed_;
  lock.unlock();
  if (message) message->dropped(closed ? kGone : Error{ErrorCode::kOverloaded, "[node] out of memory or threads"});
}

void Outbox::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [&] { return closed_ || (!sending_ && !queue_.empty() && may_send(*queue_.front())); });
    if (closed_) return;
    const SteadyTime now = std::chrono::steady_clock::now();
    if (const SteadyTime until = queue_.front()->hold_until(now); until > now) {
      changed_.wait_until(lock, until);
      continue;
    }
    std::unique_ptr<Outgoing> message = std::move(queue_.front());
    queue_.pop_front();
    take_credit(*message);
    sending_ = true;
    lock.unlock();
    Status sent;
    try {
      sent = message->write(channel_);
    } catch (const std::exception&) {
      sent = Error{ErrorCode::kInternal, "[node] out of memory while sending"};
    }
    message.reset();
    lock.lock();
    if (!sent) channel_.shutdown();  // close() waits for us
    sending_ = false;
    wake();
  }
}

void Outbox::wake() {
  if (closed_ || !queue_.empty()) queued_.notify_one();
  changed_.notify_all();
}

void Outbox::grant(std::uint32_t requests, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  // What the other end says must not wrap around.
  requests = std::min(requests, limits::kCreditRequestsMax);
  bytes = std::min(bytes, limits::kCreditBytesMax);
  credit_requests_ = std::min(credit_requests_ + requests, limits::kCreditRequestsMax);
  credit_bytes_ = std::min(credit_bytes_ + bytes, limits::kCreditBytesMax);
  granted_bytes_ = std::min(granted_bytes_ + bytes, limits::kCreditBytesMax);
  wake();
}

void Outbox::give_back(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  credit_requests_ = std::min(credit_requests_ + 1, limits::kCreditRequestsMax);
  // No more than there was: one that was larger than everything took only that.
  credit_bytes_ = std::min(credit_bytes_ + std::min(bytes, granted_bytes_), granted_bytes_);
  wake();
}

void Outbox::wait_below(std::size_t messages) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || queue_.size() < messages; });
}

void Outbox::expire(SteadyTime now) {
  std::vector<std::pair<std::unique_ptr<Outgoing>, Error>> over;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = queue_.begin(); it != queue_.end();) {
      if (auto reason = (*it)->over(now)) {
        over.emplace_back(std::move(*it), std::move(*reason));
        it = queue_.erase(it);
      } else {
        ++it;
      }
    }
    wake();
  }
  for (auto& [message, reason] : over) message->dropped(reason);
}

void Outbox::close() {
  std::deque<std::unique_ptr<Outgoing>> left;
  std::thread thread;
  {
    std::unique_lock lock(mutex_);
    // Closed before, the channel may be gone.
    if (!std::exchange(closed_, true)) channel_.shutdown();
    left.swap(queue_);
    thread.swap(thread_);
    wake();
    changed_.wait(lock, [&] { return !sending_; });
  }
  if (thread.joinable()) thread.join();
  for (const auto& message : left) message->dropped(kGone);
}

std::size_t Outbox::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

}  // namespace tideline
