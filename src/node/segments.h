// LoadedSegments: the segments that are in memory. Each is loaded once, however many plans and callers use it, and its memory is
// reserved before anything of it is read: two installations at once never exceed the limit together. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/engine.h"
#include "node/segment_store.h"

namespace tideline {

class LoadedSegments;

// A segment in memory; shared by the stages of all plans that use it. Gone, and its memory free again, with the last of them.
struct LoadedSegment {
  std::shared_ptr<void> reservation;  // first: given back after the session has gone
  std::unique_ptr<Session> session;
};

class LoadedSegments {
 public:
  // `memory_max` of all packages together; 0: no limit. Engine and store must outlive it.
  LoadedSegments(Engine& engine, SegmentStore& store, Bytes memory_max)
      : engine_(engine), store_(store), memory_max_(memory_max) {}

  // From memory, or from the store; waits for whoever loads the same. kNotFound, kOverloaded, or what the engine says.
  Result<std::shared_ptr<LoadedSegment>> load(const Sha256& hash);
  std::size_t count();
  Bytes reserved_bytes() const;

 private:
  struct Account {
    mutable std::mutex mutex;
    Bytes bytes = 0;  // guarded by mutex
  };
  Result<std::shared_ptr<void>> reserve(Bytes bytes);

  Engine& engine_;
  SegmentStore& store_;
  const Bytes memory_max_;
  // Shared with the reservations.
  const std::shared_ptr<Account> account_ = std::make_shared<Account>();
  std::mutex mutex_;
  std::condition_variable loaded_;
  struct Entry {
    std::weak_ptr<LoadedSegment> segment;
    bool loading = false;
  };
  std::map<Sha256, Entry> entries_;  // guarded by mutex_
};

}  // namespace tideline
