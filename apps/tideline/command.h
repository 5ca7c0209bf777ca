// What every subcommand shares: where its output goes, how its errors end, and progress on a terminal.
//
// A subcommand is one file cmd_NAME.cpp with one function add_NAME_command(CLI::App&, Context&), listed in commands.h.
// Data goes to standard output, everything else to standard error; nothing but main() ends the process.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/cancel.h"
#include "base/result.h"
#include "command_line.h"
#include "report/table.h"
#include "session/control.h"

namespace tideline::app {

enum class Output { kTable, kJson, kCsv, kMarkdown };

// Exit codes; part of the interface.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadInput = 3;
inline constexpr int kExitInfeasible = 4;
inline constexpr int kExitUnreachable = 5;
inline constexpr int kExitResourceLimit = 7;
inline constexpr int kExitThresholdMissed = 8;
inline constexpr int kExitInterrupted = 130;

struct Context {
  Output output = Output::kTable;
  bool quiet = false;
  // Cancelled by Ctrl-C and SIGTERM.
  CancelToken interrupted;
  // What main() returns unless run() set something else.
  int exit_code = kExitOk;
};

int exit_code_of(ErrorCode code);
// What an error message may show of itself.
inline constexpr std::size_t kMessageBytesMax = 4096;
// {"code","message"}
nlohmann::json error_json(const Error& error);
// One sentence on standard error; with -o json also {"ok":false,"error":{"code","message"}} on standard output. Returns the exit
// code.
int report(const Context& context, const Error& error);
void print_error_json(std::string_view code, std::string_view message);
// Sets the command's callback: runs `body` and turns its error into an exit code.
void on_run(CLI::App& command, Context& context, std::function<Status()> body);
// Adds -o/--output table|json to a command; with `has_table`, whose answer is one table, csv and markdown too.
void add_output_option(CLI::App& command, Context& context, bool has_table = false);
// True when people read what is printed: everything may be said, and not only the one table.
inline bool is_prose(const Context& context) { return context.output == Output::kTable || context.output == Output::kMarkdown; }
inline bool is_csv(const Context& context) { return context.output == Output::kCsv; }
// On standard output, as -o says. REQUIRES: not JSON.
void print_table(const Context& context, const report::Table& table, std::string_view indent = "");
// True when standard error is a terminal and --quiet is not given.
bool shows_progress(const Context& context);
// True when standard output is a terminal and NO_COLOR is not set.
bool shows_colour();

// A one-line progress bar on standard error; does nothing unless shows_progress(). Clears its line at the end.
class Progress {
 public:
  Progress(const Context& context, std::string label, std::size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance_to(std::size_t done, std::string_view note = "");

 private:
  bool shown_;
  std::string label_;
  std::size_t total_;
};

// The steps of a call into the session library, each as a Progress; its control() also hands on Ctrl-C. As a temporary in the
// call it lives just as long as that:
//   TIDELINE_TRY(const LoadedModel loaded, load_model(arguments, StepBar(context).control()));
class StepBar {
 public:
  explicit StepBar(const Context& context) : context_(context) {}
  // Refers to this.
  Control control();

 private:
  const Context& context_;
  std::string what_;
  std::optional<Progress> progress_;
};

}  // namespace tideline::app
