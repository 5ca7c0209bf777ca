// What all sessions of an engine share: ONNX Runtime's environment with the limited arena, and the watchdog.
// Include only from engine/onnxruntime/*.cpp.
#pragma once

#include "engine/engine.h"
#include "engine/onnxruntime/ort.h"
#include "engine/watchdog.h"

namespace tideline::ort {

struct Environment {
  explicit Environment(const EngineOptions& options);

  EngineOptions options;
  Ort::Env env;
  Ort::MemoryInfo memory;
  Watchdog watchdog;
};

}  // namespace tideline::ort
