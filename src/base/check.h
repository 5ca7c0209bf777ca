// TIDELINE_CHECK: an assertion that stays on in every build. For defects of this project only, never for anything
// that came from a file, a user or the network: those return an Error.
#pragma once

namespace tideline {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace tideline

#define TIDELINE_CHECK(condition) ((condition) ? static_cast<void>(0) : ::tideline::check_failed(#condition, __FILE__, __LINE__))
