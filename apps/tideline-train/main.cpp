// The tideline-train binary: coordinator and workers of training, apart from `tideline` because of the library it links.
//   tideline-train run JOB       what `tideline train JOB` starts
//   tideline-train worker        one or several workers; what `run` starts
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>

#include "../tideline/output.h"
#include "train_commands.h"

namespace tideline::app {
namespace {

// As in `tideline`: the first signal cancels, the second one ends.
void watch_signals(const CancelToken& interrupted) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
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

int run(int argc, char** argv) {
  static Context context;
  watch_signals(context.interrupted);
  guard_output([] { return context.output == Output::kJson; });
  CLI::App app("Coordinator and workers of training; started by `tideline train`.", "tideline-train");
  app.set_version_flag("--version", "tideline-train 0.1.0");
  app.add_flag("-q,--quiet", context.quiet, "No progress and no notes on standard error");
  app.require_subcommand(1);
  app.fallthrough();
  add_run_training_command(app, context);
  add_worker_command(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return error.get_exit_code() == 0 ? kExitOk : kExitUsage;
  }
  const std::string failed = finish_output();
  if (failed.empty()) return context.exit_code;
  fmt::print(stderr, "tideline: cannot write to standard output: {}\n", failed);
  return context.exit_code == kExitOk ? kExitFailure : context.exit_code;
}

}  // namespace
}  // namespace tideline::app

int main(int argc, char** argv) {
  try {
    return tideline::app::run(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "tideline: out of memory\n");
    return tideline::app::kExitResourceLimit;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tideline: defect: {}\n", error.what());
    return tideline::app::kExitFailure;
  }
}
