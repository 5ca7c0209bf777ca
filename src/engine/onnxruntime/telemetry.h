// ONNX Runtime's telemetry: off in every program that links the engine. Left on, it asks the resolver for its vendor's event
// collector and writes files under predictable names into the temporary folder and ~/.cache.
#pragma once

namespace tideline::ort {

// The variable that ONNX Runtime reads when its first environment is made; its children inherit it.
inline constexpr const char* kTelemetryVariable = "ORT_DISABLE_TELEMETRY";

// Called before an environment is made. The variable is set when the program is loaded, before main() and its threads: setenv is
// not safe beside a getenv of another thread. This sets it again only when the program has removed or changed it since.
void turn_telemetry_off();

}  // namespace tideline::ort
