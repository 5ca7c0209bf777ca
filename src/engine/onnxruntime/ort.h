// What the files of this folder share: ONNX Runtime's C++ wrapper with its exceptions stopped, and its errors made ours.
// Include only from engine/onnxruntime/*.cpp.
#pragma once

#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

#include <onnxruntime_cxx_api.h>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline::ort {

// ONNX Runtime's error as ours: the code says what the caller can do; the message is one line without source files of its build.
Error error_of(OrtErrorCode code, std::string_view message, std::string_view doing);

// Runs `body` and turns what it throws into an Error. `doing`: "loading", "running".
template <typename Body>
auto guard(std::string_view doing, Body&& body) -> std::invoke_result_t<Body> {
  try {
    return body();
  } catch (const Ort::Exception& exception) {
    return error_of(exception.GetOrtErrorCode(), exception.what(), doing);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOverloaded, "[engine] out of memory while " + std::string(doing) + " the model"};
  } catch (const std::exception& exception) {
    return error_of(ORT_FAIL, exception.what(), doing);
  }
}

// Our number for ONNX Runtime's element type; kUndefined for those we do not carry. The numbers are ONNX's in both.
DType dtype_of(ONNXTensorElementDataType type);

}  // namespace tideline::ort
