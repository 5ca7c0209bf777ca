// Files: bounded reading, atomic writing, and opening inside a folder without escape. Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline {

// kNotFound when it cannot be opened, kInvalidArgument when it is not a regular file or is larger than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max);
// Writes a temporary file beside `path`, syncs it, renames it and syncs the folder: a reader sees the old bytes or the new ones.
// What is there and is no regular file (/dev/stdout, a pipe) is written to instead.
Status write_file_atomic(const std::string& path, std::string_view bytes);
// After it, names made and removed in the folder survive a loss of power.
Status sync_folder(const std::string& folder);
// The names of the regular files in a folder, sorted.
Result<std::vector<std::string>> list_files(const std::string& folder);
Status make_folders(const std::string& path);

// `length` bytes from `offset` of `relative` inside `folder`: `relative` must be relative, must not leave the folder by ".." or
// by a symbolic link, must be a regular file with exactly one hard link, and offset + length must lie inside it. Anything else is
// kInvalidArgument or kCorrupt, decided before a byte is read.
Result<std::string> read_beneath(const std::string& folder, const std::string& relative, std::uint64_t offset,
                                 std::uint64_t length, std::uint64_t bytes_max);
// The size of such a file, after the same checks.
Result<std::uint64_t> size_beneath(const std::string& folder, const std::string& relative);

}  // namespace tideline
