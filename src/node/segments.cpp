#include "node/segments.h"

#include <fmt/format.h>

#include "transport/transport.h"

namespace tideline {
namespace {

// Of one segment; a package may hold hundreds of megabytes, or constants that take for ever to fold.
constexpr std::chrono::seconds kLoadTimeout{100};

}  // namespace

Result<std::shared_ptr<void>> LoadedSegments::reserve(Bytes bytes) {
  // The owner first: once the bytes are counted, nothing may throw.
  struct Reservation {
    std::shared_ptr<Account> account;
    Bytes bytes = 0;
    ~Reservation() {
      const std::lock_guard lock(account->mutex);
      account->bytes -= bytes;
    }
  };
  auto reservation = std::make_shared<Reservation>(Reservation{account_, 0});
  const std::lock_guard lock(account_->mutex);
  if (memory_max_ > 0 && account_->bytes + bytes > memory_max_)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] the segment needs {} and {} of {} are in use; raise `memory` or place fewer blocks here",
                             format_bytes(bytes), format_bytes(account_->bytes), format_bytes(memory_max_))};
  account_->bytes += bytes;
  reservation->bytes = bytes;
  return std::shared_ptr<void>(std::move(reservation));
}

Result<std::shared_ptr<LoadedSegment>> LoadedSegments::load(const Sha256& hash) {
  {
    std::unique_lock lock(mutex_);
    std::erase_if(entries_, [&](const auto& entry) { return !entry.second.loading && entry.second.segment.expired(); });
    // The entry may be erased by another thread while this one waits: asked for anew each time.
    loaded_.wait(lock, [&] { return !entries_.contains(hash) || !entries_[hash].loading; });
    if (auto known = entries_[hash].segment.lock()) return known;
    entries_[hash].loading = true;
  }
  struct Loading {
    LoadedSegments& segments;
    const Sha256& hash;
    std::shared_ptr<LoadedSegment> result;
    ~Loading() {
      const std::lock_guard lock(segments.mutex_);
      Entry& entry = segments.entries_[hash];
      entry.loading = false;
      entry.segment = result;
      segments.loaded_.notify_all();
    }
  } loading{*this, hash, nullptr};
  auto segment = std::make_shared<LoadedSegment>();
  TIDELINE_TRY(const Bytes bytes, store_.size(hash));
  TIDELINE_TRY(segment->reservation, reserve(bytes));
  TIDELINE_TRY(const std::string package, store_.read(hash));
  TIDELINE_TRY(segment->session, engine_.load(package, {.deadline = deadline_in(kLoadTimeout)}));
  loading.result = segment;
  return segment;
}

std::size_t LoadedSegments::count() {
  const std::lock_guard lock(mutex_);
  std::size_t alive = 0;
  for (const auto& [hash, entry] : entries_) alive += entry.segment.expired() ? 0 : 1;
  return alive;
}

Bytes LoadedSegments::reserved_bytes() const {
  const std::lock_guard lock(account_->mutex);
  return account_->bytes;
}

}  // namespace tideline
