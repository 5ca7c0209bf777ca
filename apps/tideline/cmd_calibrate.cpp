// tideline calibrate: measures this host by kinds and sizes of operators, its memory and its threads, whatever the model.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "commands.h"
#include "engine/engine.h"
#include "measure/calibrate.h"
#include "platform/files.h"
#include "report/table.h"

namespace tideline::app {
namespace {

struct CalibrateArguments {
  std::string out;
  std::string time = "5min";
  int threads = 1;
};

// What people compare hosts by: one kind of operator over all its sizes.
struct KindSummary {
  std::vector<double> gflop_per_s;
  std::vector<double> gbyte_per_s;
  std::vector<double> times;
  std::map<std::string, std::size_t> kernels;  // what the engine made of them, how often
};

double middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double element_count(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1.0,
                         [](double all, std::int64_t dim) { return all * static_cast<double>(dim); });
}

double moved_bytes(const OperatorSample& sample) {
  double elements = element_count(sample.output);
  for (const auto& input : sample.inputs) elements += element_count(input);
  return elements * sizeof(float) + static_cast<double>(sample.weight_bytes);
}

// The engine's kernels in order: "ReorderInput Conv ReorderOutput".
std::string kernel_names(const OperatorSample& sample) {
  std::string names;
  for (const SampleKernel& kernel : sample.kernels) names += (names.empty() ? "" : " ") + kernel.type;
  return names;
}

report::Table kind_table(const Calibration& calibration) {
  std::vector<std::string> order;
  std::map<std::string, KindSummary> kinds;
  for (const OperatorSample& sample : calibration.operators) {
    const auto [found, is_new] = kinds.try_emplace(sample.kind);
    if (is_new) order.push_back(sample.kind);
    KindSummary& kind = found->second;
    const double time = operator_time(sample).count();
    const double seconds = std::max(time, 1e-6) / 1000;
    kind.times.push_back(time);
    kind.gflop_per_s.push_back(static_cast<double>(sample.flops) / seconds / 1e9);
    kind.gbyte_per_s.push_back(moved_bytes(sample) / seconds / 1e9);
    ++kind.kernels[kernel_names(sample)];
  }
  report::Table table({{"kind", "kind", report::Table::kLeft},
                       {"sizes", "samples"},
                       {"shortest", "time_min_ms"},
                       {"median", "time_median_ms"},
                       {"longest", "time_max_ms"},
                       {"GFLOP/s", "gflop_per_s"},
                       {"GB/s", "gbyte_per_s"},
                       {"kernels of the engine", "kernels", report::Table::kLeft}});
  const auto cell = [](double ms) { return report::Table::Cell(format_millis(Millis(ms)), ms); };
  for (const std::string& name : order) {
    const KindSummary& kind = kinds.at(name);
    const auto [shortest, longest] = std::minmax_element(kind.times.begin(), kind.times.end());
    const double flops = middle(kind.gflop_per_s);
    const double bytes = middle(kind.gbyte_per_s);
    const auto usual = std::max_element(kind.kernels.begin(), kind.kernels.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
    table.add({{printable(name), name},
               kind.times.size(),
               cell(*shortest),
               cell(middle(kind.times)),
               cell(*longest),
               {flops > 0 ? fmt::format("{:.3g}", flops) : "-", flops},
               {fmt::format("{:.3g}", bytes), bytes},
               {printable(usual->first, 60), usual->first}});
  }
  return table;
}

void print_memory(const Calibration& calibration) {
  const MemoryPoint& first = calibration.memory.front();
  const MemoryPoint& last = calibration.memory.back();
  fmt::print("\nmemory, one thread: {:.3g} GB/s read and {:.3g} GB/s copied in {}, {:.3g} and {:.3g} GB/s in {}\n",
             first.read_bytes_per_s / 1e9, first.copy_bytes_per_s / 1e9, format_bytes(first.bytes), last.read_bytes_per_s / 1e9,
             last.copy_bytes_per_s / 1e9, format_bytes(last.bytes));
  std::vector<std::string> steps;
  for (const Bytes bytes : calibration.caches) steps.push_back(format_bytes(bytes));
  if (steps.empty())
    fmt::print("a load takes {:.3g} ns everywhere\n", first.latency_ns);
  else
    fmt::print("a load takes {:.3g} ns at first and {:.3g} ns at last; it becomes slower above {}\n", first.latency_ns,
               last.latency_ns, fmt::join(steps, ", "));
}

void print_scaling(const Calibration& calibration) {
  std::map<std::string, Millis> alone;
  for (const ThreadPoint& point : calibration.scaling)
    if (point.threads == 1) alone[point.kind] = point.time;
  int printed = 1;
  for (const ThreadPoint& point : calibration.scaling) {
    if (point.threads == 1) continue;
    if (point.threads != printed) fmt::print("{}{} threads:", printed == 1 ? "" : "\n", point.threads);
    printed = point.threads;
    fmt::print(" {} {:.2f} times as fast;", point.kind, alone[point.kind] / std::max(point.time, Millis(1e-9)));
  }
  if (printed > 1) fmt::print("\n");
}

void print_calibration(const Context& context, const Calibration& calibration) {
  print_table(context, kind_table(calibration));
  if (!is_prose(context)) return;
  print_memory(calibration);
  print_scaling(calibration);
  fmt::print("{} ({} {}, {}): {} operators; the same convolution took {} +- {} all the while\n", printable(calibration.host),
             calibration.threads, calibration.threads == 1 ? "thread" : "threads", printable(calibration.engine),
             calibration.operators.size(), format_millis(calibration.reference), format_millis(calibration.reference_spread));
}

// Minutes of measuring must not end at a folder that is not there.
Status check_out(const std::string& out) {
  if (out.empty()) return {};
  const std::filesystem::path parent = std::filesystem::path(out).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--out: '{}' is no folder; make it, or name another file", printable(folder))};
  if (::access(folder.c_str(), W_OK) != 0 && ::access(out.c_str(), W_OK) != 0)
    return Error{ErrorCode::kInvalidArgument, fmt::format("--out: '{}' may not be written to", printable(folder))};
  return {};
}

Status run_calibrate(Context& context, const CalibrateArguments& arguments) {
  TIDELINE_TRY(const Millis time, parse_duration(arguments.time));
  TIDELINE_CHECK_OK(check_out(arguments.out));
  TIDELINE_TRY(const std::unique_ptr<Engine> engine, make_engine({.threads = arguments.threads}));
  Calibration calibration;
  {
    Progress progress(context, "Calibrating", 100);
    TIDELINE_TRY(
        calibration,
        calibrate(*engine,
                  {.time = time, .cancel = &context.interrupted, .progress = [&progress](double done, std::string_view what) {
                     progress.advance_to(static_cast<std::size_t>(100 * std::clamp(done, 0.0, 1.0)), what);
                   }}));
  }
  const std::string document = write_calibration(calibration);
  if (!arguments.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(arguments.out, document));
  if (context.output == Output::kJson)
    fmt::print("{}", document);
  else
    print_calibration(context, calibration);
  if (!arguments.out.empty() && !context.quiet) fmt::print(stderr, "wrote {}\n", printable(arguments.out, 400));
  if (!calibration.complete) {
    context.exit_code = kExitInterrupted;
    fmt::print(stderr, "tideline: interrupted: the {} operators measured until then are kept; every kind is among them\n",
               calibration.operators.size());
  }
  return {};
}

}  // namespace

void add_calibrate_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("calibrate", "Measure this host whatever the model: operators, memory, threads");
  const auto arguments = std::make_shared<CalibrateArguments>();
  command->add_option("--out", arguments->out, "Where to write the calibration (docs/formats/calibration.md)")->type_name("FILE");
  command
      ->add_option("--time", arguments->time,
                   "About how long to measure; memory, threads and one size of every kind of operator are measured however "
                   "short it is")
      ->capture_default_str()
      ->type_name("DURATION");
  command->add_option("--threads", arguments->threads, "Threads of one run of an operator")
      ->check(CLI::Range(1, limits::kEngineThreadsMax))
      ->capture_default_str()
      ->type_name("N");
  add_output_option(*command, context, true);
  command->footer(
      "Ctrl-C keeps what was measured as soon as every kind of operator was, and says so (exit code 130).\n"
      "Examples:\n"
      "  tideline calibrate --out pi.calibration.json\n"
      "  tideline calibrate --time 30s --threads 4 --out gateway.calibration.json\n"
      "  tideline calibrate --time 1min -o json > server.calibration.json");
  on_run(*command, context, [&context, arguments] { return run_calibrate(context, *arguments); });
}

}  // namespace tideline::app
