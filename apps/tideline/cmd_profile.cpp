// tideline profile: measures a model on this host and writes its profile; with --check also how well the profile predicts.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "codec/codec.h"
#include "commands.h"
#include "measure/measure.h"
#include "measure/power_bench.h"
#include "model_options.h"
#include "platform/files.h"
#include "platform/power.h"
#include "report/table.h"
#include "session/measure_model.h"
#include "session/source.h"

namespace tideline::app {
namespace {

constexpr std::uint32_t kCheckSegments = 30;
// Above this median error a plan made from the profile may be the wrong one.
constexpr double kErrorMax = 0.05;
// The same of a predicted one.
constexpr double kPredictedErrorMax = 0.1;
// More of the time than this in kernels that the calibration does not know, and people are told.
constexpr double kUnknownShare = 0.02;
// A clock this far ahead of the processor says that others want it too.
constexpr double kBusy = 1.1;

struct ProfileArguments {
  ModelArguments model;
  std::string out;
  std::string time = "20s";
  std::uint64_t seed = 1;
  bool check = false;
  std::vector<std::string> codecs;  // of --codecs; empty: kCodecsDefault, as far as the time goes
  std::string predict;              // the calibration; empty: measure
  std::string predictor;            // empty: kernels
};

// What is measured unless --codecs says otherwise: half, a quarter, and a quarter squeezed.
const std::vector<std::string> kCodecsDefault{"fp16", "int8c", "int8c+zstd"};

// The codecs to measure.
Result<std::vector<std::string>> codecs_of(const ProfileArguments& arguments) {
  if (arguments.codecs.empty()) return kCodecsDefault;
  const auto has = [&](const char* word) {
    return std::find(arguments.codecs.begin(), arguments.codecs.end(), word) != arguments.codecs.end();
  };
  if ((has("none") || has("all")) && arguments.codecs.size() > 1)
    return Error{ErrorCode::kInvalidArgument, "--codecs: none and all stand alone"};
  if (has("none")) return std::vector<std::string>();
  return has("all") ? codec_names({}) : arguments.codecs;
}

report::Table block_table(const Profile& profile) {
  report::Table table({{"block", "block"},
                       {"time", "time_ms"},
                       {"+-", "spread_ms"},
                       {"share", "share"},
                       {"weights", "parameter_bytes"},
                       {"cut after", "cut_after_bytes"},
                       {"name", "name", report::Table::kLeft}});
  const auto time = [](Millis ms) { return report::Table::Cell(format_millis(ms), ms.count()); };
  const auto bytes = [](Bytes count) { return report::Table::Cell(format_bytes(count), std::to_string(count)); };
  Millis sum(0);
  for (const BlockProfile& block : profile.blocks) sum += block.time;
  for (std::size_t k = 0; k < profile.blocks.size(); ++k) {
    const BlockProfile& block = profile.blocks[k];
    const double share = block.time / std::max(sum, Millis(1e-9));
    table.add({k,
               time(block.time),
               time(block.spread),
               {fmt::format("{:.1f}%", 100 * share), share},
               bytes(block.parameter_bytes),
               bytes(profile.cuts[k + 1].bytes),
               {printable(block.name, 48), block.name}});
  }
  return table;
}

// A row for each cut: what each codec makes of it, both ends' time, and what it does to the answer.
report::Table codec_table(const Profile& profile) {
  std::vector<report::Table::Column> columns{{"cut", "cut"}, {"raw", "bytes"}};
  for (const CodecProfile& codec : profile.codecs) {
    columns.push_back({codec.name, codec.name + "_bytes"});
    columns.push_back({"time", codec.name + "_ms"});
    columns.push_back({"error", codec.name + "_max_rel_error"});
  }
  report::Table table(std::move(columns));
  for (std::size_t cut = 0; cut < profile.cuts.size(); ++cut) {
    const auto bytes = [](Bytes count) { return report::Table::Cell(format_bytes(count), std::to_string(count)); };
    std::vector<report::Table::Cell> row{cut, bytes(profile.cuts[cut].bytes)};
    for (const CodecProfile& codec : profile.codecs) {
      const Millis time = codec.encode[cut] + codec.decode[cut];
      const double error = codec.max_rel_error[cut];
      row.push_back(bytes(codec.bytes[cut]));
      row.push_back({format_millis(time), time.count()});
      row.push_back({std::isfinite(error) ? fmt::format("{:.1g}", error) : "?", error});
    }
    table.add(std::move(row));
  }
  return table;
}

// Cuts whose answers were not measured.
std::size_t unknown_answers(const Profile& profile) {
  std::size_t most = 0;
  for (const CodecProfile& codec : profile.codecs)
    most =
        std::max<std::size_t>(most, static_cast<std::size_t>(std::count_if(codec.max_rel_error.begin(), codec.max_rel_error.end(),
                                                                           [](double error) { return !std::isfinite(error); })));
  return most;
}

void print_codecs(const Context& context, const Profile& profile, bool chosen) {
  if (profile.codecs.empty()) return;
  fmt::print("\nwhat codecs make of the cuts (time: encode and decode; error: of the answer, over its largest number)\n");
  print_table(context, codec_table(profile));
  const std::size_t unknown = unknown_answers(profile);
  if (unknown > 0 && !chosen)
    fmt::print("{} of {} answers were not measured for want of time; --codecs {} measures all\n", unknown, profile.cuts.size(),
               fmt::join(kCodecsDefault, ","));
}

// What each early output takes beyond the trunk, and with it.
report::Table exit_table(const Profile& profile) {
  report::Table table({{"exit", "exit", report::Table::kLeft},
                       {"accuracy", "accuracy"},
                       {"after block", "after"},
                       {"head and steps", "tail_ms"},
                       {"all", "whole_ms"},
                       {"answer", "result_bytes"}});
  for (const ExitProfile& exit : profile.exits) {
    Millis tail(0);
    for (const BlockProfile& block : exit.blocks) tail += block.time;
    table.add({{printable(exit.output, 48), exit.output},
               {fmt::format("{:.3g}", exit.accuracy), exit.accuracy},
               std::size_t{exit.after},
               {format_millis(tail), tail.count()},
               {format_millis(exit.whole), exit.whole.count()},
               {format_bytes(exit.cuts.back().bytes), std::to_string(exit.cuts.back().bytes)}});
  }
  return table;
}

void print_exits(const Context& context, const Profile& profile) {
  if (profile.exits.empty()) return;
  fmt::print("\nearly outputs\n");
  print_table(context, exit_table(profile));
}

// What a predicted profile stands on.
void print_prediction(const Profile& profile) {
  const Prediction& prediction = *profile.prediction;
  fmt::print("\n{} on {} ({} {}, {}): {} for the whole model, {} in memory, {} blocks\n", printable(profile.model_name),
             printable(profile.host), profile.threads, profile.threads == 1 ? "thread" : "threads", printable(profile.engine),
             format_millis(profile.whole), format_bytes(profile.whole_memory_bytes), profile.blocks.size());
  fmt::print(
      "predicted, not measured: by {} from the calibration of {}; of networks it had not seen, half were within {:.1f} % and "
      "nine of ten within {:.1f} %\n",
      prediction.by, printable(prediction.calibrated), 100 * prediction.expected_error, 100 * prediction.expected_error_p90);
  if (prediction.unknown_share > kUnknownShare)
    fmt::print("{:.0f} % of the time are kernels of kinds that the calibration does not have: taken for elementwise ones\n",
               100 * prediction.unknown_share);
  fmt::print("codecs are not predicted, since no calibration measures them: plans send the cuts of this profile as they are\n");
}

void print_summary(const Profile& profile) {
  if (profile.prediction) return print_prediction(profile);
  fmt::print("\n{} on {} ({} {}, {}): {} +- {} for the whole model, {} in memory, {} blocks\n", printable(profile.model_name),
             printable(profile.host), profile.threads, profile.threads == 1 ? "thread" : "threads", profile.engine,
             format_millis(profile.whole), format_millis(profile.whole_spread), format_bytes(profile.whole_memory_bytes),
             profile.blocks.size());
  // Times are of the processor: the clock says what else was going on.
  if (profile.whole_wall > profile.whole * kBusy)
    fmt::print("by the clock {}: the host is {:.1f} times slower than it is alone, and so will be what is measured on it\n",
               format_millis(profile.whole_wall), profile.whole_wall / profile.whole);
}

nlohmann::json check_json(const ProfileCheck& check) {
  nlohmann::json segments = nlohmann::json::array();
  for (const SegmentCheck& segment : check.segments) {
    segments.push_back({{"first_block", segment.range.first},
                        {"last_block", segment.range.last},
                        {"predicted_ms", segment.predicted.count()},
                        {"measured_ms", segment.measured.count()},
                        {"error", segment.error}});
  }
  return {{"median_error", check.median_error},
          {"median_error_without_drift", check.median_error_without_drift},
          {"drift", check.drift},
          {"whole_measured_ms", check.whole.count()},
          {"segments", std::move(segments)}};
}

void print_check(const ProfileCheck& check) {
  fmt::print("\n{:>9}  {:>11} {:>11} {:>7}\n", "segment", "predicted", "measured", "error");
  for (const SegmentCheck& segment : check.segments) {
    fmt::print("{:>9}  {:>11} {:>11} {:>6.1f}%\n", fmt::format("{}:{}", segment.range.first, segment.range.last),
               format_millis(segment.predicted), format_millis(segment.measured), 100 * segment.error);
  }
  fmt::print(
      "\nmedian error of {} random segments: {:.1f} % (the host now takes {:.2f} times what it took for the profile; without "
      "allowing for that {:.1f} %)\n",
      check.segments.size(), 100 * check.median_error, check.drift, 100 * check.median_error_without_drift);
}

// Of one exit's chain.
struct ExitCheck {
  std::string output;
  ProfileCheck check;
};

// As many segments of all exits together as of the model.
Result<std::vector<ExitCheck>> check_exits(const LoadedModel& loaded, const Profile& profile, const MeasureOptions& options) {
  std::vector<ExitCheck> checks;
  for (const LoadedExit& exit : loaded.exits) {
    const std::string& output = exit.chain.exit->output;
    TIDELINE_TRY(const Profile there, at_exit(profile, output));
    const auto count = static_cast<std::uint32_t>((kCheckSegments + loaded.exits.size() - 1) / loaded.exits.size());
    TIDELINE_TRY(ProfileCheck check,
                 check_profile(*loaded.engine, loaded.model, exit.chain, loaded.sample, there, count, options));
    checks.push_back({output, std::move(check)});
  }
  return checks;
}

MeasureOptions measure_options(Context& context, const ProfileArguments& arguments, Millis time, Progress& progress,
                               std::vector<std::string> codecs = {}) {
  return {.time = time,
          .seed = arguments.seed,
          .codecs = std::move(codecs),
          .all_answers = !arguments.codecs.empty(),
          .cancel = &context.interrupted,
          .progress = [&progress](double done, std::string_view what) {
            progress.advance_to(static_cast<std::size_t>(100 * std::clamp(done, 0.0, 1.0)), what);
          }};
}

// Of the time, what idling and computing take while power is measured, and their bounds.
constexpr double kPowerShare = 0.1;
constexpr Millis kPowerTimeMin{200};
constexpr Millis kPowerTimeMax{5000};

// Power at idle and under load, where the host measures it; where not, one line says so.
Status add_power(Context& context, const LoadedModel& loaded, Millis time, Profile& profile) {
  const auto meter = PowerMeter::find("/sys");
  if (!meter) {
    if (!context.quiet) fmt::print(stderr, "note: no power in the profile: {}\n", meter.error().message);
    return {};
  }
  TIDELINE_TRY(Unsplit whole, Unsplit::load(loaded));
  const auto load = [&]() -> Status {
    TIDELINE_TRY([[maybe_unused]] const std::vector<Tensor> answer, whole.run(loaded.sample, context.interrupted));
    return {};
  };
  TIDELINE_TRY(profile.power, measure_power(*meter, load,
                                            {.time = std::clamp(time * kPowerShare, kPowerTimeMin, kPowerTimeMax),
                                             .cancel = &context.interrupted}));
  return {};
}

void print_power(const Profile& profile) {
  if (!profile.power) return;
  fmt::print("power by {}: {:.2f} W idle, {:.2f} W while it computes\n", printable(profile.power->method), profile.power->idle_w,
             profile.power->compute_w);
}

Result<Profile> predicted_profile(Context& context, const ProfileArguments& arguments, const LoadedModel& loaded, Millis time,
                                  const Calibration& calibration) {
  Progress progress(context, "Predicting", 100);
  progress.advance_to(0, "regressions");
  TIDELINE_TRY(const std::unique_ptr<Predictor> predictor,
               make_predictor(calibration, arguments.predictor.empty() ? predictor_names().front() : arguments.predictor));
  return predict_profile(*loaded.engine, loaded.model, loaded.chain, loaded.sample, calibration, *predictor,
                         predictor_error(*predictor, calibration), measure_options(context, arguments, time, progress));
}

Result<Calibration> read_calibration(const ProfileArguments& arguments) {
  TIDELINE_TRY(const std::string text, read_source(arguments.predict, limits::kConfigFileBytesMax));
  TIDELINE_TRY(Calibration calibration, parse_calibration(text, source_name(arguments.predict)));
  if (arguments.model.threads != 1 && arguments.model.threads != calibration.threads)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--threads {}: {} is of {} threads; calibrate that host with --threads {}", arguments.model.threads,
                             printable(arguments.predict, 400), calibration.threads, arguments.model.threads)};
  return calibration;
}

