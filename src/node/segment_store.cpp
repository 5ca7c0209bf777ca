#include "node/segment_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/descriptor.h"
#include "platform/files.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialEnd = ".partial";
// From time to time the system is asked to begin writing, so that the final sync does not wait for everything.
constexpr std::uint64_t kWriteBehindBytes = std::uint64_t{8} << 20;

struct FolderUse {
  Bytes bytes = 0;
  std::size_t segments = 0;
};

// Of everything but the files in `uploads`, which count as what they promise.
FolderUse use_of(const std::string& folder, const std::set<std::string>& uploads) {
  FolderUse use;
  std::error_code status;
  for (auto it = fs::directory_iterator(folder, status); !status && it != fs::directory_iterator(); it.increment(status)) {
    if (uploads.contains(it->path().native())) continue;
    if (!it->path().native().ends_with(kPartialEnd)) ++use.segments;
    std::error_code unknown;
    const auto size = it->file_size(unknown);
    if (!unknown) use.bytes += size;
  }
  return use;
}

// A regular file, opened without following a link and without waiting for a pipe's other end; nothing otherwise.
Descriptor open_regular(const std::string& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status {};
  if (file && (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))) file.reset();
  return file;
}

// A new file of that name, whatever had it before.
Descriptor create(const std::string& path) {
  ::unlink(path.c_str());
  Descriptor file(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file) ::flock(file.get(), LOCK_EX | LOCK_NB);
  return file;
}

Error full(int reason) {
  return {ErrorCode::kOverloaded, fmt::format("[store] the segment folder takes no more: {}", std::strerror(reason))};
}

// Adds the whole file to `stream`; says how many bytes that were.
Result<std::uint64_t> hash_file(int file, Sha256Stream& stream) {
  std::string chunk(1u << 20, '\0');
  std::uint64_t offset = 0;
  while (true) {
    const ssize_t got = ::pread(file, chunk.data(), chunk.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{ErrorCode::kInternal, fmt::format("[store] cannot read a segment: {}", std::strerror(errno))};
    if (got == 0) return offset;
    stream.update(std::string_view(chunk).substr(0, static_cast<std::size_t>(got)));
    offset += static_cast<std::uint64_t>(got);
  }
}

}  // namespace

// What a file was when its bytes were last looked at: any change shows in one of these.
struct SegmentStore::Verified {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t changed_s = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const Verified&) const = default;

  static std::optional<Verified> of(int file) {
    struct stat status {};
    if (::fstat(file, &status) != 0) return std::nullopt;
    return Verified{status.st_dev, status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
  }
};

// One upload. Its file is locked as long as it is somebody's, so that no other process takes it for an orphan.
struct SegmentStore::Partial {
  std::string path;
  Sha256 hash;
  // Guarded by the store's mutex_:
  std::optional<wire::SessionId> session;  // absent: an orphan
  std::uint64_t total = 0;                 // of an orphan: its size
  SteadyTime touched{};

  std::mutex mutex;
  // Guarded by mutex, which is never waited for with the store's mutex_ held:
  Descriptor file;
  std::unique_ptr<Sha256Stream> stream;  // of everything in the file; absent: to be made from the file
  std::uint64_t bytes = 0;
  bool adopted = false;  // others have written a part of it
  bool dropped = false;
};

SegmentStore::SegmentStore(std::string folder, Bytes bytes_max, const MonotonicClock& clock)
    : folder_(std::move(folder)), bytes_max_(bytes_max), clock_(clock) {}

SegmentStore::~SegmentStore() = default;

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(const std::string& folder, Bytes bytes_max,
                                                         const MonotonicClock& clock) {
  TIDELINE_CHECK_OK(make_folders(folder));
  std::unique_ptr<SegmentStore> store(new SegmentStore(folder, bytes_max, clock));
  store->find_orphans();
  return store;
}

void SegmentStore::find_orphans() {
  std::error_code status;
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  for (auto it = fs::directory_iterator(folder_, status); !status && it != fs::directory_iterator(); it.increment(status)) {
    if (!it->path().native().ends_with(kPartialEnd)) continue;
    std::error_code unknown;
    found.emplace_back(fs::last_write_time(it->path(), unknown), it->path());
  }
  std::sort(found.rbegin(), found.rend());
  for (const auto& [time, path] : found) {
    const std::string name = path.filename().string();
    const auto hash = parse_sha256(std::string_view(name).substr(0, 64));
    Descriptor file = open_regular(path.native(), O_RDWR);
    struct stat size {};
    const bool taken = file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;
    if (taken) continue;
    if (!file || !hash || ::fstat(file.get(), &size) != 0 || size.st_size == 0 || partials_.size() >= limits::kStoreUploadsMax) {
      ::unlink(path.c_str());
      continue;
    }
    auto partial = std::make_shared<Partial>();
    partial->path = path.native();
    partial->hash = *hash;
    partial->total = partial->bytes = static_cast<std::uint64_t>(size.st_size);
    partial->touched = clock_.now();
    partial->adopted = true;
    partials_.push_back(std::move(partial));
  }
}

