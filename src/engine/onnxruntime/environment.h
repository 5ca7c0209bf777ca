// What all sessions share: ONNX Runtime's environment with the limited arena, one for each process, and the watchdog of an
// engine. Include only from engine/onnxruntime/*.cpp.
#pragma once

#include <memory>
#include <mutex>

#include "engine/engine.h"
#include "engine/onnxruntime/ort.h"
#include "engine/watchdog.h"

namespace tideline::ort {

// ONNX Runtime keeps one environment per process, and in it one arena: engines that live at the same time share both.
// Thread-safe.
class ProcessEnvironment {
 public:
  // The one of this process, made now when no engine lives. kInvalidArgument when it has another memory limit.
  static Result<std::shared_ptr<ProcessEnvironment>> get(Bytes memory_bytes);
  // Use get(). May throw Ort::Exception.
  explicit ProcessEnvironment(Bytes memory_bytes);
  ProcessEnvironment(const ProcessEnvironment&) = delete;
  ProcessEnvironment& operator=(const ProcessEnvironment&) = delete;

  Bytes memory_bytes() const { return memory_bytes_; }
  // The arena keeps what its sessions used, for the next run. When the last session is gone it is made anew, so that the memory
  // goes back to the system.
  void add_session();
  void remove_session() noexcept;

 private:
  void register_arena();

  const Bytes memory_bytes_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::size_t sessions_ = 0;

 public:
  Ort::Env env;
  Ort::MemoryInfo memory;
};

struct Environment {
  Environment(const EngineOptions& engine_options, std::shared_ptr<ProcessEnvironment> process_environment)
      : options(engine_options), process(std::move(process_environment)) {}

  EngineOptions options;
  std::shared_ptr<ProcessEnvironment> process;
  Watchdog watchdog;
};

}  // namespace tideline::ort
