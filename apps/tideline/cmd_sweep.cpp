// tideline sweep: allocation and response time against bandwidth (AAIoT, Figure 3).
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "platform/files.h"
#include "sweep_data.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string table;
  std::string planner = "auto";
  std::string from = "10kbit/s";
  std::string to = "1Gbit/s";
  int points = 101;
  std::string out;
  std::string title;
};

Result<SweepRange> range_of(const Options& options) {
  SweepRange range{.points = options.points};
  TIDELINE_TRY(range.from_bytes_per_s, parse_bandwidth_bytes_per_s(options.from));
  TIDELINE_TRY(range.to_bytes_per_s, parse_bandwidth_bytes_per_s(options.to));
  return range;
}

// The point at which the split gains most over the best single device; none when no split is ever best.
const report::SweepPoint* greatest_gain(const Sweep& sweep) {
  const report::SweepPoint* best = nullptr;
  const auto gain = [](const report::SweepPoint& point) { return best_single_ms(point) / point.latency_ms; };
  for (const report::SweepPoint& point : sweep.points)
    if (is_split(point) && (best == nullptr || gain(point) > gain(*best))) best = &point;
  return best;
}

std::string summary(const Sweep& sweep) {
  const report::SweepPoint* gain = greatest_gain(sweep);
  if (gain == nullptr) return "No split is ever best here: one device does everything at each bandwidth.";
  return fmt::format("Splitting gains most at {}: {} instead of {} on the best single device ({:.2f} times faster).",
                     format_bandwidth(gain->bytes_per_s), format_millis(Millis{gain->latency_ms}),
                     format_millis(Millis{best_single_ms(*gain)}), best_single_ms(*gain) / gain->latency_ms);
}

Json to_json(const Sweep& sweep) {
  Json points = Json::array();
  for (const report::SweepPoint& point : sweep.points) {
    Json singles = Json::array();
    for (const double single : point.single_ms) singles.push_back(std::isfinite(single) ? Json(single) : Json(nullptr));
    points.push_back({{"bandwidth_bit_s", point.bytes_per_s * 8},
                      {"latency_ms", point.latency_ms},
                      {"is_split", is_split(point)},
                      {"device", point.device},
                      {"single_ms", std::move(singles)}});
  }
  return {{"planner", sweep.planner}, {"devices", sweep.devices}, {"layers", sweep.layers}, {"points", std::move(points)}};
}

void print_table(const Sweep& sweep) {
  fmt::print("{:>13} {:>13} {:>11} {:>11} {:>12}  {}\n", "from", "to", "latency", "", "best single", "placement");
  for (const SweepStretch& stretch : stretches(sweep)) {
    const report::SweepPoint& first = sweep.points[stretch.first];
    const report::SweepPoint& last = sweep.points[stretch.last];
    fmt::print("{:>13} {:>13} {:>11} {:>11} {:>12}  {}\n", format_bandwidth(first.bytes_per_s),
               format_bandwidth(last.bytes_per_s), format_millis(Millis{first.latency_ms}),
               format_millis(Millis{last.latency_ms}), format_millis(Millis{best_single_ms(last)}),
               describe_placement(sweep, first));
  }
  fmt::print("\n{}\n", summary(sweep));
}

Status write_files(const Options& options, const Sweep& sweep, report::SweepFigure figure) {
  figure.subtitle = summary(sweep);
  figure.devices = sweep.devices;
  figure.layers = sweep.layers;
  figure.points = sweep.points;
  figure.planned_name = sweep.planner == "native" ? "best single device" : fmt::format("planned ({})", sweep.planner);
  TIDELINE_CHECK_OK(make_folders(options.out));
  TIDELINE_CHECK_OK(write_file_atomic(options.out + "/sweep.csv", sweep_csv(sweep)));
  TIDELINE_CHECK_OK(write_file_atomic(options.out + "/sweep.svg", render(figure)));
  const std::string json = to_json(sweep).dump(1, ' ', false, Json::error_handler_t::replace);
  return write_file_atomic(options.out + "/sweep.json", json + "\n");
}

Status sweep(const Context& context, const Options& options) {
  TIDELINE_TRY(const SweepRange range, range_of(options));
  report::SweepFigure figure;
  if (options.table.empty()) return Error{ErrorCode::kInvalidArgument, "[sweep] say what to sweep: --table FILE"};
  TIDELINE_TRY(Table table, load_table(options.table));
  TIDELINE_TRY(const Sweep result, sweep_table(context, std::move(table), range, options.planner));
  figure.title = options.title.empty() ? "Where the layers run, against bandwidth" : options.title;
  figure.note = fmt::format("Times of {}. Every link has the bandwidth of the axis; the result returns over the same links.",
                            options.table);
  if (!options.out.empty()) TIDELINE_CHECK_OK(write_files(options, result, std::move(figure)));
  if (context.output == Output::kJson)
    fmt::print("{}\n", to_json(result).dump(-1, ' ', false, Json::error_handler_t::replace));
  else
    print_table(result);
  if (!options.out.empty() && !context.quiet)
    fmt::print(stderr, "wrote {0}/sweep.svg, {0}/sweep.csv and {0}/sweep.json\n", options.out);
  return {};
}

}  // namespace

void add_sweep_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("sweep", "Show where the layers run and how long they take, against bandwidth");
  const auto options = std::make_shared<Options>();
  command->add_option("--table", options->table, "A table of measured times (docs/formats/table.md)")->type_name("FILE");
  command->add_option("--planner", options->planner, "auto, aaiot, exhaustive or native")->type_name("NAME");
  command->add_option("--from", options->from, "Lowest bandwidth")->type_name("RATE")->capture_default_str();
  command->add_option("--to", options->to, "Highest bandwidth")->type_name("RATE")->capture_default_str();
  command->add_option("--points", options->points, "Bandwidths between them, evenly on a logarithmic axis")
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder for sweep.svg, sweep.csv and sweep.json")->type_name("DIR");
  command->add_option("--title", options->title, "Title of the figure");
  add_output_option(*command, context);
  command->footer("Examples:\n  tideline sweep --table examples/tables/alexnet.json --out figures");
  on_run(*command, context, [&context, options] { return sweep(context, *options); });
}

}  // namespace tideline::app