bool SegmentStore::has(const Sha256& hash) const {
  const Descriptor file = open_regular(path(hash), O_RDONLY);
  if (!file) return false;
  const auto now = Verified::of(file.get());
  if (!now) return false;
  {
    const std::lock_guard lock(verified_mutex_);
    if (const auto known = verified_.find(hash); known != verified_.end() && known->second == *now) return true;
  }
  Sha256Stream stream;
  if (!hash_file(file.get(), stream)) return false;
  if (stream.finish() != hash) {
    ::unlink(path(hash).c_str());
    return false;
  }
  const std::lock_guard lock(verified_mutex_);
  verified_[hash] = *now;
  return true;
}

Result<Bytes> SegmentStore::size(const Sha256& hash) const {
  std::error_code status;
  const auto bytes = fs::file_size(path(hash), status);
  if (!status) return static_cast<Bytes>(bytes);
  return Error{ErrorCode::kNotFound, fmt::format("[store] segment {} is not here; push it again", hash.hex().substr(0, 12))};
}

std::size_t SegmentStore::count() const {
  std::size_t whole = 0;
  std::error_code status;
  for (auto it = fs::directory_iterator(folder_, status); !status && it != fs::directory_iterator(); it.increment(status))
    if (it->path().extension() == ".segment") ++whole;
  return whole;
}

Result<std::string> SegmentStore::read(const Sha256& hash) const {
  const Error missing{ErrorCode::kNotFound,
                      fmt::format("[store] segment {} is not here; push it again", hash.hex().substr(0, 12))};
  if (!open_regular(path(hash), O_RDONLY)) return missing;
  auto bytes = read_file(path(hash), limits::kSegmentBytesMax);
  if (!bytes) return missing;
  if (sha256(*bytes) == hash) return bytes;
  ::unlink(path(hash).c_str());
  return Error{ErrorCode::kCorrupt, fmt::format("[store] segment {} was damaged on disk and has been deleted; push it again",
                                                hash.hex().substr(0, 12))};
}

void SegmentStore::drop(const std::shared_ptr<Partial>& partial) {
  ::unlink(partial->path.c_str());
  std::erase(partials_, partial);
}

void SegmentStore::drop_expired() {
  const SteadyTime now = clock_.now();
  for (const auto& partial : std::vector(partials_)) {
    if (now - partial->touched < limits::kUploadExpiry) continue;
    const std::unique_lock idle(partial->mutex, std::try_to_lock);
    if (!idle.owns_lock()) continue;
    partial->dropped = true;
    drop(partial);
  }
}

std::shared_ptr<SegmentStore::Partial> SegmentStore::find(const wire::SessionId& session, const Sha256& hash) {
  std::shared_ptr<Partial> orphan;
  for (const auto& partial : partials_) {
    if (partial->hash != hash) continue;
    if (partial->session == session) return partial;
    if (!partial->session) orphan = partial;
  }
  return orphan;
}

std::uint64_t SegmentStore::resume_at(const wire::SessionId& session, const Sha256& hash) {
  std::shared_ptr<Partial> partial;
  {
    const std::lock_guard lock(mutex_);
    drop_expired();
    partial = find(session, hash);
  }
  if (!partial) return 0;
  const std::lock_guard lock(partial->mutex);
  return partial->dropped ? 0 : partial->bytes;
}

