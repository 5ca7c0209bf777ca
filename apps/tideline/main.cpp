// The tideline binary: builds the command line, runs one subcommand, returns its exit code.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>

#include "base/text.h"
#include "commands.h"
#include "output.h"

namespace tideline::app {
namespace {

// Ctrl-C, SIGTERM and SIGHUP cancel the context's token; a second one ends the process at once. A thread of its own waits for
// the signals, so that the token's callbacks run as ordinary code and not inside a signal handler.
void watch_signals(const CancelToken& interrupted) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  // The terminal is gone; but whoever was started by nohup stays.
  struct sigaction hang_up {};
  if (::sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::thread([interrupted, signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    interrupted.cancel();
    sigwait(&signals, &signal);
    std::_Exit(kExitInterrupted);
  }).detach();
}

// Whether the command line asks for JSON, be the rest of it as wrong as it may.
bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "-ojson" || word == "-o=json" || word == "--output=json") return true;
    if ((word == "-o" || word == "--output") && i + 1 < argc && std::string_view(argv[i + 1]) == "json") return true;
  }
  return false;
}

// How many arguments name standard input.
int reads_standard_input(int argc, char** argv) {
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "-" || word.ends_with("=-")) ++count;
  }
  return count;
}

// "there is no command 'plna'; did you mean 'plan'?", or nothing when the first word is a command.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  const std::string word = argv[1];
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string_view near = nearest(word, candidates);
  return fmt::format("there is no command '{}'{}; see tideline --help", printable(word),
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

int run(int argc, char** argv) {
  // Outlives this function: what is printed is written out after it.
  static Context context;
  watch_signals(context.interrupted);
  guard_output([] { return context.output == Output::kJson; });

  CLI::App app("Finds where each layer of a neural network should run (device, edge or cloud), and runs it there.", "tideline");
  app.set_version_flag("--version", "tideline 0.1.0");
  app.add_flag("-q,--quiet", context.quiet, "No progress and no notes on standard error");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help for every subcommand");
  app.fallthrough();

  // COMMANDS
  add_inspect_command(app, context);
  add_zoo_command(app, context);
  add_schedule_command(app, context);
  add_simulate_command(app, context);
  add_reproduce_command(app, context);
  add_fleet_command(app, context);
  add_plan_command(app, context);
  add_sweep_command(app, context);
  add_profile_command(app, context);
  add_calibrate_command(app, context);
  add_codec_command(app, context);
  add_config_command(app, context);
  add_evaluate_command(app, context);
  add_train_command(app, context);
  add_run_command(app, context);
  add_local_command(app, context);
  add_node_command(app, context);
  add_completion_command(app, context);

  if (reads_standard_input(argc, argv) > 1) {
    constexpr std::string_view kOnce = "only one file can be - (standard input)";
    if (wants_json(argc, argv)) print_error_json("USAGE", kOnce);
    fmt::print(stderr, "tideline: {}\n", kOnce);
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::string word = unknown_command(app, argc, argv);
    if (wants_json(argc, argv)) print_error_json("USAGE", word.empty() ? error.what() : word);
    if (word.empty())
      app.exit(error);
    else
      fmt::print(stderr, "tideline: {}\n", word);
    return kExitUsage;
  }
  return context.exit_code;
}

// What was printed must have arrived: a full disk may show itself only now.
int finished(int exit_code) {
  const std::string failed = finish_output();
  if (failed.empty()) return exit_code;
  fmt::print(stderr, "tideline: cannot write to standard output: {}\n", failed);
  return exit_code == kExitOk ? kExitFailure : exit_code;
}

}  // namespace
}  // namespace tideline::app

int main(int argc, char** argv) {
  try {
    return tideline::app::finished(tideline::app::run(argc, argv));
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "tideline: out of memory\n");
    return tideline::app::kExitResourceLimit;
  } catch (const std::system_error& error) {
    // Also a stream that takes no more in the middle of the output.
    const std::string failed = tideline::app::finish_output();
    fmt::print(stderr, "tideline: {}\n", failed.empty() ? error.what() : "cannot write to standard output: " + failed);
    return tideline::app::kExitFailure;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tideline: defect: {}\n", error.what());
    return tideline::app::kExitFailure;
  }
}
