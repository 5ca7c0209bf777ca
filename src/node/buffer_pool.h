// BufferPool: the memory of requests under way. A buffer that is given back is lent again, so that large tensors do not fault
// their pages in each time; what has been idle for a while goes back to the system. Thread-safe; buffers may outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/units.h"

namespace tideline {

class BufferPool {
 public:
  struct Lent {
    std::span<std::byte> bytes;   // exactly as many as asked for
    std::shared_ptr<void> owner;  // given back when the last copy goes
  };
  // The caller has checked `bytes` against a limit. Throws std::bad_alloc.
  Lent take(std::size_t bytes);
  // Frees what nobody has asked for since the trim before.
  void trim();

  struct Figures {
    std::size_t in_use = 0;  // buffers
    Bytes in_use_bytes = 0;
    std::size_t in_use_max = 0;  // the most there ever were
    Bytes in_use_bytes_max = 0;
  };
  Figures figures() const;

 private:
  struct State {
    mutable std::mutex mutex;
    // Guarded by mutex:
    std::vector<Buffer> free;
    bool asked = false;
    Figures figures;
  };
  // Shared with what is lent.
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace tideline
