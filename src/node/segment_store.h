// SegmentStore: the node's segments on disk, named by their SHA-256. A segment arrives in pieces, is resumed where a broken
// upload stopped, is checked against its name before it is anybody's, and is on the disk before its name counts.
//
// An upload belongs to the session that sends it, so that nobody can spoil another's. When its session has left, whoever pushes
// the same segment next goes on with it; should the bytes then be wrong, they are dropped and the sender begins anew. What an
// upload promises counts against the store's limit from its first piece on; uploads that nobody goes on with give way.
// Thread-safe. Several stores, also of several processes, may share one folder: each counts what the others have written.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "platform/clock.h"
#include "wire/messages.h"

namespace tideline {

class SegmentStore {
 public:
  // Where an upload stands.
  struct Upload {
    std::uint64_t have_bytes = 0;  // the next piece must start there
    bool complete = false;
  };

  // Creates the folder. `bytes_max` bounds everything in it, and what the uploads under way still promise; limits.h bounds the
  // number of its files. `clock` must outlive the store.
  static Result<std::unique_ptr<SegmentStore>> open(const std::string& folder, Bytes bytes_max,
                                                    const MonotonicClock& clock = real_clock());
  ~SegmentStore();

  // Whether read() will give it: the file's bytes have been verified since they last changed. Damaged files are deleted.
  bool has(const Sha256& hash) const;
  // Of the whole package. kNotFound.
  Result<Bytes> size(const Sha256& hash) const;
  // Whole segments in the folder.
  std::size_t count() const;
  // The package. kNotFound; kCorrupt when the file no longer has its name's hash (it is deleted then).
  Result<std::string> read(const Sha256& hash) const;

  // Bytes of an unfinished upload that are already here and that `session` may go on with; 0 when there is none.
  std::uint64_t resume_at(const wire::SessionId& session, const Sha256& hash);
  // Appends one piece of a segment of `total` bytes, if `offset` is where the upload stands, and says where it stands then.
  // With the last piece the whole is hashed and synced. kCorrupt when it has another hash (it is deleted then); kInvalidArgument
  // for another `total` than before or outside the limits; kOverloaded when it does not fit or the disk takes no more.
  Result<Upload> put(const wire::SessionId& session, const Sha256& hash, std::uint64_t total, std::uint64_t offset,
                     std::span<const std::byte> piece);
  // The session is gone: others may go on with its uploads.
  void leave(const wire::SessionId& session);

 private:
  struct Partial;
  struct Verified;

  SegmentStore(std::string folder, Bytes bytes_max, const MonotonicClock& clock);
  std::string path(const Sha256& hash) const { return folder_ + "/" + hash.hex() + ".segment"; }
  // These four REQUIRE mutex_.
  void find_orphans();
  void drop_expired();
  std::shared_ptr<Partial> find(const wire::SessionId& session, const Sha256& hash);
  Status make_room(const wire::SessionId& session, Bytes total);
  Result<std::shared_ptr<Partial>> begin(const wire::SessionId& session, const Sha256& hash, std::uint64_t total);
  void drop(const std::shared_ptr<Partial>& partial);
  Status append(Partial& partial, std::span<const std::byte> piece);
  Result<Upload> finish(const std::shared_ptr<Partial>& partial, std::uint64_t total);

  const std::string folder_;
  const Bytes bytes_max_;
  const MonotonicClock& clock_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::vector<std::shared_ptr<Partial>> partials_;
  std::uint64_t next_partial_ = 0;

  mutable std::mutex verified_mutex_;
  mutable std::map<Sha256, Verified> verified_;  // guarded by verified_mutex_
};

}  // namespace tideline
