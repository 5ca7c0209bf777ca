// NumPy's .npy files: one tensor each, as `numpy.save` writes them. docs/formats/model.md says what is accepted.
//
// Pure functions; thread-safe. Versions 1 to 3, C order, little-endian numbers and booleans.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline {

// The spec's name is `tensor_name`. kCorrupt for malformed or truncated files and for bytes after the numbers; kUnsupported,
// naming the NumPy call that helps, for Fortran order, big-endian numbers, objects, text and records.
Result<Tensor> parse_npy(std::string_view bytes, std::string_view tensor_name);

// How long the file is that begins so; nothing when the bytes end before they say it. Errors as of parse_npy().
Result<std::optional<Bytes>> npy_bytes(std::string_view bytes);

// Version 1, readable by every NumPy. kUnsupported for element types that NumPy does not have.
Result<std::string> write_npy(const TensorView& tensor);

}  // namespace tideline
