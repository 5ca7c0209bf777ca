#include "train/data/data_folder.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline::train {
namespace {

namespace fs = std::filesystem;

Error leads_out(const std::string& what) {
  return {ErrorCode::kInvalidArgument, fmt::format("[data] '{}' leads out of this worker's folder of data", printable(what))};
}

bool is_within(const fs::path& folder, const fs::path& file) {
  return std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first == folder.end();
}

// Nothing that is there at `file`, or is a link at its end, lies outside.
Status check_file(const fs::path& folder, const fs::path& file) {
  std::error_code status;
  const fs::path real = fs::canonical(file, status);
  if (status) return {};  // not there: reading it says so
  return is_within(folder, real) ? Status() : leads_out(file.string());
}

Status check_tree(const fs::path& folder, const fs::path& top) {
  std::error_code status;
  std::size_t seen = 0;
  for (auto it = fs::recursive_directory_iterator(top, fs::directory_options::follow_directory_symlink, status);
       !status && it != fs::recursive_directory_iterator(); it.increment(status)) {
    TIDELINE_CHECK_OK(check_file(folder, it->path()));
    // Pictures lie in folders of the folder.
    if (it.depth() >= 1) it.disable_recursion_pending();
    if (++seen > 2 * limits::kTrainPicturesMax)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[data] '{}' has more than {} entries", printable(top.string()), seen)};
  }
  return {};
}

}  // namespace

Result<std::string> data_inside(const std::string& folder, const std::string& word) {
  std::error_code status;
  const fs::path root = fs::canonical(folder, status);
  if (status)
    return Error{ErrorCode::kNotFound, fmt::format("[data] the folder of data '{}': {}", printable(folder), status.message())};
  const std::size_t colon = word.find(':');
  const std::string kind = word.substr(0, colon == std::string::npos ? 0 : colon + 1);
  const fs::path name(word.substr(kind.size()));
  if (name.is_absolute() || std::any_of(name.begin(), name.end(), [](const auto& part) { return part == ".."; }))
    return leads_out(word);
  const fs::path top = root / name;
  if (kind == "idx:") {
    for (const char* end : {"-images-idx3-ubyte", "-labels-idx1-ubyte"})
      for (const char* packed : {"", ".gz"}) TIDELINE_CHECK_OK(check_file(root, fs::path(top).concat(end).concat(packed)));
  } else if (kind == "npy:") {
    for (const char* file : {"x.npy", "y.npy"}) TIDELINE_CHECK_OK(check_file(root, top / file));
  } else if (kind == "images:") {
    TIDELINE_CHECK_OK(check_file(root, top));
    TIDELINE_CHECK_OK(check_tree(root, top));
  }  // read_data() refuses any other kind
  return kind + top.string();
}

}  // namespace tideline::train
