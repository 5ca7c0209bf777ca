#include "model_options.h"

#include <filesystem>

#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "codec/codec.h"

namespace tideline::app {

void add_model_options(CLI::App& command, ModelArguments& arguments) {
  command.add_option("model", arguments.model, "The model: an .onnx file")->required()->type_name("MODEL");
  command
      .add_option("--config", arguments.config, "model.yaml: input section, output section and shapes (docs/formats/model.md)")
      ->type_name("FILE");
  command.add_option("--shape", arguments.shapes, "Size of an input that the model leaves open: NAME=1,3,224,224 (repeatable)")
      ->type_name("NAME=DIMS")
      ->take_all();
  command.add_option("--cut-width", arguments.cut_width, "Most tensors that a cut may have")
      ->check(CLI::Range(1U, 64U))
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option_function<std::vector<std::string>>(
          "--input",
          [&arguments](const std::vector<std::string>& given) {
            for (const std::string& text : given) {
              std::error_code ignored;
              if (text.find('=') != std::string::npos && !std::filesystem::exists(text, ignored))
                arguments.values.push_back(text);
              else if (arguments.input.empty())
                arguments.input = text;
              else
                CLI::refuse("--input", "only one FILE or DIR may stand without a name: write NAME=FILE for the others");
            }
          },
          "Input values: an image (with an input section) or .npy, a folder of either with NAME.npy for other inputs, or "
          "NAME=FILE "
          "(repeatable); without: made-up numbers")
      ->type_name("FILE|DIR|NAME=FILE")
      ->take_all();
  command.add_option("--threads", arguments.threads, "Threads of one run")
      ->check(CLI::Range(1, limits::kEngineThreadsMax))
      ->capture_default_str()
      ->type_name("N");
}

void note_made_up(const Context& context, const std::vector<std::string>& inputs) {
  if (inputs.empty() || context.quiet) return;
  std::vector<std::string> names;
  for (const std::string& name : inputs) names.push_back(printable(name, 60));
  fmt::print(stderr, "note: nobody gave values for {}: made-up numbers are used; give real ones with --input NAME=FILE.npy\n",
             fmt::join(names, ", "));
}

void add_profile_options(CLI::App& command, PlanInputArguments& arguments) {
  command
      .add_option(
          "--profile", arguments.profiles,
          "Measured times: one *.profile.json for all nodes, or NODE=FILE (repeatable); without: measured now on this host")
      ->type_name("FILE")
      ->take_all();
  command.add_option("--profile-out", arguments.profile_out, "Where to keep a profile that had to be measured")
      ->type_name("FILE");
  command.add_option("--profile-time", arguments.profile_seconds, "About how long to measure, in seconds")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str()
      ->type_name("SECONDS");
}

std::vector<std::string> codec_names(std::vector<std::string> before) {
  for (const NamedCodec& known : codecs()) before.emplace_back(known.name);
  return before;
}

void add_result_option(CLI::App& command, std::string& result_to) {
  command
      .add_option("--result-to", result_to,
                  "Where the answer is wanted: source (default), or nowhere: only word that a request is done comes back")
      ->check(CLI::IsMember({"source", "nowhere"}))
      ->type_name("PLACE");
}

void add_run_options(CLI::App& command, RunArguments& arguments) {
  command.add_option("--plan", arguments.choice.plan, "A plan file of `tideline plan --plan-out`; without it, plans now")
      ->type_name("FILE");
  add_profile_options(command, arguments.inputs);
  command.add_option("--planner", arguments.choice.planner, "Only this planner (see `tideline plan --help`)")->type_name("NAME");
  command
      .add_option(
          "--cuts", arguments.choice.cuts,
          "Place by hand: the first block of each next node. 3,40 gives blocks 0..2 to the first node, 3..39 to the second")
      ->delimiter(',')
      ->type_name("K,K,...")
      ->excludes("--plan");
  command
      .add_option("--exit", arguments.choice.exit,
                  "Leave the model by this exit of its model.yaml (an output's name), planned now or placed by --cuts")
      ->type_name("NAME")
      ->excludes("--plan");
  add_result_option(command, arguments.choice.result_to);
  command.add_flag("--split", arguments.choice.split, "The best plan over two nodes or more, even where not splitting is better");
  command
      .add_option("-n,--requests", arguments.settings.requests, "Requests to measure (default: 20, or until --duration is over)")
      ->check(CLI::Range(1U, 10'000'000U))
      ->type_name("N");
  command.add_option("--warmup", arguments.settings.warmup, "Requests before those")->capture_default_str()->type_name("N");
  command.add_option("--timeout", arguments.timeout, "Deadline of one request")->capture_default_str()->type_name("DURATION");
  command
      .add_option("--in-flight", arguments.settings.in_flight,
                  "Requests under way at once: while one node computes, others do too")
      ->check(CLI::Range(1U, limits::kStreamInFlightMax))
      ->capture_default_str()
      ->type_name("K");
  command
      .add_option("--rate", arguments.settings.rate_per_s, "Frames a second of the source (default: as fast as they are taken)")
      ->check(CLI::Range(1e-3, 1e6))
      ->type_name("PER_S");
  command.add_option("--duration", arguments.duration, "End after this time")->type_name("DURATION");
  command
      .add_option("--drop", arguments.drop,
                  "When the source is too fast: none (frames wait), oldest (keep the freshest) or newest (serve what waits)")
      ->check(CLI::IsMember({"none", "oldest", "newest"}))
      ->capture_default_str()
      ->type_name("RULE");
  command
      .add_option("--corrected-plan", arguments.corrected_plan,
                  "Where to write the plan that the times of this run would have given, when it is another one")
      ->type_name("FILE");
  command
      .add_option("--codec", arguments.choice.codecs,
                  "Codecs by hand (`tideline codec --list`): one for every hop up to the last block, or one for each move")
      ->delimiter(',')
      ->check(CLI::IsMember(codec_names({})))
      ->type_name("NAME,...");
  command
      .add_option(
          "--tolerance", arguments.tolerance,
          "With --verify: how much an output may differ, as a share of its largest number (default: what rounding may do)")
      ->check(CLI::Range(0.0, 1e9))
      ->type_name("SHARE");
  command.add_flag("--verify", arguments.settings.verify, "Compare every output with the unsplit model's, run in this process");
  command
      .add_option(
          "--save-output", arguments.settings.save_output,
          "Folder for the answers (.npy; boxes and classes as JSON too); of a folder of inputs, a folder in it for each file")
      ->type_name("DIR");
}

Result<RunSettings> settings_of(const RunArguments& arguments) {
  RunSettings settings = arguments.settings;
  TIDELINE_TRY(settings.timeout, parse_duration(arguments.timeout));
  if (settings.timeout.count() <= 0) return Error{ErrorCode::kInvalidArgument, "--timeout must be above 0"};
  if (arguments.tolerance >= 0) settings.tolerance = arguments.tolerance;
  TIDELINE_TRY(settings.drop, drop_rule_from(arguments.drop));
  if (!arguments.duration.empty()) {
    TIDELINE_TRY(settings.duration, parse_duration(arguments.duration));
    if (settings.duration.count() <= 0) return Error{ErrorCode::kInvalidArgument, "--duration must be above 0"};
  }
  if (settings.requests == 0 && settings.duration.count() == 0) settings.requests = RunSettings{}.requests;
  return settings;
}

}  // namespace tideline::app