// Room for an upload of `total` bytes, by ending others if need be: those that nobody owns or that have been silent first, then
// those of whoever holds more than this session would.
Status SegmentStore::make_room(const wire::SessionId& session, Bytes total) {
  std::set<std::string> uploads;
  for (const auto& partial : partials_) uploads.insert(partial->path);
  const FolderUse use = use_of(folder_, uploads);
  if (use.segments >= limits::kNodeSegmentsMax)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[store] the node holds {} segments, the most there may be: delete old ones in its --store folder",
                             use.segments)};
  const Error no_room{ErrorCode::kOverloaded,
                      fmt::format("[store] a segment of {} does not fit: the folder may hold {} (--store-bytes)",
                                  format_bytes(total), format_bytes(bytes_max_))};
  if (total > bytes_max_ || use.bytes > bytes_max_ - total) return no_room;
  const SteadyTime now = clock_.now();
  while (true) {
    Bytes promised = 0;
    std::size_t own = 0;
    std::map<wire::SessionId, std::pair<Bytes, std::size_t>> held;
    for (const auto& partial : partials_) {
      promised += partial->total;
      if (!partial->session) continue;
      auto& [bytes, count] = held[*partial->session];
      bytes += partial->total;
      ++count;
      own += partial->session == session ? 1 : 0;
    }
    const bool bytes_fit = promised <= bytes_max_ - use.bytes - total;
    const bool own_fit = own < limits::kStoreUploadsPerSessionMax;
    if (bytes_fit && own_fit && partials_.size() < limits::kStoreUploadsMax) return {};
    const auto& [own_bytes, own_count] = held[session];
    // Smaller is given up earlier; the last rank never is.
    const auto rank = [&, own_bytes = own_bytes, own_count = own_count](const Partial& partial) {
      if (partial.session != session && !own_fit) return 3;  // would not help
      if (!partial.session) return 0;
      if (now - partial.touched >= limits::kUploadIdle) return 1;
      if (partial.session == session) return 3;
      const auto& [bytes, count] = held[*partial.session];
      return bytes > own_bytes + total || count > own_count + 1 ? 2 : 3;
    };
    std::vector<std::pair<std::pair<int, SteadyTime>, std::shared_ptr<Partial>>> candidates;
    for (const auto& partial : partials_)
      if (const int r = rank(*partial); r < 3) candidates.push_back({{r, partial->touched}, partial});
    std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    bool dropped = false;
    for (const auto& [order, partial] : candidates) {
      const std::unique_lock idle(partial->mutex, std::try_to_lock);
      if (!idle.owns_lock()) continue;
      partial->dropped = dropped = true;
      drop(partial);
      break;
    }
    if (dropped) continue;
    if (!bytes_fit) return no_room;
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[store] {} uploads are under way, the most there may be: finish them or try later",
                             own_fit ? partials_.size() : own)};
  }
}

Result<std::shared_ptr<SegmentStore::Partial>> SegmentStore::begin(const wire::SessionId& session, const Sha256& hash,
                                                                   std::uint64_t total) {
  TIDELINE_CHECK_OK(make_room(session, total));
  auto partial = std::make_shared<Partial>();
  partial->path = fmt::format("{}/{}.{}-{}{}", folder_, hash.hex(), ::getpid(), next_partial_++, kPartialEnd);
  partial->hash = hash;
  partial->session = session;
  partial->total = total;
  partial->stream = std::make_unique<Sha256Stream>();
  partial->file = create(partial->path);
  // Somebody may have deleted the folder.
  if (!partial->file && errno == ENOENT && make_folders(folder_)) partial->file = create(partial->path);
  if (!partial->file)
    return Error{ErrorCode::kOverloaded, fmt::format("[store] cannot write to the segment folder: {}", std::strerror(errno))};
  partials_.push_back(partial);
  return partial;
}

