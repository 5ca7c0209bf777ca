#include "node/segment_store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;

struct FolderUse {
  Bytes bytes = 0;
  std::size_t files = 0;
};

FolderUse use_of(const std::string& folder) {
  FolderUse use;
  std::error_code status;
  for (auto it = fs::directory_iterator(folder, status); !status && it != fs::directory_iterator(); it.increment(status)) {
    ++use.files;
    const auto size = it->file_size(status);
    if (!status) use.bytes += size;
    status.clear();
  }
  return use;
}

// Whether another segment of `total` bytes may be begun.
Status check_space(const std::string& folder, Bytes total, Bytes bytes_max) {
  const FolderUse use = use_of(folder);
  if (use.bytes + total > bytes_max)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[store] a segment of {} does not fit: the folder may hold {} (--store-bytes)", format_bytes(total),
                             format_bytes(bytes_max))};
  if (use.files >= limits::kNodeSegmentsMax)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[store] the node holds {} segments, the most there may be: delete old ones in its --store folder",
                             use.files)};
  return {};
}

Status append(const std::string& path, std::span<const std::byte> piece) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    return Error{ErrorCode::kOverloaded, fmt::format("[store] cannot write to the segment folder: {}", std::strerror(errno))};
  while (!piece.empty()) {
    const ssize_t written = ::write(fd, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      ::close(fd);
      return Error{ErrorCode::kOverloaded, fmt::format("[store] the segment folder takes no more: {}", std::strerror(reason))};
    }
    piece = piece.subspan(static_cast<std::size_t>(written));
  }
  ::close(fd);
  return {};
}

}  // namespace

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(const std::string& folder, Bytes bytes_max) {
  TIDELINE_CHECK_OK(make_folders(folder));
  return std::unique_ptr<SegmentStore>(new SegmentStore(folder, bytes_max));
}

bool SegmentStore::has(const Sha256& hash) const {
  std::error_code status;
  return fs::is_regular_file(path(hash), status);
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
  auto bytes = read_file(path(hash), limits::kSegmentBytesMax);
  if (!bytes)
    return Error{ErrorCode::kNotFound, fmt::format("[store] segment {} is not here; push it again", hash.hex().substr(0, 12))};
  if (sha256(*bytes) == hash) return bytes;
  ::unlink(path(hash).c_str());
  return Error{ErrorCode::kCorrupt, fmt::format("[store] segment {} was damaged on disk and has been deleted; push it again",
                                                hash.hex().substr(0, 12))};
}

Result<std::uint64_t> SegmentStore::resume_at(const Sha256& hash) const {
  std::error_code status;
  const auto size = fs::file_size(partial_path(hash), status);
  return status ? std::uint64_t{0} : static_cast<std::uint64_t>(size);
}

Status SegmentStore::put(const Sha256& hash, std::uint64_t total, std::uint64_t offset, std::span<const std::byte> piece) {
  const std::lock_guard lock(mutex_);
  if (has(hash)) return {};
  if (total == 0 || total > limits::kSegmentBytesMax)
    return Error{ErrorCode::kOverloaded, fmt::format("[store] a segment of {} is outside 1 B to {}", format_bytes(total),
                                                     format_bytes(limits::kSegmentBytesMax))};
  if (offset > total || piece.size() > total - offset)
    return Error{ErrorCode::kCorrupt, "[store] a piece reaches past the end of its segment"};
  TIDELINE_TRY(const std::uint64_t stands_at, resume_at(hash));
  if (offset != stands_at)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[store] the upload stands at byte {}, not {}", stands_at, offset)};
  if (offset == 0) TIDELINE_CHECK_OK(check_space(folder_, total, bytes_max_));

  Upload& upload = uploads_[hash];
  if (upload.hash == nullptr || upload.bytes != offset) {
    // A first piece, or an upload that began in an earlier life of this process: hash what is on disk.
    upload.hash = std::make_unique<Sha256Stream>();
    upload.bytes = offset;
    if (offset > 0) {
      TIDELINE_TRY(const std::string before, read_file(partial_path(hash), limits::kSegmentBytesMax));
      upload.hash->update(before);
    }
  }
  TIDELINE_CHECK_OK(append(partial_path(hash), piece));
  upload.hash->update({reinterpret_cast<const char*>(piece.data()), piece.size()});
  upload.bytes += piece.size();
  if (upload.bytes < total) return {};

  const Sha256 found = upload.hash->finish();
  uploads_.erase(hash);
  if (found != hash) {
    ::unlink(partial_path(hash).c_str());
    return Error{ErrorCode::kCorrupt, fmt::format("[store] the pushed bytes have hash {}, not {}; they were dropped",
                                                  found.hex().substr(0, 12), hash.hex().substr(0, 12))};
  }
  if (::rename(partial_path(hash).c_str(), path(hash).c_str()) != 0)
    return Error{ErrorCode::kInternal, fmt::format("[store] cannot name the finished segment: {}", std::strerror(errno))};
  return {};
}

}  // namespace tideline
