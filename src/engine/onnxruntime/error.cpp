#include <array>
#include <string>

#include "base/text.h"
#include "engine/onnxruntime/ort.h"

namespace tideline::ort {
namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

// Without the source file, line and C++ signature that ONNX Runtime puts before its sentence.
std::string trimmed(std::string_view message) {
  constexpr std::string_view kStatus = "Status Message: ";
  if (const auto at = message.rfind(kStatus); at != std::string_view::npos) message.remove_prefix(at + kStatus.size());
  std::string line;
  for (std::size_t start = 0; start < message.size();) {
    const std::size_t end = std::min(message.find_first_of(" \n\r\t", start), message.size());
    const std::string_view word = message.substr(start, end - start);
    start = end + 1;
    if (word.empty() || word.front() == '/' || word.find("onnxruntime_src") != std::string_view::npos) continue;
    if (!line.empty()) line += ' ';
    line += word;
  }
  // "void onnxruntime::Expand(...) the sentence": the signature says nothing to a user.
  const auto scope = line.find("onnxruntime::");
  if (scope != std::string::npos && scope < 40) {
    if (const auto close = line.find(") ", scope); close != std::string::npos) line.erase(0, close + 2);
  }
  return printable(line, 300);
}

ErrorCode code_of(OrtErrorCode code, std::string_view message) {
  if (contains_any(message,
                   {"Failed to allocate memory", "Available memory of", "bad_alloc", "SafeIntOnOverflow", "vector::_M_"}))
    return ErrorCode::kOverloaded;
  if (contains_any(message,
                   {"NOT_IMPLEMENTED", "is not a registered function/op", "No Op registered", "Could not find an implementation",
                    "Unsupported model IR version", "only *guarantees* support", "is under development"}))
    return ErrorCode::kUnsupported;
  switch (code) {
    case ORT_NOT_IMPLEMENTED: return ErrorCode::kUnsupported;
    case ORT_INVALID_PROTOBUF: return ErrorCode::kCorrupt;
    case ORT_INVALID_GRAPH:
    case ORT_INVALID_ARGUMENT:
    case ORT_NO_SUCHFILE:
    case ORT_NO_MODEL:
    // What a kernel throws or refuses depends on the model and its input, not on us.
    case ORT_FAIL:
    case ORT_RUNTIME_EXCEPTION: return ErrorCode::kInvalidArgument;
    default: return ErrorCode::kInternal;
  }
}

}  // namespace

Error error_of(OrtErrorCode ort_code, std::string_view message, std::string_view doing) {
  const ErrorCode code = code_of(ort_code, message);
  std::string text = "[engine] " + std::string(doing) + " the model: " + trimmed(message);
  if (code == ErrorCode::kOverloaded) text += " (the engine's memory limit; raise it or use a smaller input)";
  return Error{code, std::move(text)};
}

DType dtype_of(ONNXTensorElementDataType type) {
  const int number = static_cast<int>(type);
  return number >= 0 && number <= static_cast<int>(DType::kBfloat16) ? static_cast<DType>(number) : DType::kUndefined;
}

}  // namespace tideline::ort
