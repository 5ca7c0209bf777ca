// tideline train: hands the command line to tideline-train, which alone links the library that computes gradients; compares runs.
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "base/limits.h"
#include "commands.h"
#include "platform/files.h"
#include "session/source.h"
#include "train/report/report.h"
#include "train_options.h"

namespace tideline::app {
namespace {

struct TrainCommandArguments {
  TrainArguments train;
  std::vector<std::string> compare;
};

std::string_view word_of(Output output) {
  switch (output) {
    case Output::kJson: return "json";
    case Output::kCsv: return "csv";
    case Output::kMarkdown: return "markdown";
    case Output::kTable: break;
  }
  return "table";
}

// Does not return when it goes well: this process becomes that program.
Status become_trainer(const Context& context, const TrainArguments& arguments) {
  TIDELINE_TRY(const std::string program, training_program());
  std::vector<std::string> words{
      program, "run", arguments.job, "--out", arguments.out, "-o", std::string(word_of(context.output))};
  if (arguments.resume) words.emplace_back("--resume");
  for (const auto& [name, value] : {std::pair{"--cluster", &arguments.cluster},
                                    {"--emulate", &arguments.emulate},
                                    {"--bandwidth", &arguments.bandwidth},
                                    {"--bandwidth-back", &arguments.bandwidth_back},
                                    {"--rtt", &arguments.rtt}})
    if (!value->empty()) words.insert(words.end(), {name, *value});
  if (arguments.slowdown != 1) words.insert(words.end(), {"--slowdown", fmt::format("{}", arguments.slowdown)});
  if (context.quiet) words.emplace_back("--quiet");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return Error{ErrorCode::kOverloaded, fmt::format("{} cannot be started: {}", program, std::strerror(errno))};
}

Status compare_runs(const Context& context, const TrainCommandArguments& arguments) {
  std::vector<train::RunCurve> runs;
  for (const std::string& file : arguments.compare) {
    TIDELINE_TRY(const std::string text, read_source(file, limits::kConfigFileBytesMax));
    TIDELINE_TRY(train::RunCurve run, train::parse_report(text, file));
    runs.push_back(std::move(run));
  }
  const auto figures = train::accuracy_figures(runs);
  if (figures.empty()) return Error{ErrorCode::kInvalidArgument, "none of these runs was evaluated on test data"};
  TIDELINE_CHECK_OK(make_folders(arguments.train.out));
  for (const auto& [name, svg] : figures) TIDELINE_CHECK_OK(write_file_atomic(arguments.train.out + "/" + name, svg));
  report::Table table({{"run", "run", report::Table::kLeft},
                       {"rounds", "rounds"},
                       {"accuracy", "accuracy"},
                       {"sent", "bytes_up"},
                       {"received", "bytes_down"},
                       {"seconds", "seconds"}});
  for (const train::RunCurve& run : runs) {
    std::optional<double> accuracy;
    std::uint64_t up = 0, down = 0;
    double seconds = 0;
    for (const train::RoundRecord& round : run.rounds) {
      if (round.accuracy) accuracy = round.accuracy;
      up += round.bytes_up;
      down += round.bytes_down;
      seconds += round.seconds;
    }
    table.add({run.name,
               run.rounds.size(),
               accuracy ? report::Table::Cell(fmt::format("{:.2f} %", 100 * *accuracy), *accuracy) : report::Table::Cell(""),
               {format_bytes(up), static_cast<double>(up)},
               {format_bytes(down), static_cast<double>(down)},
               {fmt::format("{:.1f}", seconds), seconds}});
  }
  print_table(context, table);
  if (is_prose(context)) fmt::print("figures in {}\n", arguments.train.out);
  return {};
}

Status run_train(Context& context, const TrainCommandArguments& arguments) {
  if (arguments.compare.empty() == arguments.train.job.empty())
    return Error{ErrorCode::kInvalidArgument, "give a job file, or runs with --compare, and not both"};
  if (arguments.compare.empty()) return become_trainer(context, arguments.train);
  if (context.output == Output::kJson)
    return Error{ErrorCode::kInvalidArgument, "--compare prints a table: write -o csv for a program to read"};
  return compare_runs(context, arguments);
}

constexpr const char* kExample =
    "Workers are processes on this machine or, with --cluster, on its nodes; each reads its data itself and sends updates only.\n"
    "Ctrl-C ends the run after the round under way, with a checkpoint where the job has a folder for it.\n"
    "JSON: rounds [{round, loss, accuracy, test_loss, bytes_up, bytes_down, seconds, workers, late, rejected}], final,\n"
    "bytes_by_worker, model, weights_sha256 (docs/formats/train-report.md).\n"
    "Example:\n"
    "  tideline train examples/train/fedavg.yaml --out trained\n"
    "  tideline train gateways.yaml --cluster site.yaml --out trained     (in it: workers: [gateway-1, gateway-2])\n"
    "  tideline train --compare fedavg/report.json sync/report.json --out figures";

}  // namespace

void add_train_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("train", "Train a model over workers that keep their data; compare such runs");
  const auto arguments = std::make_shared<TrainCommandArguments>();
  add_train_options(command, arguments->train, context);
  add_cluster_option(command, arguments->train);
  command.add_option("--compare", arguments->compare, "Draw these runs (report.json of each) over each other instead")
      ->type_name("REPORT");
  command.footer(kExample);
  on_run(command, context, [&context, arguments] { return run_train(context, *arguments); });
}

void add_local_train_command(CLI::App& local, Context& context) {
  CLI::App& command = *local.add_subcommand("train", "Train a model over worker processes on this machine (as tideline train)");
  const auto arguments = std::make_shared<TrainCommandArguments>();
  add_train_options(command, arguments->train, context);
  add_emulation_options(command, arguments->train);
  command.footer(
      "Examples:\n"
      "  tideline local train examples/train/fedavg.yaml --out trained\n"
      "  tideline local train examples/train/fedavg.yaml --bandwidth 5Mbit/s --rtt 30ms --slowdown 4\n"
      "  tideline local train gateways.yaml --emulate site.yaml");
  on_run(command, context, [&context, arguments] { return run_train(context, *arguments); });
}

}  // namespace tideline::app
