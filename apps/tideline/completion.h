// What a shell needs to complete the command line, written from the tree of commands itself: nothing is listed twice.
#pragma once

#include <string>

// CLI11's own.
namespace CLI {
class App;
}

namespace tideline::app {

// Scripts for `source <(tideline completion bash)`, the same in a zsh, and `tideline completion fish | source`. Commands,
// options, the values of options that have a list of them, and file names for the rest.
std::string bash_completion(const ::CLI::App& app);
std::string zsh_completion(const ::CLI::App& app);
std::string fish_completion(const ::CLI::App& app);

}  // namespace tideline::app
