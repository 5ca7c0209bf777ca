#include "platform/files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "platform/descriptor.h"

namespace tideline {
namespace {

std::string reason() { return std::strerror(errno); }

Result<std::string> read_exactly(int fd, std::uint64_t offset, std::uint64_t length, const std::string& path) {
  std::string bytes;
  bytes.resize(length);
  std::uint64_t done = 0;
  while (done < length) {
    const std::uint64_t want = std::min<std::uint64_t>(length - done, 1u << 30);
    const ssize_t got = ::pread(fd, bytes.data() + done, want, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{ErrorCode::kInternal, fmt::format("[files] cannot read '{}': {}", printable(path), reason())};
    if (got == 0)
      return Error{ErrorCode::kCorrupt, fmt::format("[files] '{}' became shorter while it was read", printable(path))};
    done += static_cast<std::uint64_t>(got);
  }
  return bytes;
}

Result<std::uint64_t> regular_size(int fd, const std::string& path, bool single_link) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return Error{ErrorCode::kInternal, fmt::format("[files] cannot examine '{}': {}", printable(path), reason())};
  if (!S_ISREG(status.st_mode))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[files] '{}' is not a regular file", printable(path))};
  if (single_link && status.st_nlink != 1)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[files] '{}' has {} hard links; external data must be a file of its own", printable(path), status.st_nlink)};
  return static_cast<std::uint64_t>(status.st_size);
}

Result<Descriptor> open_beneath(const std::string& folder, const std::string& relative) {
  if (relative.empty() || relative.front() == '/' || relative.find('\0') != std::string::npos)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[files] '{}' must be a relative path inside the model's folder", printable(relative))};
  const Descriptor root(::open(folder.empty() ? "." : folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{ErrorCode::kNotFound, fmt::format("[files] cannot open folder '{}': {}", printable(folder), reason())};
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Descriptor file(static_cast<int>(::syscall(SYS_openat2, root.get(), relative.c_str(), &how, sizeof how)));
  if (file) return file;
  if (errno == ENOENT)
    return Error{ErrorCode::kNotFound, fmt::format("[files] '{}' does not exist in the model's folder", printable(relative))};
  return Error{ErrorCode::kInvalidArgument, fmt::format("[files] '{}' is refused: external data must be a regular file inside "
                                                        "the model's folder, reached without symbolic links ({})",
                                                        printable(relative), reason())};
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return Error{ErrorCode::kNotFound, fmt::format("[files] cannot open '{}': {}", printable(path), reason())};
  TIDELINE_TRY(const std::uint64_t size, regular_size(file.get(), path, false));
  if (size > bytes_max)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[files] '{}' has {}, above the limit of {}", printable(path),
                                                          format_bytes(size), format_bytes(bytes_max))};
  return read_exactly(file.get(), 0, size, path);
}

Status write_file_atomic(const std::string& path, std::string_view bytes) {
  // Through a link to what it names; a device or a pipe is written as it is.
  std::error_code status;
  const std::filesystem::path target = std::filesystem::canonical(path, status);
  const std::string name = status ? path : target.string();
  const bool in_place =
      !status && !std::filesystem::is_regular_file(target, status) && !std::filesystem::is_directory(target, status);
  static std::atomic<unsigned> count{0};
  const std::string temporary = in_place ? name : fmt::format("{}.{}-{}.tmp", name, ::getpid(), count++);
  const auto failed = [&](const char* what) {
    Error error{ErrorCode::kInvalidArgument, fmt::format("[files] cannot {} '{}': {}", what, printable(path), reason())};
    if (!in_place) ::unlink(temporary.c_str());
    return error;
  };
  if (!in_place) ::unlink(temporary.c_str());
  const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CLOEXEC | (in_place ? 0 : O_CREAT | O_EXCL), 0644));
  if (!file) return failed("create");
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (in_place) return {};
  if (::fsync(file.get()) != 0) return failed("sync");
  if (::rename(temporary.c_str(), name.c_str()) != 0) return failed("rename");
  const std::string folder = std::filesystem::path(name).parent_path().string();
  return sync_folder(folder.empty() ? "." : folder);
}

Status sync_folder(const std::string& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder, and say so: nothing can be done about it.
  if (!opened || (::fsync(opened.get()) != 0 && errno != EINVAL && errno != EROFS))
    return Error{ErrorCode::kInternal, fmt::format("[files] cannot sync folder '{}': {}", printable(folder), reason())};
  return {};
}

Result<std::vector<std::string>> list_files(const std::string& folder) {
  std::error_code status;
  std::vector<std::string> names;
  for (auto it = std::filesystem::directory_iterator(folder, status); !status && it != std::filesystem::directory_iterator();
       it.increment(status))
    if (it->is_regular_file(status)) names.push_back(it->path().filename().string());
  if (status)
    return Error{ErrorCode::kNotFound, fmt::format("[files] cannot list '{}': {}", printable(folder), status.message())};
  std::sort(names.begin(), names.end());
  return names;
}

Status make_folders(const std::string& path) {
  std::error_code status;
  std::filesystem::create_directories(path, status);
  if (status)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[files] cannot create folder '{}': {}", printable(path), status.message())};
  return {};
}

Result<std::string> read_beneath(const std::string& folder, const std::string& relative, std::uint64_t offset,
                                 std::uint64_t length, std::uint64_t bytes_max) {
  TIDELINE_TRY(const Descriptor file, open_beneath(folder, relative));
  TIDELINE_TRY(const std::uint64_t size, regular_size(file.get(), relative, true));
  if (offset > size || length > size - offset)
    return Error{ErrorCode::kCorrupt, fmt::format("[files] '{}' has {} bytes, but bytes {} to {} are asked for",
                                                  printable(relative), size, offset, offset + length)};
  if (length > bytes_max)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[files] {} of '{}' are above the limit of {}", format_bytes(length),
                                                          printable(relative), format_bytes(bytes_max))};
  return read_exactly(file.get(), offset, length, relative);
}

Result<std::uint64_t> size_beneath(const std::string& folder, const std::string& relative) {
  TIDELINE_TRY(const Descriptor file, open_beneath(folder, relative));
  return regular_size(file.get(), relative, true);
}

}  // namespace tideline