Status profile(Context& context, const ProfileArguments& arguments) {
  TIDELINE_TRY(const Millis time, parse_duration(arguments.time));
  TIDELINE_TRY(const std::vector<std::string> codecs, codecs_of(arguments));
  if (arguments.predict.empty() && !arguments.predictor.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "--predictor says what predicts: give it the host's calibration with --predict FILE"};
  std::optional<Calibration> calibration;
  if (!arguments.predict.empty()) {
    TIDELINE_TRY(calibration, read_calibration(arguments));
  }
  TIDELINE_TRY(const LoadedModel loaded, load_model(arguments.model, StepBar(context).control()));
  Profile result;
  if (calibration) {
    TIDELINE_TRY(result, predicted_profile(context, arguments, loaded, time, *calibration));
    result.made_up_inputs = loaded.made_up_inputs;
    if (calibration->engine != loaded.engine->version() && !context.quiet)
      fmt::print(stderr, "note: calibrated with {}, and {} said what it fuses: other versions may fuse otherwise\n",
                 printable(calibration->engine), loaded.engine->version());
  } else {
    Progress progress(context, "Measuring", 100);
    TIDELINE_TRY(result, measure_model(*loaded.engine, loaded, measure_options(context, arguments, time, progress, codecs)));
    TIDELINE_CHECK_OK(add_power(context, loaded, time, result));
  }
  note_made_up(context, loaded.made_up_inputs);
  if (!arguments.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(arguments.out, write_profile(result)));
  const bool json = context.output == Output::kJson;
  if (!json) {
    print_table(context, block_table(result));
    if (is_prose(context)) {
      print_exits(context, result);
      print_codecs(context, result, !arguments.codecs.empty());
      print_summary(result);
      print_power(result);
    }
    if (!arguments.out.empty() && !context.quiet) fmt::print(stderr, "wrote {}\n", printable(arguments.out, 400));
  }
  nlohmann::json document;
  if (json) document = nlohmann::json::parse(write_profile(result));
  if (arguments.check) {
    std::optional<Progress> progress(std::in_place, context, "Checking", 100);
    const auto check = check_profile(*loaded.engine, loaded.model, loaded.chain, loaded.sample, result, kCheckSegments,
                                     measure_options(context, arguments, time, *progress));
    if (!check) return check.error();
    const auto exits =
        check_exits(loaded, result, {.time = time, .seed = arguments.seed, .cancel = &context.interrupted, .progress = {}});
    progress.reset();
    if (!exits) return exits.error();
    if (json) {
      document = {{"profile", std::move(document)}, {"check", check_json(*check)}};
      for (const ExitCheck& exit : *exits) {
        nlohmann::json entry = check_json(exit.check);
        entry["output"] = exit.output;
        document["check"]["exits"].push_back(std::move(entry));
      }
    } else {
      print_check(*check);
      for (const ExitCheck& exit : *exits)
        fmt::print("median error of {} random segments up to the exit {}: {:.1f} %\n", exit.check.segments.size(),
                   printable(exit.output, 48), 100 * exit.check.median_error);
    }
    double worst = check->median_error;
    for (const ExitCheck& exit : *exits) worst = std::max(worst, exit.check.median_error);
    // Of a prediction, how slow the host is as a whole is part of what was predicted.
    if (result.prediction && check->median_error_without_drift > kPredictedErrorMax) {
      context.exit_code = kExitThresholdMissed;
      fmt::print(stderr, "tideline: the median error is over {:.0f} %: calibrate for longer (--time), or measure the model\n",
                 100 * kPredictedErrorMax);
    } else if (!result.prediction && worst > kErrorMax) {
      context.exit_code = kExitThresholdMissed;
      fmt::print(stderr, "tideline: the median error is over {:.0f} %: give --time more, or a quieter machine\n",
                 100 * kErrorMax);
    }
  }
  if (json) fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return {};
}

}  // namespace

