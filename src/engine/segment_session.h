// SegmentSession: a segment package as a Session: its input steps, then its ONNX model, then its output steps.
#pragma once

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "model/segment.h"

namespace tideline {

// Loads `onnx` with the engine at hand; called only when the package has ops.
using LoadOnnx = Result<std::unique_ptr<Session>> (*)(void* engine, std::string_view onnx, const SessionOptions& options);

// kCorrupt when the package's lists of inputs and outputs are not those of its ONNX model.
Result<std::unique_ptr<Session>> load_segment(std::string_view package, const SessionOptions& options, LoadOnnx load_onnx,
                                              void* engine);

}  // namespace tideline
