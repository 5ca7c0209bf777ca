// SegmentStore: the node's segments on disk, named by their SHA-256. A segment arrives in pieces, is resumed where a broken
// upload stopped, is checked against its name before it is anybody's, and is never half there under its final name. Thread-safe.
// One store per folder and process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"

namespace tideline {

class SegmentStore {
 public:
  // Creates the folder. `bytes_max` bounds everything in it, partial uploads included; limits.h bounds the number of its files.
  static Result<std::unique_ptr<SegmentStore>> open(const std::string& folder, Bytes bytes_max);

  bool has(const Sha256& hash) const;
  // Of the whole package. kNotFound.
  Result<Bytes> size(const Sha256& hash) const;
  // Whole segments in the folder.
  std::size_t count() const;
  // The package. kNotFound; kCorrupt when the file no longer has its name's hash (it is deleted then).
  Result<std::string> read(const Sha256& hash) const;

  // Bytes of an unfinished upload that are already here; 0 when there is none. The next piece must start there.
  Result<std::uint64_t> resume_at(const Sha256& hash) const;
  // Appends one piece of a segment of `total` bytes. With the last piece the whole is hashed: kCorrupt deletes it.
  // kInvalidArgument when `offset` is not where the upload stands; kOverloaded when it would not fit.
  Status put(const Sha256& hash, std::uint64_t total, std::uint64_t offset, std::span<const std::byte> piece);

 private:
  SegmentStore(std::string folder, Bytes bytes_max) : folder_(std::move(folder)), bytes_max_(bytes_max) {}
  std::string path(const Sha256& hash) const { return folder_ + "/" + hash.hex() + ".segment"; }
  std::string partial_path(const Sha256& hash) const { return folder_ + "/" + hash.hex() + ".partial"; }

  std::string folder_;
  Bytes bytes_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_: hashes of the uploads under way, so that each byte is read once.
  struct Upload {
    std::unique_ptr<Sha256Stream> hash;
    std::uint64_t bytes = 0;
  };
  std::map<Sha256, Upload> uploads_;
};

}  // namespace tideline
