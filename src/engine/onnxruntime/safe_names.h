// Names that the engine's own profile can carry: it writes them into JSON as they are, quotes and control characters included.
#pragma once

#include <string>
#include <string_view>

#include <onnx/onnx_pb.h>

namespace tideline::ort {

// `"`, `\\`, `%` and control characters as "%" and two hexadecimal digits; any other name stays as it is. Different names stay
// different, so that renaming everything alike keeps every scope.
std::string safe_name(std::string_view name);
std::string original_name(std::string_view safe);

// Whether any op or tensor needs it.
bool has_unsafe_names(const onnx::ModelProto& model);
// Every name of an op or a tensor in the main graph, the bodies and the local functions made safe.
void make_names_safe(onnx::ModelProto& model);

}  // namespace tideline::ort
