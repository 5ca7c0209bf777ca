#include "platform/temp_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = "lock";

void remove_folder(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

// Whether `path` is a folder of ours whose owner is gone.
bool is_left_behind(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!folder || ::fstat(folder.get(), &status) != 0 || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) return false;
  const Descriptor lock(::openat(folder.get(), kLockName, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

Result<TempFolder> TempFolder::make(std::string_view prefix) {
  std::error_code unknown;
  fs::path base = fs::temp_directory_path(unknown);
  if (unknown)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[files] there is no folder for temporary files (TMPDIR): {}", unknown.message())};
  std::error_code status;
  for (auto it = fs::directory_iterator(base, status); !status && it != fs::directory_iterator(); it.increment(status)) {
    const std::string name = it->path().filename().string();
    if (name.size() == prefix.size() + 7 && name.starts_with(prefix) && name[prefix.size()] == '-' &&
        is_left_behind(it->path().native()))
      remove_folder(it->path().native());
  }
  std::string path = (base / fmt::format("{}-XXXXXX", prefix)).native();
  if (::mkdtemp(path.data()) == nullptr)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[files] cannot make a folder in '{}': {}", printable(base.native()), std::strerror(errno))};
  TempFolder made;
  made.path_ = path;
  // Under its name only once it is held.
  const std::string unnamed = path + "/lock.new";
  made.lock_.reset(::open(unnamed.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made.lock_ || ::flock(made.lock_.get(), LOCK_EX | LOCK_NB) != 0 ||
      ::rename(unnamed.c_str(), fmt::format("{}/{}", path, kLockName).c_str()) != 0)
    return Error{ErrorCode::kOverloaded, fmt::format("[files] cannot write to '{}': {}", printable(path), std::strerror(errno))};
  return made;
}

TempFolder::TempFolder(TempFolder&& other) noexcept
    : path_(std::exchange(other.path_, std::string())), lock_(std::move(other.lock_)) {}

TempFolder& TempFolder::operator=(TempFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

TempFolder::~TempFolder() {
  if (!path_.empty()) remove_folder(path_);
}

}  // namespace tideline
