// CancelToken: one flag that says "stop", shared by whoever may give up and whoever works. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace tideline {

class CancelToken {
  struct State;

 public:
  CancelToken() : state_(std::make_shared<State>()) {}

  bool cancelled() const { return state_->flag.load(std::memory_order_acquire); }

  // Sets the flag and calls every callback once, on this thread.
  void cancel() const {
    std::map<std::uint64_t, std::function<void()>> callbacks;
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->flag.exchange(true)) return;
      callbacks.swap(state_->callbacks);
    }
    for (const auto& [id, callback] : callbacks) callback();
  }

  // Calls `callback` at cancellation; at once when it has happened already. The callback must not block and must
  // not refer to what may be gone by then.
  void on_cancel(std::function<void()> callback) const { (void)add(std::move(callback)); }

  // While it lives, its callback is called at cancellation. A callback that has begun may end after it.
  class Watch {
   public:
    Watch(std::shared_ptr<State> state, std::uint64_t id) : state_(std::move(state)), id_(id) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
      const std::lock_guard lock(state_->mutex);
      state_->callbacks.erase(id_);
    }

   private:
    std::shared_ptr<State> state_;
    std::uint64_t id_;
  };
  [[nodiscard]] Watch watch(std::function<void()> callback) const { return {state_, add(std::move(callback))}; }

 private:
  struct State {
    std::atomic<bool> flag{false};
    std::mutex mutex;
    // Guarded by mutex.
    std::uint64_t next_id = 1;
    std::map<std::uint64_t, std::function<void()>> callbacks;
  };

  std::uint64_t add(std::function<void()> callback) const {
    {
      const std::lock_guard lock(state_->mutex);
      if (!state_->flag.load()) {
        state_->callbacks.emplace(state_->next_id, std::move(callback));
        return state_->next_id++;
      }
    }
    callback();
    return 0;
  }

  std::shared_ptr<State> state_;
};

}  // namespace tideline
