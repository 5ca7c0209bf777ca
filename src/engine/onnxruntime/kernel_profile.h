// Reads what ONNX Runtime writes when it profiles: a Chrome trace with one event for each kernel and run, and the optimised
// graph.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.h"

namespace tideline::ort {

// A new, empty folder under the system's temporary folder.
Result<std::string> make_profile_folder();
// The lower quartile of each kernel's time over the runs but the first, in the order of execution.
Result<std::vector<KernelTime>> read_kernel_profile(const std::string& trace_path, const std::string& optimized_model_path);

}  // namespace tideline::ort