Status SegmentStore::append(Partial& partial, std::span<const std::byte> piece) {
  const std::uint64_t before = partial.bytes;
  std::span<const std::byte> left = piece;
  while (!left.empty()) {
    const ssize_t written = ::write(partial.file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      // The next try starts where this piece did.
      if (::ftruncate(partial.file.get(), static_cast<off_t>(before)) != 0) partial.dropped = true;
      return full(reason);
    }
    left = left.subspan(static_cast<std::size_t>(written));
  }
  partial.stream->update({reinterpret_cast<const char*>(piece.data()), piece.size()});
  partial.bytes += piece.size();
  if (before / kWriteBehindBytes != partial.bytes / kWriteBehindBytes)
    (void)::sync_file_range(partial.file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  return {};
}

Result<SegmentStore::Upload> SegmentStore::put(const wire::SessionId& session, const Sha256& hash, std::uint64_t total,
                                               std::uint64_t offset, std::span<const std::byte> piece) {
  if (has(hash)) return Upload{total, true};
  if (total == 0 || total > limits::kSegmentBytesMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[store] a segment of {} is outside 1 B to {}", format_bytes(total),
                                                          format_bytes(limits::kSegmentBytesMax))};
  if (offset > total || piece.size() > total - offset)
    return Error{ErrorCode::kCorrupt, "[store] a piece reaches past the end of its segment"};

  std::shared_ptr<Partial> partial;
  bool adopt = false;
  {
    const std::lock_guard lock(mutex_);
    drop_expired();
    partial = find(session, hash);
    if (!partial && offset == 0) {
      TIDELINE_TRY(partial, begin(session, hash, total));
    }
    if (!partial) return Upload{0, false};
    if (!partial->session) {
      // Its promise was not remembered: the new one counts. Without it among the orphans, room is made beside it.
      adopt = true;
      std::erase(partials_, partial);
      const Status room = total >= partial->total ? make_room(session, total) : Status();
      partials_.push_back(partial);
      TIDELINE_CHECK_OK(room);
      partial->session = session;
      partial->total = total;
    } else if (partial->total != total) {
      return Error{ErrorCode::kInvalidArgument, fmt::format("[store] a segment of {} was promised, now it is one of {}",
                                                            format_bytes(partial->total), format_bytes(total))};
    }
    partial->touched = clock_.now();
  }

  const std::unique_lock own(partial->mutex);
  const auto forget = [&] {
    partial->dropped = true;
    const std::lock_guard lock(mutex_);
    drop(partial);
  };
  if (partial->dropped) return Upload{0, false};
  if (adopt && !partial->file) {
    partial->file = open_regular(partial->path, O_RDWR | O_APPEND);
    if (partial->file && ::flock(partial->file.get(), LOCK_EX | LOCK_NB) != 0) partial->file.reset();
  }
  struct stat status {};
  // Deleted, or changed by somebody else: begin anew.
  if (!partial->file || ::fstat(partial->file.get(), &status) != 0 || status.st_nlink == 0 ||
      static_cast<std::uint64_t>(status.st_size) != partial->bytes || partial->bytes > total) {
    forget();
    return Upload{0, false};
  }
  if (offset != partial->bytes) return Upload{partial->bytes, false};
  if (!partial->stream) {
    partial->stream = std::make_unique<Sha256Stream>();
    const auto before = hash_file(partial->file.get(), *partial->stream);
    if (!before || *before != partial->bytes) {
      forget();
      return Upload{0, false};
    }
  }
  if (const Status appended = append(*partial, piece); !appended) {
    if (partial->bytes == 0 || partial->dropped) forget();
    return appended.error();
  }
  if (partial->bytes < total) return Upload{partial->bytes, false};
  return finish(partial, total);
}

Result<SegmentStore::Upload> SegmentStore::finish(const std::shared_ptr<Partial>& partial, std::uint64_t total) {
  const Sha256 found = partial->stream->finish();
  partial->dropped = true;
  Status stored;
  bool again = false;
  if (found != partial->hash && partial->adopted) {
    again = true;
  } else if (found != partial->hash) {
    stored = Error{ErrorCode::kCorrupt, fmt::format("[store] the pushed bytes have hash {}, not {}; they were dropped",
                                                    found.hex().substr(0, 12), partial->hash.hex().substr(0, 12))};
  } else if (::fsync(partial->file.get()) != 0) {
    stored = full(errno);
  } else {
    const std::string name = path(partial->hash);
    int renamed = ::rename(partial->path.c_str(), name.c_str());
    if (renamed != 0 && errno == EISDIR && ::rmdir(name.c_str()) == 0) renamed = ::rename(partial->path.c_str(), name.c_str());
    if (renamed != 0 && errno == ENOENT) {
      again = true;  // the folder was deleted meanwhile
    } else if (renamed != 0) {
      stored = Error{ErrorCode::kOverloaded, fmt::format("[store] cannot name the finished segment: {}", std::strerror(errno))};
    } else {
      stored = sync_folder(folder_);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    drop(partial);
  }
  TIDELINE_CHECK_OK(stored);
  if (again) return Upload{0, false};
  if (const auto now = Verified::of(partial->file.get())) {
    const std::lock_guard lock(verified_mutex_);
    verified_[partial->hash] = *now;
  }
  return Upload{total, true};
}

void SegmentStore::leave(const wire::SessionId& session) {
  std::vector<std::shared_ptr<Partial>> left;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& partial : partials_)
      if (partial->session == session) left.push_back(partial);
  }
  for (const auto& partial : left) {
    const std::lock_guard own(partial->mutex);
    partial->adopted = true;
    const std::lock_guard lock(mutex_);
    partial->session.reset();
    partial->total = std::max<std::uint64_t>(1, partial->bytes);
  }
}

}  // namespace tideline
