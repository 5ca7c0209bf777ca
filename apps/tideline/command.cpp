#include "command.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

namespace tideline::app {

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorrupt: return kExitBadInput;
    case ErrorCode::kOverloaded: return kExitResourceLimit;
    case ErrorCode::kDisconnected:
    case ErrorCode::kDeadlineExceeded: return kExitUnreachable;
    case ErrorCode::kInfeasible: return kExitInfeasible;
    case ErrorCode::kCancelled: return kExitInterrupted;
    case ErrorCode::kInternal: return kExitFailure;
  }
  return kExitFailure;
}

int report(const Context& context, const Error& error) {
  fmt::print(stderr, "tideline: {}\n", error.message);
  if (context.output == Output::kJson) {
    const nlohmann::json json{{"ok", false}, {"code", to_string(error.code)}, {"message", error.message}};
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return exit_code_of(error.code);
}

void on_run(CLI::App& command, Context& context, std::function<Status()> body) {
  command.callback([&context, body = std::move(body)] {
    if (const Status status = body(); !status) context.exit_code = report(context, status.error());
  });
}

void add_output_option(CLI::App& command, Context& context) {
  command
      .add_option_function<std::string>(
          "-o,--output",
          [&context](const std::string& value) { context.output = value == "json" ? Output::kJson : Output::kTable; },
          "What to print: table (for people) or json (for programs)")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("table|json");
}

bool shows_progress(const Context& context) { return !context.quiet && ::isatty(STDERR_FILENO) == 1; }

bool shows_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

Progress::Progress(const Context& context, std::string label, std::size_t total)
    : shown_(shows_progress(context)), label_(std::move(label)), total_(total) {}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::advance_to(std::size_t done, std::string_view note) {
  if (!shown_) return;
  constexpr std::size_t kWidth = 30;
  const std::size_t filled = total_ == 0 ? kWidth : std::min(kWidth, kWidth * done / total_);
  fmt::print(stderr, "\r\033[K{} [{}{}] {}/{} {}", label_, std::string(filled, '#'), std::string(kWidth - filled, '.'), done,
             total_, note);
  std::fflush(stderr);
}

Control StepBar::control() {
  return {.cancel = context_.interrupted, .on_progress = [this](const Step& step) {
            if (!progress_ || step.what != what_) {
              what_ = step.what;
              progress_.emplace(context_, what_, step.total);
            }
            progress_->advance_to(step.done, step.note);
          }};
}

}  // namespace tideline::app
