#include "transport/shaped/link.h"

#include <algorithm>
#include <cstring>

#include "transport/wait.h"

namespace tideline::shaped {
namespace {

using Clock = std::chrono::steady_clock;

// A packet of Ethernet; and enough for the fastest links not to spend their time on waking threads.
constexpr std::size_t kChunkBytesMin = 1500;
constexpr std::size_t kChunkBytesMax = 65536;
// How late a thread may wake before the link counts as having been idle.
constexpr std::chrono::milliseconds kLateness{20};

Error too_late() { return {ErrorCode::kDeadlineExceeded, "[transport] nothing came over the shaped link before the deadline"}; }

}  // namespace

std::size_t Lane::chunk_bytes() const {
  if (bytes_per_s_ <= 0) return kChunkBytesMax;
  return static_cast<std::size_t>(std::clamp(bytes_per_s_ / 1000, double{kChunkBytesMin}, double{kChunkBytesMax}));
}

std::size_t Lane::queue_bytes() const {
  return std::max(4 * chunk_bytes(), static_cast<std::size_t>(std::min(bytes_per_s_ / 200, 4e6)));
}

std::size_t Lane::window_bytes(Nanos delay) const {
  const double flying = bytes_per_s_ * std::chrono::duration<double>(delay).count();
  return (std::size_t{1} << 20) + static_cast<std::size_t>(std::min(flying, 1e9));
}

std::optional<SteadyTime> Lane::pass(std::size_t bytes, SteadyTime ready, const std::atomic<bool>& stop) {
  if (bytes_per_s_ <= 0) return ready;
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  turns_.push_back(ticket);
  while (!stop.load()) {
    if (turns_.front() != ticket) {
      changed_.wait(lock);
    } else if (Clock::now() < free_at_) {
      changed_.wait_until(lock, free_at_);
    } else {
      break;
    }
  }
  turns_.erase(std::find(turns_.begin(), turns_.end(), ticket));
  changed_.notify_all();
  if (stop.load()) return std::nullopt;
  // From when the link became free, not from when this thread woke: a busy link loses nothing by late threads.
  const std::chrono::duration<double> time(static_cast<double>(bytes) / bytes_per_s_);
  free_at_ = std::max(free_at_, ready) + std::chrono::duration_cast<Nanos>(time);
  return free_at_;
}

SteadyTime Lane::backlog_since() {
  const std::lock_guard lock(mutex_);
  return std::max(free_at_, Clock::now() - kLateness);
}

void Lane::wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

Result<bool> ChunkQueue::push(Chunk chunk, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  if (!wait_for(changed_, lock, deadline, [&] { return bytes_ < bytes_max_ || end_; })) return false;
  if (end_) return *end_;
  bytes_ += chunk.bytes.size();
  chunks_.push_back(std::move(chunk));
  changed_.notify_all();
  return true;
}

Result<Chunk> ChunkQueue::pop(bool when_due) {
  std::unique_lock lock(mutex_);
  TIDELINE_CHECK_OK(wait_for_chunk(lock, when_due, kNoDeadline));
  Chunk chunk = std::move(chunks_.front());
  chunks_.pop_front();
  bytes_ -= chunk.bytes.size();
  changed_.notify_all();
  return chunk;
}

Result<std::size_t> ChunkQueue::read(std::span<std::byte> into, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  TIDELINE_CHECK_OK(wait_for_chunk(lock, true, deadline));
  const auto now = Clock::now();
  std::size_t count = 0;
  while (!chunks_.empty() && count < into.size() && chunks_.front().time <= now) {
    Chunk& chunk = chunks_.front();
    const std::size_t part = std::min(into.size() - count, chunk.bytes.size() - chunk.taken);
    std::memcpy(into.data() + count, chunk.bytes.data() + chunk.taken, part);
    count += part;
    chunk.taken += part;
    if (chunk.taken < chunk.bytes.size()) break;
    bytes_ -= chunk.bytes.size();
    chunks_.pop_front();
  }
  changed_.notify_all();
  return count;
}

void ChunkQueue::close(const Error& end) {
  const std::lock_guard lock(mutex_);
  if (!end_) end_ = end;
  changed_.notify_all();
}

void ChunkQueue::abort(const Error& end) {
  const std::lock_guard lock(mutex_);
  chunks_.clear();
  bytes_ = 0;
  if (!end_) end_ = end;
  changed_.notify_all();
}

void ChunkQueue::discard() {
  const std::lock_guard lock(mutex_);
  chunks_.clear();
  bytes_ = 0;
  changed_.notify_all();
}

Status ChunkQueue::wait_for_chunk(std::unique_lock<std::mutex>& lock, bool when_due, SteadyTime deadline) {
  while (true) {
    if (chunks_.empty()) {
      if (end_) return *end_;
      if (!wait_for(changed_, lock, deadline, [&] { return !chunks_.empty() || end_; })) return too_late();
      continue;
    }
    const SteadyTime due = chunks_.front().time;
    const auto now = Clock::now();
    if (!when_due || due <= now) return {};
    if (deadline <= now) return too_late();
    changed_.wait_until(lock, std::min(due, deadline));
  }
}

}  // namespace tideline::shaped
