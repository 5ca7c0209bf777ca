// tideline evaluate: loss, accuracy and confusion of a classifier on a data set.
#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "commands.h"
#include "model/model_config.h"
#include "report/table.h"
#include "session/load.h"
#include "session/source.h"
#include "train/evaluate/evaluate.h"

namespace tideline::app {
namespace {

struct EvaluateArguments {
  std::string model;
  std::string data;
  std::string config;
  double mean = 0;
  double std = 1;
  int threads = 1;
};

void print_evaluation(const Context& context, const train::Evaluation& result) {
  if (context.output == Output::kJson) {
    fmt::print(
        "{}\n",
        nlohmann::json{
            {"accuracy", result.accuracy()}, {"loss", result.loss}, {"samples", result.samples}, {"confusion", result.confusion}}
            .dump(2));
    return;
  }
  report::Table table({{"class", "class"},
                       {"samples", "samples"},
                       {"right", "right"},
                       {"most often taken for", "taken_for"},
                       {"times", "times"}});
  for (std::size_t label = 0; label < result.confusion.size(); ++label) {
    std::vector<std::uint64_t> row = result.confusion[label];
    std::uint64_t samples = 0;
    for (const std::uint64_t count : row) samples += count;
    const std::uint64_t right = row[label];
    row[label] = 0;
    const auto worst = std::max_element(row.begin(), row.end());
    const bool is_mistaken = *worst > 0;
    table.add({label, samples,
               samples == 0 ? report::Table::Cell("")
                            : report::Table::Cell(
                                  fmt::format("{:.1f} %", 100.0 * static_cast<double>(right) / static_cast<double>(samples)),
                                  static_cast<double>(right) / static_cast<double>(samples)),
               is_mistaken ? report::Table::Cell(worst - row.begin()) : report::Table::Cell(""),
               is_mistaken ? report::Table::Cell(*worst) : report::Table::Cell("")});
  }
  print_table(context, table);
  if (is_prose(context))
    fmt::print("accuracy {:.2f} % ({} of {}), loss {:.4f}\n", 100 * result.accuracy(), result.correct, result.samples,
               result.loss);
}

Result<std::optional<InputSection>> section_of(const EvaluateArguments& arguments) {
  if (arguments.config.empty()) return std::optional<InputSection>();
  TIDELINE_TRY(const std::string text, read_source(arguments.config, limits::kYamlFileBytesMax));
  TIDELINE_TRY(const ModelConfig config, parse_model_config(text, source_name(arguments.config)));
  if (!config.input) return Error{ErrorCode::kInvalidArgument, source_name(arguments.config) + " has no input section"};
  return config.input;
}

// What the model was trained with: by hand, or as its input section says.
Result<train::EvaluateOptions> options_of(const EvaluateArguments& arguments, const std::optional<InputSection>& section) {
  if (!section)
    return train::EvaluateOptions{.mean = static_cast<float>(arguments.mean), .std = static_cast<float>(arguments.std)};
  if (section->channels != ChannelOrder::kGrey && !arguments.data.starts_with("images:"))
    return Error{
        ErrorCode::kInvalidArgument,
        "evaluate takes mean and std of bytes from an input section with `channels: grey`; give --mean and --std instead"};
  return train::EvaluateOptions{.mean = section->mean[0], .std = section->std[0]};
}

Status run_evaluate(const Context& context, const EvaluateArguments& arguments) {
  TIDELINE_TRY(const std::optional<InputSection> section, section_of(arguments));
  TIDELINE_TRY(const train::EvaluateOptions options, options_of(arguments, section));
  TIDELINE_TRY(const train::DataSet data, train::read_data(arguments.data, section ? &*section : nullptr));
  TIDELINE_TRY(const Model model, read_model(arguments.model, {}));
  TIDELINE_TRY(const auto engine, make_engine({.threads = arguments.threads}));
  Progress progress(context, "evaluating", data.size());
  const train::EvaluateControl control{.cancel = context.interrupted,
                                       .progress = [&](std::size_t done, std::size_t) { progress.advance_to(done); }};
  TIDELINE_TRY(const train::Evaluation result, train::evaluate(*engine, model, data, options, control));
  print_evaluation(context, result);
  return {};
}

}  // namespace

void add_evaluate_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("evaluate", "How well a classifier answers on a data set");
  const auto arguments = std::make_shared<EvaluateArguments>();
  command.add_option("model", arguments->model, "The ONNX file; \"-\": standard input")->required()->type_name("MODEL");
  command.add_option("--data", arguments->data, "idx:PREFIX, npy:FOLDER, or images:FOLDER with --config")
      ->required()
      ->type_name("DATA");
  command.add_option("--config", arguments->config, "model.yaml, whose input section says how pictures are prepared")
      ->type_name("FILE");
  command.add_option("--mean", arguments->mean, "Of bytes, which become (byte / 255 - mean) / std")->capture_default_str();
  command.add_option("--std", arguments->std, "See --mean")->capture_default_str();
  command.add_option("--threads", arguments->threads, "Threads of one run")->capture_default_str();
  add_output_option(command, context, true);
  command.footer(
      "docs/formats/data.md says what data may be. JSON: accuracy (0 to 1), loss (mean cross-entropy), samples, and confusion\n"
      "[label][answer].\n"
      "Example:\n"
      "  tideline evaluate lenet5.onnx --data idx:build/third_party/fashion-mnist/t10k --mean 0.286 --std 0.353");
  on_run(command, context, [&context, arguments] { return run_evaluate(context, *arguments); });
}

}  // namespace tideline::app