void add_profile_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("profile", "Measure a model on this host: every block, any segment, memory");
  const auto arguments = std::make_shared<ProfileArguments>();
  add_model_options(*command, arguments->model);
  command->add_option("--out", arguments->out, "Where to write the profile (docs/formats/profile.md)")->type_name("FILE");
  command->add_option("--time", arguments->time, "About how long to measure")->capture_default_str()->type_name("DURATION");
  command->add_option("--seed", arguments->seed, "Which random segments are measured")->capture_default_str()->type_name("N");
  command
      ->add_option(
          "--codecs", arguments->codecs,
          fmt::format("Codecs to measure at every cut, with what they do to the answer: none, all, or names (docs/algorithms/"
                      "codecs.md), however long that takes. Without it {} within --time, answers of the smallest cuts first",
                      fmt::join(kCodecsDefault, ",")))
      ->delimiter(',')
      ->check(CLI::IsMember(codec_names({"none", "all"})))
      ->type_name("NAME,...");
  command->add_flag(
      "--check", arguments->check,
      fmt::format("Measure {} random segments afterwards and compare; exit code {} when the median error is over {:.0f} %",
                  kCheckSegments, kExitThresholdMissed, 100 * kErrorMax));
  command
      ->add_option(
          "--predict", arguments->predict,
          "Do not measure: predict the times on the host of this calibration (tideline calibrate), which need never have "
          "run the model; without codecs and power; --check then compares with this host")
      ->type_name("FILE")
      ->excludes("--codecs");
  std::vector<std::string> predictors;
  for (const std::string_view name : predictor_names()) predictors.emplace_back(name);
  command
      ->add_option("--predictor", arguments->predictor,
                   "What predicts: kernels (unless said otherwise), or the regressions of the Neurosurgeon paper to compare with")
      ->check(CLI::IsMember(predictors));
  add_output_option(*command, context, true);
  command->footer(
      "Examples:\n"
      "  tideline profile resnet50.onnx --out pi.profile.json\n"
      "  tideline profile resnet50.onnx --predict pi.calibration.json --out pi.profile.json\n"
      "  tideline profile det.onnx --shape x=1,3,640,640 --threads 2 --check\n"
      "  tideline profile det.onnx --shape x=1,3,640,640 --codecs fp16,int8,int8c --out pi.profile.json\n"
      "  tideline profile cls.onnx --config model.yaml --input photo.jpg -o json");
  on_run(*command, context, [&context, arguments] { return profile(context, *arguments); });
}

}  // namespace tideline::app
