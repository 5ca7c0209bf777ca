#include "command.h"

#include <cstdio>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

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

nlohmann::json error_json(const Error& error) { return {{"code", to_string(error.code)}, {"message", error.message}}; }

int report(const Context& context, const Error& error) {
  fmt::print(stderr, "tideline: {}\n", printable(error.message, kMessageBytesMax));
  if (context.output == Output::kJson) print_error_json(to_string(error.code), error.message);
  return exit_code_of(error.code);
}

void print_error_json(std::string_view code, std::string_view message) {
  // The two keys beside "error" are those of the first versions.
  const nlohmann::json json{
      {"ok", false}, {"code", code}, {"message", message}, {"error", {{"code", code}, {"message", message}}}};
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void on_run(CLI::App& command, Context& context, std::function<Status()> body) {
  command.callback([&context, body = std::move(body)] {
    if (const Status status = body(); !status) context.exit_code = report(context, status.error());
  });
}

void add_output_option(CLI::App& command, Context& context, bool has_table) {
  const std::map<std::string, Output> all{
      {"table", Output::kTable}, {"json", Output::kJson}, {"csv", Output::kCsv}, {"markdown", Output::kMarkdown}};
  std::map<std::string, Output> known;
  for (const auto& [name, output] : all)
    if (has_table || output == Output::kTable || output == Output::kJson) known.emplace(name, output);
  command
      .add_option_function<std::string>(
          "-o,--output", [&context, known](const std::string& value) { context.output = known.at(value); },
          has_table ? "What to print: table (for people), json (for programs), csv or markdown (the table)"
                    : "What to print: table (for people) or json (for programs)")
      ->check(CLI::IsMember(has_table ? std::vector<std::string>{"table", "json", "csv", "markdown"}
                                      : std::vector<std::string>{"table", "json"}))
      ->type_name(has_table ? "table|json|csv|markdown" : "table|json");
}

void print_table(const Context& context, const report::Table& table, std::string_view indent) {
  switch (context.output) {
    case Output::kCsv: fmt::print("{}", table.csv()); break;
    case Output::kMarkdown: fmt::print("{}", table.markdown()); break;
    default: fmt::print("{}", table.text(indent));
  }
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
