// IDX files, as MNIST and what followed it come in: one array of bytes, most significant byte first in its head, often gzipped.
// docs/formats/data.md says what is accepted.
//
// Pure; thread-safe.
#pragma once

#include <string_view>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline::train {

// Unsigned bytes of 1 to limits::kTensorRankMax dimensions. What gzip has packed is unpacked up to what the head says and no
// further, so that a small file cannot take more memory than it admits. kCorrupt for bytes that are no such file, too few or too
// many; kUnsupported for other element types.
Result<Tensor> parse_idx(std::string_view bytes);

}  // namespace tideline::train
