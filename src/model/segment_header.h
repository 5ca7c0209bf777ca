// The head of a segment package: everything before the ONNX bytes. Internal to model/.
#pragma once

#include <string>

#include "base/result.h"
#include "model/segment.h"

namespace tideline {

// Magic, version, header and the length of the ONNX part, with room reserved for that. `parts.onnx` is not read.
Result<std::string> write_segment_header(const SegmentParts& parts, std::uint64_t onnx_bytes);

}  // namespace tideline
