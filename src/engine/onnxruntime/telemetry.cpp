#include "engine/onnxruntime/telemetry.h"

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace tideline::ort {
namespace {

constexpr const char* kOff = "1";

[[gnu::constructor]] void turn_off_at_start() { ::setenv(kTelemetryVariable, kOff, 1); }

}  // namespace

void turn_telemetry_off() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const char* value = std::getenv(kTelemetryVariable);
  if (value == nullptr || std::strcmp(value, kOff) != 0) ::setenv(kTelemetryVariable, kOff, 1);
}

}  // namespace tideline::ort
