// The daemon's log, on standard error. Library code outside node/ does not log: it returns errors.
// Thread-safe. The level comes from set_log_level; the default is info.
#pragma once

#include <string_view>

namespace tideline {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void set_log_level(LogLevel level);
// `message` must hold no secret and no tensor data.
void log(LogLevel level, std::string_view message);

}  // namespace tideline
