// Any bytes as a segment package: refused, or taken apart into views that lie inside them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/limits.h"
#include "model/segment.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const tideline::Result<tideline::SegmentParts> parts = tideline::parse_segment(bytes);
  if (!parts) return 0;
  const bool inside = parts->onnx.empty() || (parts->onnx.data() >= bytes.data() &&
                                              parts->onnx.data() + parts->onnx.size() == bytes.data() + bytes.size());
  if (!inside || parts->first_block > parts->last_block || parts->inputs.size() > tideline::limits::kFrameTensorsMax)
    std::abort();
  return 0;
}
