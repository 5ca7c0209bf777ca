#include "base/log.h"

#include <memory>
#include <utility>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace tideline {
namespace {

spdlog::level::level_enum translate(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("tideline", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(translate(level)); }

void log(LogLevel level, std::string_view message) { logger().log(translate(level), message); }

std::optional<std::uint64_t> LogLimit::allow(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (last_ && now - *last_ < std::chrono::seconds(10)) {
    ++left_out_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(left_out_, 0);
}

void LogLimit::log(LogLevel level, std::string_view message) {
  const auto left_out = allow(std::chrono::steady_clock::now());
  if (!left_out) return;
  if (*left_out == 0) return tideline::log(level, message);
  tideline::log(level, fmt::format("{} (and {} more like it)", message, *left_out));
}

}  // namespace tideline
