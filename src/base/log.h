// The daemon's log, on standard error. Library code outside node/ does not log: it returns errors.
// Thread-safe. The level comes from set_log_level; the default is info.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/units.h"

namespace tideline {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void set_log_level(LogLevel level);
// `message` must hold no secret and no tensor data.
void log(LogLevel level, std::string_view message);

// For lines that somebody else can cause without end: one in ten seconds, which says how many were left out. Thread-safe.
class LogLimit {
 public:
  // A line now? Then how many were left out before it.
  std::optional<std::uint64_t> allow(SteadyTime now);
  void log(LogLevel level, std::string_view message);

 private:
  std::mutex mutex_;
  // Guarded by mutex_.
  std::optional<SteadyTime> last_;
  std::uint64_t left_out_ = 0;
};

}  // namespace tideline
