// The two standard streams, guarded in one place: names out of files and messages of peers cannot steer the terminal, and a write
// that fails is remembered until the end.
#pragma once

#include <functional>
#include <string>

namespace tideline::app {

// From here on, what is printed to stdout and stderr passes terminal_safe(); standard output does not while `raw` says so (JSON
// has its own escapes). Called once, by main().
void guard_output(std::function<bool()> raw);
// Writes out what is buffered. Empty, or why standard output did not take everything.
std::string finish_output();

}  // namespace tideline::app
