#include "session/source.h"

#include <iostream>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline {
namespace {

constexpr const char* kStandardInput = "-";

}  // namespace

Result<std::string> read_source(const std::string& path, std::uint64_t bytes_max) {
  if (path != kStandardInput) return read_file(path, bytes_max);
  std::string text;
  std::string piece(1u << 16, '\0');
  while (std::cin) {
    std::cin.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece, 0, static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() > bytes_max)
      return Error{ErrorCode::kInvalidArgument, fmt::format("standard input has more than {} bytes", bytes_max)};
  }
  return text;
}

std::string source_name(const std::string& path) { return path == kStandardInput ? "standard input" : path; }

Result<Cluster> read_cluster(const std::string& path) {
  if (path != kStandardInput) return load_cluster(path);
  TIDELINE_TRY(const std::string text, read_source(path, limits::kYamlFileBytesMax));
  return parse_cluster(text, source_name(path));
}

Result<Table> read_table(const std::string& path) {
  if (path != kStandardInput) return load_table(path);
  TIDELINE_TRY(const std::string text, read_source(path, limits::kConfigFileBytesMax));
  return parse_table(text, source_name(path));
}

}  // namespace tideline
