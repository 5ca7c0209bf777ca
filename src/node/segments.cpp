#include "node/segments.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "transport/transport.h"

namespace tideline {
namespace {

// Of one segment; a package may hold hundreds of megabytes, or constants that take for ever to fold.
constexpr std::chrono::seconds kLoadTimeout{100};

}  // namespace

// What somebody has in use. When it goes, whoever waits for room is told.
class LoadedSegments::Loan {
 public:
  Loan(LoadedSegments& all, std::shared_ptr<SegmentInMemory> memory) : all_(all), memory_(std::move(memory)) {}
  ~Loan() {
    {
      const std::lock_guard lock(all_.mutex_);
      // Unless its plan has gone meanwhile, the entry has another one.
      gone_ = std::move(memory_);
      if (gone_.use_count() > 1) gone_.reset();
    }
    gone_.reset();
    all_.changed_.notify_all();
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  SegmentInMemory* memory() const { return memory_.get(); }

 private:
  LoadedSegments& all_;
  std::shared_ptr<SegmentInMemory> memory_;
  std::shared_ptr<SegmentInMemory> gone_;
};

std::shared_ptr<SegmentInMemory> LoadedSegments::lend(std::shared_ptr<SegmentInMemory> memory) {
  auto loan = std::make_shared<Loan>(*this, std::move(memory));
  SegmentInMemory* raw = loan->memory();
  return {std::move(loan), raw};
}

LoadedSegment::LoadedSegment(LoadedSegments& all, const Sha256& hash, const Session& session)
    : all_(all), hash_(hash), inputs_(session.inputs()), outputs_(session.outputs()) {}

LoadedSegment::~LoadedSegment() { all_.forget(hash_); }

Result<std::shared_ptr<SegmentInMemory>> LoadedSegment::use(SteadyTime deadline, const CancelToken& cancel) {
  return all_.bring(hash_, deadline, &cancel, true);
}

std::shared_ptr<void> LoadedSegments::reserve(Bytes bytes) {
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
  if (memory_max_ > 0 && account_->bytes + bytes > memory_max_) return nullptr;
  account_->bytes += bytes;
  reservation->bytes = bytes;
  return reservation;
}

bool LoadedSegments::drop_one(std::shared_ptr<SegmentInMemory>& dropped) {
  Entry* oldest = nullptr;
  for (auto& [hash, entry] : entries_)
    // Ours is the only reference: under the mutex nobody can get another one.
    if (entry.memory && entry.memory.use_count() == 1 && (oldest == nullptr || entry.used < oldest->used)) oldest = &entry;
  if (oldest == nullptr) return false;
  dropped = std::move(oldest->memory);
  ++dropped_;
  return true;
}

Result<std::shared_ptr<void>> LoadedSegments::make_room(std::unique_lock<std::mutex>& lock, Bytes bytes, SteadyTime deadline,
                                                        const CancelToken* cancel) {
  if (memory_max_ > 0 && bytes > memory_max_)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] the segment needs {}, and all of them together may have {}; raise `memory` or place fewer "
                             "blocks here",
                             format_bytes(bytes), format_bytes(memory_max_))};
  while (true) {
    if (auto reserved = reserve(bytes)) return reserved;
    if (std::shared_ptr<SegmentInMemory> dropped; drop_one(dropped)) {
      // A session takes its time to go, and others need not wait for it.
      lock.unlock();
      dropped.reset();
      lock.lock();
      changed_.notify_all();
      continue;
    }
    if (cancel != nullptr && cancel->cancelled()) return Error{ErrorCode::kCancelled, "[node] cancelled"};
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout)
      return Error{cancel == nullptr ? ErrorCode::kOverloaded : ErrorCode::kDeadlineExceeded,
                   fmt::format("[node] the segment needs {}, and what is in use leaves no room for it in {}", format_bytes(bytes),
                               format_bytes(memory_max_))};
  }
}

Result<std::shared_ptr<SegmentInMemory>> LoadedSegments::bring(const Sha256& hash, SteadyTime deadline, const CancelToken* cancel,
                                                               bool for_request) {
  // Waiting for room must end with a cancellation too.
  std::optional<CancelToken::Watch> watch;
  if (cancel != nullptr) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = entries_.find(hash); known != entries_.end() && known->second.memory) {
        known->second.used = ++uses_;
        return lend(known->second.memory);
      }
    }
    watch.emplace(cancel->source(), [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    });
  }
  std::unique_lock lock(mutex_);
  // The entry may be erased by another thread while this one waits: asked for anew each time.
  while (entries_.contains(hash) && entries_[hash].loading) {
    if (cancel != nullptr && cancel->cancelled()) return Error{ErrorCode::kCancelled, "[node] cancelled"};
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout)
      return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed while a segment was loaded"};
  }
  if (Entry& known = entries_[hash]; known.memory) {
    known.used = ++uses_;
    return lend(known.memory);
  }
  entries_[hash].loading = true;
  struct Loading {
    LoadedSegments& segments;
    std::unique_lock<std::mutex>& lock;
    const Sha256& hash;
    std::shared_ptr<SegmentInMemory> result;
    ~Loading() {
      if (!lock.owns_lock()) lock.lock();
      Entry& entry = segments.entries_[hash];
      entry.loading = false;
      entry.memory = result;
      entry.used = ++segments.uses_;
      if (!result && entry.installed.expired()) segments.entries_.erase(hash);
      segments.changed_.notify_all();
    }
  } loading{*this, lock, hash, nullptr};
  auto segment = std::make_shared<SegmentInMemory>();
  TIDELINE_TRY(const Bytes bytes, store_.size(hash));
  TIDELINE_TRY(segment->reservation, make_room(lock, bytes, deadline, cancel));
  lock.unlock();
  TIDELINE_TRY(const std::string package, store_.read(hash));
  TIDELINE_TRY(segment->session, engine_.load(package, {.deadline = std::min(deadline, deadline_in(kLoadTimeout))}));
  lock.lock();
  loading.result = segment;
  if (for_request) ++reloaded_;
  return lend(std::move(segment));
}

Result<std::shared_ptr<LoadedSegment>> LoadedSegments::load(const Sha256& hash) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = entries_.find(hash); known != entries_.end())
      if (auto installed = known->second.installed.lock()) return installed;
  }
  TIDELINE_TRY(const auto memory, bring(hash, deadline_in(kLoadTimeout), nullptr, false));
  std::shared_ptr<LoadedSegment> segment;
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[hash];
  // Another caller may have been as quick.
  if (auto installed = entry.installed.lock()) return installed;
  segment = std::make_shared<LoadedSegment>(*this, hash, *memory->session);
  entry.installed = segment;
  return segment;
}

void LoadedSegments::forget(const Sha256& hash) {
  std::shared_ptr<SegmentInMemory> gone;
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(hash);
  if (entry == entries_.end() || !entry->second.installed.expired()) return;
  gone = std::move(entry->second.memory);
  if (!entry->second.loading) entries_.erase(entry);
  changed_.notify_all();
}

std::size_t LoadedSegments::count() {
  const std::lock_guard lock(mutex_);
  std::size_t loaded = 0;
  for (const auto& [hash, entry] : entries_) loaded += entry.memory ? 1 : 0;
  return loaded;
}

Bytes LoadedSegments::reserved_bytes() const {
  const std::lock_guard lock(account_->mutex);
  return account_->bytes;
}

std::uint64_t LoadedSegments::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::uint64_t LoadedSegments::reloaded() const {
  const std::lock_guard lock(mutex_);
  return reloaded_;
}

}  // namespace tideline
