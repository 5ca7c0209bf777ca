// MonotonicClock: where code asks for the time that it judges silence, expiry and back-off by, so that its tests need not sleep.
// Deadlines that are handed to the operating system (poll, condition variables) are points of the real one.
#pragma once

#include <atomic>
#include <chrono>

#include "base/units.h"

namespace tideline {

// Thread-safe.
class MonotonicClock {
 public:
  virtual ~MonotonicClock() = default;
  virtual SteadyTime now() const = 0;
};

// std::chrono::steady_clock; lives for ever.
const MonotonicClock& real_clock();

// Stands still until it is moved: for tests and for simulation.
class ManualClock final : public MonotonicClock {
 public:
  SteadyTime now() const override { return SteadyTime(SteadyTime::duration(now_.load())); }
  void advance(std::chrono::nanoseconds time) { now_ += std::chrono::duration_cast<SteadyTime::duration>(time).count(); }

 private:
  // Not zero, so that "long ago" can be expressed.
  std::atomic<SteadyTime::rep> now_{std::chrono::duration_cast<SteadyTime::duration>(std::chrono::hours(1'000)).count()};
};

}  // namespace tideline
