// What a shaped link is made of: lanes that take time, and queues of chunks that arrive when they are due. Internal.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "transport/transport.h"

namespace tideline::shaped {

// One direction of the link, shared by its connections: an absolute clock that says when the link is free again. Thread-safe.
class Lane {
 public:
  // 0 = not limited.
  explicit Lane(double bytes_per_s) : bytes_per_s_(bytes_per_s) {}

  // What goes through at once: a millisecond's worth, within reason.
  std::size_t chunk_bytes() const;
  // What a sender may be ahead of the link: little, so that the time of a send() is the time on the link.
  std::size_t queue_bytes() const;
  // What a peer that does not read may leave under way.
  std::size_t window_bytes(Nanos delay) const;

  // Waits for its turn and for the link to be free, and occupies it for so many bytes, which were there since `ready`. Returns
  // when the last of them has left, which is in the future; nothing when `stop` was set and wake() called.
  std::optional<SteadyTime> pass(std::size_t bytes, SteadyTime ready, const std::atomic<bool>& stop);

  // Since when bytes that are found waiting may be taken to have been there: since the link became free, unless that is long ago.
  SteadyTime backlog_since();
  void wake();

 private:
  const double bytes_per_s_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::uint64_t> turns_;
  std::uint64_t next_ticket_ = 0;
  SteadyTime free_at_{};
};

struct Chunk {
  Buffer bytes;
  SteadyTime time{};      // since when it is there, or when it is due
  std::size_t taken = 0;  // of bytes
};

// Chunks in order, up to a number of bytes. Thread-safe.
class ChunkQueue {
 public:
  explicit ChunkQueue(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Waits for room; false at the deadline.
  Result<bool> push(Chunk chunk, SteadyTime deadline);
  // The next chunk: as soon as it is there or, with `when_due`, at its time. After the last one, the end.
  Result<Chunk> pop(bool when_due);
  // At least one byte of what is due.
  Result<std::size_t> read(std::span<std::byte> into, SteadyTime deadline);

  // No more chunks; those that are there still come.
  void close(const Error& end);
  // Nothing any more.
  void abort(const Error& end);
  // Forgets what is there.
  void discard();

 private:
  Status wait_for_chunk(std::unique_lock<std::mutex>& lock, bool when_due, SteadyTime deadline);

  const std::size_t bytes_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Chunk> chunks_;
  std::size_t bytes_ = 0;
  std::optional<Error> end_;
};

}  // namespace tideline::shaped
