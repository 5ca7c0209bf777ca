#include "engine/onnxruntime/environment.h"

#include "engine/onnxruntime/telemetry.h"

namespace tideline::ort {
namespace {

// ONNX Runtime's own log: its errors come back as statuses, and the rest is no concern of a user.
void drop_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

constexpr int kExtendBySize = 1;  // the arena grows by what is asked for, not to the next power of two
constexpr int kDefault = -1;

Ort::Env make_env() {
  turn_telemetry_off();
  Ort::Env env(ORT_LOGGING_LEVEL_FATAL, "tideline", drop_log, nullptr);
  env.DisableTelemetryEvents();
  return env;
}

}  // namespace

ProcessEnvironment::ProcessEnvironment(Bytes memory_bytes)
    : memory_bytes_(memory_bytes), env(make_env()), memory(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
  register_arena();
}

Result<std::shared_ptr<ProcessEnvironment>> ProcessEnvironment::get(Bytes memory_bytes) {
  static std::mutex mutex;
  static std::weak_ptr<ProcessEnvironment> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<ProcessEnvironment> shared = current.lock();
  if (shared == nullptr) {
    shared = std::make_shared<ProcessEnvironment>(memory_bytes);
    current = shared;
  }
  if (shared->memory_bytes() == memory_bytes) return shared;
  return Error{ErrorCode::kInvalidArgument,
               "[engine] this process has an engine with a memory limit of " + format_bytes(shared->memory_bytes()) +
                   ", and all engines of a process share one arena: give the new one the same limit instead of " +
                   format_bytes(memory_bytes) + ", or end the other first"};
}

void ProcessEnvironment::register_arena() {
  env.CreateAndRegisterAllocator(memory, Ort::ArenaCfg(memory_bytes_, kExtendBySize, kDefault, kDefault));
}

void ProcessEnvironment::add_session() {
  const std::lock_guard lock(mutex_);
  ++sessions_;
}

void ProcessEnvironment::remove_session() noexcept {
  const std::lock_guard lock(mutex_);
  if (--sessions_ > 0) return;
  try {
    register_arena();                // takes the place of the old one, which goes with the last tensor that lies in it
  } catch (const std::exception&) {  // Then the old arena stays.
  }
}

}  // namespace tideline::ort
