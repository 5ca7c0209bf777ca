// ComputeSlot: one engine run at a time on a node, first come first served. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "base/cancel.h"
#include "base/result.h"
#include "base/units.h"

namespace tideline {

class ComputeSlot {
  struct Shared;

 public:
  // The engine is whoever's holds it, until it goes, by whatever way.
  class Turn {
   public:
    explicit Turn(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    Turn(Turn&&) = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    std::shared_ptr<Shared> shared_;
  };
  // Waits for the turn. kDeadlineExceeded, kCancelled, or kOverloaded when `waiting_max` wait already.
  Result<Turn> acquire(SteadyTime deadline, const CancelToken& cancel, std::size_t waiting_max);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool busy = false;
    std::uint64_t next_ticket = 0;
    std::list<std::uint64_t> waiting;
  };
  // Shared with cancellation callbacks, which may fire after the slot is gone.
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace tideline
