#include "platform/linked_file.h"

#include <filesystem>

#include <sys/stat.h>

namespace tideline {

namespace fs = std::filesystem;

std::optional<std::string> folder_behind_link(const std::string& path) {
  std::error_code status;
  if (!fs::is_symlink(fs::symlink_status(path, status)) || status) return std::nullopt;
  const fs::path real = fs::canonical(path, status);
  if (status) return std::nullopt;
  return real.parent_path().string();
}

std::optional<std::string> name_behind_link(const std::string& folder, const std::string& relative,
                                            const std::string& target_folder) {
  if (relative.find('/') != std::string::npos || relative.find('\0') != std::string::npos) return std::nullopt;
  std::error_code status;
  const fs::path target = fs::read_symlink(fs::path(folder) / relative, status);
  if (status || !target.has_filename()) return std::nullopt;
  struct stat named {};
  struct stat wanted {};
  const fs::path parent = target.is_absolute() ? target.parent_path() : fs::path(folder) / target.parent_path();
  if (::stat(parent.c_str(), &named) != 0 || ::stat(target_folder.c_str(), &wanted) != 0) return std::nullopt;
  if (named.st_dev != wanted.st_dev || named.st_ino != wanted.st_ino) return std::nullopt;
  return target.filename().string();
}

bool is_linked(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && (S_ISLNK(status.st_mode) || (S_ISREG(status.st_mode) && status.st_nlink > 1));
}

}  // namespace tideline
