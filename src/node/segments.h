// LoadedSegments: the segments that plans on this node use, and those of them that are in memory. Each is loaded once, however
// many plans and callers use it, and its memory is reserved before anything of it is read: the packages in memory never exceed
// the limit together. Where a new one has no room, those that were used least recently are dropped, and loaded again when a
// request comes; one that is in use never is. So one node runs more models than it has memory for, at the price of loading.
// Thread-safe.
//
//   TIDELINE_TRY(const auto segment, segments.load(hash));              // when a plan is installed
//   TIDELINE_TRY(const auto in_use, segment->use(deadline, cancel));    // in the engine's turn
//   in_use->session->run(..);
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/cancel.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/engine.h"
#include "node/segment_store.h"

namespace tideline {

class LoadedSegments;

// A segment in memory.
struct SegmentInMemory {
  std::shared_ptr<void> reservation;  // first: given back after the session has gone
  std::unique_ptr<Session> session;
};

// A segment that plans use; shared by all their stages. It goes, and its memory is free again, with the last of them.
class LoadedSegment {
 public:
  // REQUIRES: the LoadedSegments outlives it.
  LoadedSegment(LoadedSegments& all, const Sha256& hash, const Session& session);
  ~LoadedSegment();
  LoadedSegment(const LoadedSegment&) = delete;
  LoadedSegment& operator=(const LoadedSegment&) = delete;

  const Sha256& hash() const { return hash_; }
  const std::vector<TensorSpec>& inputs() const { return inputs_; }
  const std::vector<TensorSpec>& outputs() const { return outputs_; }
  // In memory as long as the answer lives; loaded again when it was dropped. kDeadlineExceeded or kCancelled while it waits for
  // others that are in use, kNotFound when the store has lost it, or what the engine says.
  Result<std::shared_ptr<SegmentInMemory>> use(SteadyTime deadline, const CancelToken& cancel);

 private:
  LoadedSegments& all_;
  const Sha256 hash_;
  const std::vector<TensorSpec> inputs_;
  const std::vector<TensorSpec> outputs_;
};

class LoadedSegments {
 public:
  // `memory_max` of all packages together; 0: no limit. Engine and store must outlive it.
  LoadedSegments(Engine& engine, SegmentStore& store, Bytes memory_max)
      : engine_(engine), store_(store), memory_max_(memory_max) {}

  // For a plan that is installed: from memory, or from the store; waits for whoever loads the same, and for those in use where
  // there is no room otherwise. kNotFound, kOverloaded when it is larger than the limit, or what the engine says.
  Result<std::shared_ptr<LoadedSegment>> load(const Sha256& hash);
  // In memory now.
  std::size_t count();
  Bytes reserved_bytes() const;
  // How often one was dropped for another, and loaded again for a request.
  std::uint64_t dropped() const;
  std::uint64_t reloaded() const;

 private:
  friend class LoadedSegment;
  struct Account {
    mutable std::mutex mutex;
    Bytes bytes = 0;  // guarded by mutex
  };
  struct Entry {
    std::weak_ptr<LoadedSegment> installed;
    std::shared_ptr<SegmentInMemory> memory;  // null: dropped, or not loaded yet
    std::uint64_t used = 0;                   // when it was used last, as a number that rises
    bool loading = false;
  };
  // In memory, whoever's it is. With `for_request` it counts as loaded again.
  Result<std::shared_ptr<SegmentInMemory>> bring(const Sha256& hash, SteadyTime deadline, const CancelToken* cancel,
                                                 bool for_request);
  // With mutex_. Drops what is least recently used until there is room; waits for what is in use.
  Result<std::shared_ptr<void>> make_room(std::unique_lock<std::mutex>& lock, Bytes bytes, SteadyTime deadline,
                                          const CancelToken* cancel);
  std::shared_ptr<void> reserve(Bytes bytes);
  // With mutex_; the answer goes without it.
  class Loan;
  std::shared_ptr<SegmentInMemory> lend(std::shared_ptr<SegmentInMemory> memory);
  // With mutex_.
  bool drop_one(std::shared_ptr<SegmentInMemory>& dropped);
  void forget(const Sha256& hash);

  Engine& engine_;
  SegmentStore& store_;
  const Bytes memory_max_;
  // Shared with the reservations.
  const std::shared_ptr<Account> account_ = std::make_shared<Account>();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::map<Sha256, Entry> entries_;
  std::uint64_t uses_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t reloaded_ = 0;
};

}  // namespace tideline
