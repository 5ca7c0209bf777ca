// Watchdog: calls a function when a deadline passes or a token is cancelled, unless the watched work ends first.
//
// One thread for all; thread-safe. Arming costs a lock and, as a rule, no wake-up of that thread: it sleeps until the earliest
// deadline it knows of, and looks at tokens every kPollPeriod while any are watched.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/cancel.h"
#include "base/units.h"

namespace tideline {

class Watchdog {
 public:
  enum class Reason { kNone, kDeadline, kCancelled };
  static constexpr std::chrono::milliseconds kPollPeriod{10};

  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // While it lives, `stop` is called at most once, on the watchdog's thread and under its lock: it must be short. After finish()
  // or the destructor it is not called any more.
  class Watch {
   public:
    // Watches nothing and costs nothing when there is neither a deadline nor a token.
    Watch(Watchdog& dog, std::optional<SteadyTime> deadline, const CancelToken* cancel, std::function<void()> stop);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    // Ends the watch and tells whether, and why, `stop` was called.
    Reason finish();

   private:
    Watchdog& dog_;
    std::uint64_t id_ = 0;  // 0: nothing is watched
    Reason reason_ = Reason::kNone;
  };

 private:
  struct Entry {
    std::optional<SteadyTime> deadline;
    std::optional<CancelToken> cancel;
    std::function<void()> stop;
    Reason reason = Reason::kNone;
  };
  void loop();
  // The time at which `entry` must be looked at next. REQUIRES: mutex_ is held.
  static SteadyTime next_look(const Entry& entry, SteadyTime now);

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::map<std::uint64_t, Entry> entries_;
  std::uint64_t next_id_ = 1;
  SteadyTime wake_ = SteadyTime::max();
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace tideline
