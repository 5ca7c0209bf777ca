// CancelToken: one flag that says "stop", shared by whoever may give up and whoever works. Copies share it. Thread-safe.
//
//   const auto watch = token.watch([&] { ... });   // may refer to what outlives `watch`
//
// A callback runs once, on the thread that cancels, or at once in watch() when that has happened already. A Watch's destructor
// waits for its callback when that is running on another thread; so after it, the callback neither runs nor will. Hence: a
// callback must not block for long, and nobody may destroy a Watch while holding a lock that its callback takes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

namespace tideline {

class CancelToken {
 public:
  bool cancelled() const { return source_.stop_requested(); }

  // Sets the flag and calls every callback once, on this thread.
  void cancel() const { std::stop_source(source_).request_stop(); }

  class Watch {
   public:
    Watch(const std::stop_source& source, std::function<void()> callback) : callback_(source.get_token(), std::move(callback)) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    std::stop_callback<std::function<void()>> callback_;
  };
  const std::stop_source& source() const { return source_; }
  [[nodiscard]] Watch watch(std::function<void()> callback) const { return {source_, std::move(callback)}; }

  // Waits for cancellation, at most so long; says whether it has come.
  bool wait_for(std::chrono::nanoseconds time) const {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, source_.get_token(), time, [] { return false; });
    return cancelled();
  }

 private:
  std::stop_source source_;
};

}  // namespace tideline
