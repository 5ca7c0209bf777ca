// TempFolder: a private folder of this process (0700, an unpredictable name), removed with everything in it at the end. A process
// that is killed leaves its folder behind; the next one that makes a folder of the same prefix removes it, because a lock in it
// that nobody holds says that its owner is gone. A resource; not thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/descriptor.h"

namespace tideline {

class TempFolder {
 public:
  // "PREFIX-XXXXXX" in the system's folder for temporary files (TMPDIR).
  static Result<TempFolder> make(std::string_view prefix);
  TempFolder(TempFolder&& other) noexcept;
  TempFolder& operator=(TempFolder&& other) noexcept;
  ~TempFolder();
  const std::string& path() const { return path_; }

 private:
  TempFolder() = default;

  std::string path_;
  Descriptor lock_;
};

}  // namespace tideline
