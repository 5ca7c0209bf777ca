// tideline completion: a script for a shell.
#include <memory>

#include <fmt/format.h>

#include "commands.h"
#include "completion.h"

namespace tideline::app {

void add_completion_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("completion", "Print a script that completes this command line in a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  command->footer(
      "Examples:\n"
      "  source <(tideline completion bash)          for this shell; put the line into ~/.bashrc for every one\n"
      "  source <(tideline completion zsh)\n"
      "  tideline completion fish | source");
  on_run(*command, context, [&app, shell]() -> Status {
    fmt::print("{}", *shell == "bash"  ? bash_completion(app.tree())
                     : *shell == "zsh" ? zsh_completion(app.tree())
                                       : fish_completion(app.tree()));
    return {};
  });
}

}  // namespace tideline::app
