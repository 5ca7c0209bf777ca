#include "engine/watchdog.h"

#include <algorithm>
#include <utility>

namespace tideline {

Watchdog::Watchdog() : thread_([this] { loop(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

SteadyTime Watchdog::next_look(const Entry& entry, SteadyTime now) {
  SteadyTime look = entry.deadline.value_or(SteadyTime::max());
  if (entry.cancel) look = std::min(look, now + kPollPeriod);
  return look;
}

void Watchdog::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const SteadyTime now = std::chrono::steady_clock::now();
    wake_ = SteadyTime::max();
    for (auto& [id, entry] : entries_) {
      if (entry.reason != Reason::kNone) continue;
      if (entry.cancel && entry.cancel->cancelled()) {
        entry.reason = Reason::kCancelled;
      } else if (entry.deadline && *entry.deadline <= now) {
        entry.reason = Reason::kDeadline;
      } else {
        wake_ = std::min(wake_, next_look(entry, now));
        continue;
      }
      entry.stop();
    }
    if (wake_ == SteadyTime::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, wake_);
    }
  }
}

Watchdog::Watch::Watch(Watchdog& dog, std::optional<SteadyTime> deadline, const CancelToken* cancel, std::function<void()> stop)
    : dog_(dog) {
  if (!deadline && cancel == nullptr) return;
  Entry entry;
  entry.deadline = deadline;
  if (cancel != nullptr) entry.cancel = *cancel;
  entry.stop = std::move(stop);
  bool wake = false;
  {
    const std::lock_guard lock(dog_.mutex_);
    id_ = dog_.next_id_++;
    const SteadyTime look = next_look(entry, std::chrono::steady_clock::now());
    // A wake-up that is due earlier anyway will see the new entry.
    wake = look < dog_.wake_;
    if (wake) dog_.wake_ = look;
    dog_.entries_.emplace(id_, std::move(entry));
  }
  if (wake) dog_.changed_.notify_one();
}

Watchdog::Watch::~Watch() { finish(); }

Watchdog::Reason Watchdog::Watch::finish() {
  if (id_ == 0) return reason_;
  const std::lock_guard lock(dog_.mutex_);
  const auto found = dog_.entries_.find(id_);
  reason_ = found->second.reason;
  dog_.entries_.erase(found);
  id_ = 0;
  return reason_;
}

}  // namespace tideline
