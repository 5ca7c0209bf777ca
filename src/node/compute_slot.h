// ComputeSlot: one engine run at a time on a node. Of those that wait, those within their share go before the others
// (node/shares.h), then the one with the earliest deadline; of equal ones, which requests without a deadline are, the one that
// came first. A run within its share is not interrupted. One beyond it is as soon as somebody within theirs asks: it then gives
// its turn back, and its work is lost. Thread-safe.
#pragma once

#include <compare>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

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
    // Cancelled when somebody within their share wants the engine; only of turns beyond theirs. The run ends then.
    const std::optional<CancelToken>& wanted() const { return wanted_; }

   private:
    friend class ComputeSlot;
    std::shared_ptr<Shared> shared_;
    std::optional<CancelToken> wanted_;
  };
  // Where a request stands among those that wait: the least goes first.
  struct Place {
    bool beyond_share = false;
    SteadyTime deadline;
    std::uint64_t ticket = 0;
    auto operator<=>(const Place&) const = default;
  };
  // Waits for the turn. kDeadlineExceeded, kCancelled, or kOverloaded when `waiting_max` wait already.
  Result<Turn> acquire(SteadyTime deadline, const CancelToken& cancel, std::size_t waiting_max, bool beyond_share = false);

 private:
  // With the mutex.
  static Turn give(const std::shared_ptr<Shared>& shared, bool beyond_share);

  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool busy = false;
    std::optional<CancelToken> wanted;  // of the turn that is given, if it is beyond its share
    std::uint64_t next_ticket = 0;
    std::set<Place> waiting;
  };
  // Shared with cancellation callbacks, which may fire after the slot is gone.
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace tideline
