// CancelToken: one flag that says "stop", shared by whoever may give up and whoever works. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace tideline {

class CancelToken {
 public:
  CancelToken() : state_(std::make_shared<State>()) {}

  bool cancelled() const { return state_->flag.load(std::memory_order_acquire); }

  // Sets the flag and calls every callback once, on this thread.
  void cancel() const {
    std::vector<std::function<void()>> callbacks;
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->flag.exchange(true)) return;
      callbacks.swap(state_->callbacks);
    }
    for (const auto& callback : callbacks) callback();
  }

  // Calls `callback` at cancellation; at once when it has happened already. The callback must not block and must
  // not refer to what may be gone by then.
  void on_cancel(std::function<void()> callback) const {
    {
      const std::lock_guard lock(state_->mutex);
      if (!state_->flag.load()) {
        state_->callbacks.push_back(std::move(callback));
        return;
      }
    }
    callback();
  }

 private:
  struct State {
    std::atomic<bool> flag{false};
    std::mutex mutex;
    // Guarded by mutex.
    std::vector<std::function<void()>> callbacks;
  };
  std::shared_ptr<State> state_;
};

}  // namespace tideline
