#include "completion.h"
#include <CLI/CLI.hpp>

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace tideline::app {
namespace {

struct OptionWords {
  std::vector<std::string> shorts;  // "o"
  std::vector<std::string> longs;   // "output"
  std::vector<std::string> values;  // of those that have a list
  bool takes_value = false;
  std::string summary;
};

struct CommandWords {
  std::string path;  // "local run"; empty: tideline itself
  std::string summary;
  std::vector<std::string> commands;
  std::vector<std::string> operands;  // the values of a positional argument that has a list of them
  std::vector<OptionWords> options;

  std::vector<std::string> flags() const {
    std::vector<std::string> all;
    for (const OptionWords& option : options) {
      for (const std::string& name : option.shorts) all.push_back("-" + name);
      for (const std::string& name : option.longs) all.push_back("--" + name);
    }
    return all;
  }
};

// The list that a CLI::IsMember check describes itself by: "TEXT:{a,b,c}".
std::vector<std::string> values_of(const ::CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return split(type.substr(open + 1, close - open - 1), ',');
}

void collect(const ::CLI::App& app, const std::string& path, std::vector<CommandWords>& all) {
  CommandWords words{.path = path, .summary = app.get_description()};
  for (const ::CLI::Option* option : app.get_options([](const ::CLI::Option*) { return true; })) {
    if (option->get_lnames().empty() && option->get_snames().empty()) {
      for (std::string& value : values_of(*option)) words.operands.push_back(std::move(value));
      continue;
    }
    words.options.push_back({option->get_snames(), option->get_lnames(), values_of(*option), option->get_items_expected_max() > 0,
                             option->get_description()});
  }
  const auto commands = app.get_subcommands([](const ::CLI::App* command) { return !command->get_name().empty(); });
  for (const ::CLI::App* command : commands) words.commands.push_back(command->get_name());
  all.push_back(std::move(words));
  for (const ::CLI::App* command : commands)
    collect(*command, path.empty() ? command->get_name() : path + " " + command->get_name(), all);
}

std::vector<CommandWords> words_of(const ::CLI::App& app) {
  std::vector<CommandWords> all;
  collect(app, "", all);
  return all;
}

// The function for bash, which zsh understands too.
std::string bash_function(const ::CLI::App& app) {
  const std::vector<CommandWords> all = words_of(app);
  std::string paths;
  std::string values;
  std::string valued;
  std::string flags;
  std::string commands;
  for (const CommandWords& words : all) {
    if (!words.path.empty()) paths += fmt::format("      '{}') path='{}' ;;\n", words.path, words.path);
    std::vector<std::string> file_options;
    for (const OptionWords& option : words.options) {
      if (!option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.shorts) patterns.push_back(fmt::format("'{} -{}'", words.path, name));
      for (const std::string& name : option.longs) patterns.push_back(fmt::format("'{} --{}'", words.path, name));
      if (option.values.empty())
        file_options.insert(file_options.end(), patterns.begin(), patterns.end());
      else
        values += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n", fmt::join(patterns, "|"),
                              fmt::join(option.values, " "));
    }
    if (!file_options.empty()) valued += fmt::format("    {}) _tideline_files; return ;;\n", fmt::join(file_options, "|"));
    flags += fmt::format("      '{}') words='{}' ;;\n", words.path, fmt::join(words.flags(), " "));
    const std::vector<std::string>& next = words.commands.empty() ? words.operands : words.commands;
    if (!next.empty()) commands += fmt::format("    '{}') words='{}' ;;\n", words.path, fmt::join(next, " "));
  }
  return "_tideline_files() {\n"
         "  COMPREPLY=($(compgen -f -- \"$cur\"))\n"
         "  compopt -o filenames 2>/dev/null\n"
         "}\n"
         "_tideline() {\n"
         "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" path='' words='' i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"${path:+$path }${COMP_WORDS[i]}\" in\n" +
         paths +
         "    esac\n"
         "  done\n"
         "  case \"$path $prev\" in\n" +
         values + valued +
         "  esac\n"
         "  if [[ $cur == -* ]]; then\n"
         "    case \"$path\" in\n" +
         flags +
         "    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "    return\n"
         "  fi\n"
         "  case \"$path\" in\n" +
         commands +
         "    *) _tideline_files; return ;;\n"
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _tideline tideline\n";
}

std::string fish_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + "'";
}

}  // namespace

std::string bash_completion(const ::CLI::App& app) {
  return "# bash completion of tideline: source <(tideline completion bash)\n" + bash_function(app);
}

std::string zsh_completion(const ::CLI::App& app) {
  return "#compdef tideline\n# zsh completion of tideline: source <(tideline completion zsh)\n"
         "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n" +
         bash_function(app);
}

std::string fish_completion(const ::CLI::App& app) {
  std::string script = "# fish completion of tideline: tideline completion fish | source\n";
  const std::vector<CommandWords> all = words_of(app);
  for (const CommandWords& words : all) {
    // The words of the path have been typed, and none of the commands below it.
    std::string condition;
    for (const std::string& word : split(words.path, ' '))
      if (!word.empty()) condition += fmt::format("{}__fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ", word);
    if (!words.commands.empty())
      condition +=
          fmt::format("{}not __fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ", fmt::join(words.commands, " "));
    const std::string where = condition.empty() ? "" : " -n " + fish_quoted(condition);
    for (const std::string& name : words.commands) {
      std::string summary;
      const std::string path = words.path.empty() ? name : words.path + " " + name;
      for (const CommandWords& other : all)
        if (other.path == path) summary = other.summary;
      script += fmt::format("complete -c tideline -f{} -a {} -d {}\n", where, name, fish_quoted(summary));
    }
    if (!words.operands.empty())
      script +=
          fmt::format("complete -c tideline -f{} -a {}\n", where, fish_quoted(fmt::format("{}", fmt::join(words.operands, " "))));
    for (const OptionWords& option : words.options) {
      script += "complete -c tideline" + where;
      for (const std::string& name : option.shorts) script += " -s " + name;
      for (const std::string& name : option.longs) script += " -l " + name;
      if (!option.values.empty())
        script += fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(option.values, " "))));
      else if (option.takes_value)
        script += " -r";
      script += " -d " + fish_quoted(option.summary) + "\n";
    }
  }
  return script;
}

}  // namespace tideline::app
