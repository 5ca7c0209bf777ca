#include "base/result.h"

namespace tideline {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "INVALID_ARGUMENT";
    case ErrorCode::kNotFound: return "NOT_FOUND";
    case ErrorCode::kUnsupported: return "UNSUPPORTED";
    case ErrorCode::kOverloaded: return "OVERLOADED";
    case ErrorCode::kDisconnected: return "DISCONNECTED";
    case ErrorCode::kCorrupt: return "CORRUPT";
    case ErrorCode::kInternal: return "INTERNAL";
    case ErrorCode::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case ErrorCode::kCancelled: return "CANCELLED";
    case ErrorCode::kInfeasible: return "INFEASIBLE";
  }
  return "UNKNOWN";
}

Error with_context(Error error, std::string_view context) {
  error.message = std::string(context) + ": " + error.message;
  return error;
}

}  // namespace tideline
