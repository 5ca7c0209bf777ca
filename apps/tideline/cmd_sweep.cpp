// tideline sweep: allocation and response time against bandwidth (AAIoT, Figure 3).
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>

#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "commands.h"
#include "model_options.h"
#include "plan_question.h"
#include "platform/files.h"
#include "report/table.h"
#include "session/source.h"
#include "session/sweep.h"
#include "vary_print.h"
#include "zoo/zoo.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

// AAIoT's four devices. Its paper measures a Raspberry Pi 3, an i5-4210H, an i7-6700 and a GTX 1080, about 2, 30, 80 and 3000
// GFLOP/s on a network such as AlexNet; the host that is measured stands for the i7.
constexpr std::array<std::pair<const char*, double>, 4> kPaperDevices{
    {{"Raspberry Pi", 80.0 / 2}, {"mobile PC", 80.0 / 30}, {"desktop PC", 1}, {"server (GPU)", 80.0 / 3000}}};

struct SweepOptions {
  PlanInputArguments inputs;
  std::string cluster;
  std::string devices;
  std::string slowdown;
  std::string rtt = "0";
  std::string input_bytes;
  std::string table;
  std::string planner = "auto";
  std::string from = "10kbit/s";
  std::string to = "1Gbit/s";
  int points = 101;
  std::string out;
  std::string title;
  std::string vary;
  QuestionArguments question;
};

Result<SweepRange> range_of(const SweepOptions& options) {
  SweepRange range{.points = options.points};
  TIDELINE_TRY(range.from_bytes_per_s, parse_bandwidth_bytes_per_s(options.from));
  TIDELINE_TRY(range.to_bytes_per_s, parse_bandwidth_bytes_per_s(options.to));
  return range;
}

// The point at which the split gains most over the best single device; none when no split is ever best.
const report::SweepPoint* greatest_gain(const Sweep& sweep) {
  const report::SweepPoint* best = nullptr;
  const auto gain = [](const report::SweepPoint& point) { return best_single_ms(point) / point.value; };
  for (const report::SweepPoint& point : sweep.points)
    if (is_split(point) && (best == nullptr || gain(point) > gain(*best))) best = &point;
  return best;
}

std::string summary(const Sweep& sweep) {
  const report::SweepPoint* gain = greatest_gain(sweep);
  if (gain == nullptr) return "No split is ever best here: one device does everything at each bandwidth.";
  return fmt::format("Splitting gains most at {}: {} instead of {} on the best single device ({:.2f} times faster).",
                     format_bandwidth(gain->x), format_millis(Millis{gain->value}), format_millis(Millis{best_single_ms(*gain)}),
                     best_single_ms(*gain) / gain->value);
}

Json to_json(const Sweep& sweep) {
  Json points = Json::array();
  for (const report::SweepPoint& point : sweep.points) {
    Json singles = Json::array();
    for (const double single : point.single) singles.push_back(std::isfinite(single) ? Json(single) : Json(nullptr));
    points.push_back({{"bandwidth_bit_s", point.x * 8},
                      {"latency_ms", point.value},
                      {"is_split", is_split(point)},
                      {"device", point.device},
                      {"single_ms", std::move(singles)}});
  }
  return {{"planner", sweep.planner}, {"devices", sweep.devices}, {"layers", sweep.layers}, {"points", std::move(points)}};
}

report::Table stretch_table(const Sweep& sweep) {
  report::Table table({{"from", "from_bit_s"},
                       {"to", "to_bit_s"},
                       {"latency", "latency_ms_from"},
                       {"", "latency_ms_to"},
                       {"best single", "best_single_ms"},
                       {"placement", "placement", report::Table::kLeft}});
  const auto bandwidth = [](double bytes_per_s) { return report::Table::Cell(format_bandwidth(bytes_per_s), 8 * bytes_per_s); };
  const auto time = [](double ms) { return report::Table::Cell(format_millis(Millis{ms}), ms); };
  for (const SweepStretch& stretch : stretches(sweep)) {
    const report::SweepPoint& first = sweep.points[stretch.first];
    const report::SweepPoint& last = sweep.points[stretch.last];
    table.add({bandwidth(first.x), bandwidth(last.x), time(first.value), time(last.value), time(best_single_ms(last)),
               describe_placement(sweep, first)});
  }
  return table;
}

Status write_files(const SweepOptions& options, const Sweep& sweep, report::SweepFigure figure) {
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

// A zoo network as a file that is gone when this is.
class ZooFile {
 public:
  static Result<std::unique_ptr<ZooFile>> write(const std::string& name) {
    TIDELINE_TRY(const std::string onnx, zoo_model(name, 1));
    std::string folder = (std::filesystem::temp_directory_path() / "tideline-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr)
      return Error{ErrorCode::kNotFound, "cannot make a folder for the model beside " + folder + ": set TMPDIR"};
    auto file = std::make_unique<ZooFile>(folder, folder + "/" + name + ".onnx");
    TIDELINE_CHECK_OK(write_file_atomic(file->path_, onnx));
    return file;
  }
  ZooFile(std::string folder, std::string path) : folder_(std::move(folder)), path_(std::move(path)) {}
  ZooFile(const ZooFile&) = delete;
  ZooFile& operator=(const ZooFile&) = delete;
  ~ZooFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

Result<std::vector<double>> factors_of(const std::string& text) {
  std::vector<double> factors;
  for (const std::string& part : split(text, ',')) {
    double factor = 0;
    const auto [end, status] = std::from_chars(part.data(), part.data() + part.size(), factor);
    if (status != std::errc() || end != part.data() + part.size() || !(factor > 0) || factor > 1e6)
      return Error{ErrorCode::kInvalidArgument,
                   "--slowdown is factors above 0, such as 40,2.67,1,0.027; found " + printable(text)};
    factors.push_back(factor);
  }
  return factors;
}

Result<Cluster> cluster_of(const SweepOptions& options) {
  if (!options.cluster.empty()) return read_cluster(options.cluster);
  Cluster cluster;
  for (const auto& [name, slowdown] : kPaperDevices)
    cluster.nodes.push_back({.name = name, .threads = options.inputs.model.threads, .slowdown = slowdown});
  if (!options.slowdown.empty()) {
    TIDELINE_TRY(const std::vector<double> factors, factors_of(options.slowdown));
    const bool is_paper = factors.size() == kPaperDevices.size();
    cluster.nodes.clear();
    for (std::size_t i = 0; i < factors.size(); ++i)
      cluster.nodes.push_back({.name = is_paper ? kPaperDevices[i].first : fmt::format("device {}", i + 1),
                               .threads = options.inputs.model.threads,
                               .slowdown = factors[i]});
  }
  if (!options.devices.empty()) {
    const std::vector<std::string> names = split(options.devices, ',');
    if (names.size() != cluster.nodes.size())
      return Error{ErrorCode::kInvalidArgument, fmt::format("--devices names {} devices, but there are {} slowdown factors",
                                                            names.size(), cluster.nodes.size())};
    for (std::size_t i = 0; i < names.size(); ++i) cluster.nodes[i].name = names[i];
  }
  TIDELINE_TRY(const Millis rtt, parse_duration(options.rtt));
  for (std::uint32_t i = 1; i < cluster.nodes.size(); ++i)
    cluster.links.push_back(
        {.from = static_cast<NodeId>(i - 1), .to = static_cast<NodeId>(i), .bytes_per_s = 1, .back_bytes_per_s = 1, .rtt = rtt});
  return cluster;
}

std::string model_note(const Cluster& cluster, const PlanInputs& inputs) {
  const Profile& profile = *inputs.by_node[0];
  std::string factors;
  for (const Node& node : cluster.nodes)
    factors += fmt::format("{}{} x{:.3g}", factors.empty() ? "" : ", ", node.name, node.slowdown);
  std::string rtt;
  bool is_zero = true;
  for (const Link& link : cluster.links) {
    rtt += fmt::format("{}{:g}", rtt.empty() ? "" : ", ", link.rtt.count());
    is_zero = is_zero && link.rtt.count() == 0;
  }
  return fmt::format(
      "{} measured on {} with {} thread{}: {}. Its times stretched: {}.\n"
      "Sends {} ({}); {}; every link has the bandwidth of the axis, both ways.",
      profile.model_name, profile.host, profile.threads, profile.threads == 1 ? "" : "s", format_millis(profile.whole), factors,
      inputs.input_name, format_bytes(profile.cuts[0].bytes), is_zero ? "no round-trip times" : "round trips of " + rtt + " ms");
}

// The profiles of a model, of a network of the zoo, or as given.
Result<PlanInputs> inputs_of(const Context& context, const SweepOptions& options, const Cluster& cluster) {
  PlanInputArguments arguments = options.inputs;
  std::unique_ptr<ZooFile> zoo;
  if (arguments.model.model.empty() && arguments.profiles.empty()) arguments.model.model = "alexnet";
  const bool is_zoo =
      !std::filesystem::exists(arguments.model.model) && arguments.model.model.find_first_of("/.") == std::string::npos;
  if (!arguments.model.model.empty() && is_zoo) {
    TIDELINE_TRY(zoo, ZooFile::write(arguments.model.model));
    arguments.model.model = zoo->path();
  }
  TIDELINE_TRY(PlanInputs inputs, load_plan_inputs(cluster, arguments, StepBar(context).control()));
  if (!options.input_bytes.empty()) {
    TIDELINE_TRY(const Bytes bytes, parse_bytes(options.input_bytes));
    for (const auto& profile : inputs.profiles) profile->cuts[0].bytes = bytes;
  }
  return inputs;
}

void print_input_notes(const Context& context, const PlanInputs& inputs) {
  if (!context.quiet)
    for (const std::string& note : inputs.notes) fmt::print(stderr, "note: {}\n", note);
}

Result<Sweep> sweep_profiled(const Context& context, const SweepOptions& options, report::SweepFigure& figure) {
  TIDELINE_TRY(const SweepRange range, range_of(options));
  TIDELINE_TRY(const Cluster cluster, cluster_of(options));
  TIDELINE_TRY(const PlanInputs inputs, inputs_of(context, options, cluster));
  TIDELINE_TRY(Sweep result, sweep_model(cluster, inputs.by_node, range, options.planner, StepBar(context).control()));
  figure.title = fmt::format("{}: where the layers run, against bandwidth", inputs.by_node[0]->model_name);
  figure.note = model_note(cluster, inputs);
  print_input_notes(context, inputs);
  return result;
}

Result<Sweep> sweep_file(const Context& context, const SweepOptions& options, report::SweepFigure& figure) {
  TIDELINE_TRY(const SweepRange range, range_of(options));
  TIDELINE_TRY(Table table, read_table(options.table));
  figure.title = "Where the layers run, against bandwidth";
  figure.note = fmt::format("Times of {}. Every link has the bandwidth of the axis; the result returns over the same links.",
                            std::filesystem::path(options.table).filename().string());
  return sweep_table(std::move(table), range, options.planner, StepBar(context).control());
}

Status vary_profiled(const Context& context, const SweepOptions& options) {
  if (options.cluster.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "--vary changes one number of a site: say which with --cluster FILE, or give a --table"};
  TIDELINE_TRY(Cluster idle, cluster_of(options));
  const SiteNames names = names_of(idle);
  TIDELINE_TRY(const ParameterRange range, parse_range(options.vary, names));
  TIDELINE_TRY(const std::vector<double> loads, loads_of(options.question.loads, names.nodes));
  TIDELINE_TRY(PlanInputs inputs, inputs_of(context, options, idle));
  use_measured_power(idle, inputs);
  PlanRequest request{.cost = inputs.cost(idle), .question = options.question.question, .cancel = context.interrupted};
  std::vector<std::string> blocks;
  for (const BlockProfile& block : inputs.by_node[0]->blocks) blocks.push_back(block.name);
  TIDELINE_TRY(request.question.keep_on_source, blocks_to_keep(options.question.keep_on_source, blocks));
  TIDELINE_TRY(const Variation variation, vary_model(request, loads, {.range = range, .points = options.points}, options.planner,
                                                     StepBar(context).control()));
  print_input_notes(context, inputs);
  const Profile& profile = *inputs.by_node[0];
  const std::string note = fmt::format("{}, measured on {}: {}. Everything else as in {}.", profile.model_name, profile.host,
                                       format_millis(profile.whole), std::filesystem::path(options.cluster).filename().string());
  return print_variation(context, variation, {options.out, options.title, note});
}

Status vary_file(const Context& context, const SweepOptions& options) {
  TIDELINE_TRY(const Table table, read_table(options.table));
  TIDELINE_TRY(const ParameterRange range, parse_range(options.vary, names_of(table)));
  TIDELINE_TRY(const std::vector<double> loads, loads_of(options.question.loads, table.devices));
  Question question = options.question.question;
  if (question.tolerance)
    return Error{ErrorCode::kInvalidArgument,
                 "--tolerance needs a MODEL: a table says of its codecs how much accuracy they lose"};
  std::vector<std::string> ops;
  for (const std::uint32_t op : table.order) ops.push_back(table.op_names[op]);
  TIDELINE_TRY(question.keep_on_source, blocks_to_keep(options.question.keep_on_source, ops));
  TIDELINE_TRY(const Variation variation, vary_table(table, loads, question, {.range = range, .points = options.points},
                                                     options.planner, StepBar(context).control()));
  const std::string note = fmt::format("Everything else as in {}.", std::filesystem::path(options.table).filename().string());
  return print_variation(context, variation, {options.out, options.title, note});
}

Status sweep(const Context& context, const SweepOptions& options) {
  const bool is_table = !options.table.empty();
  const bool has_model = !options.inputs.model.model.empty() || !options.inputs.profiles.empty() || !options.cluster.empty() ||
                         !options.slowdown.empty();
  if (is_table && has_model) return Error{ErrorCode::kInvalidArgument, "sweep either a MODEL or a --table, not both"};
  if (!options.vary.empty()) return is_table ? vary_file(context, options) : vary_profiled(context, options);
  if (options.question.is_given || !options.question.loads.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "the sweep over the bandwidth of every link is planned for latency: with --objective, --limit, --keep-on-source "
                 "or --load say what to change, as in --vary links:bandwidth=1..100Mbit/s"};
  report::SweepFigure figure;
  TIDELINE_TRY(const Sweep result,
               options.table.empty() ? sweep_profiled(context, options, figure) : sweep_file(context, options, figure));
  if (!options.title.empty()) figure.title = options.title;
  if (!options.out.empty()) TIDELINE_CHECK_OK(write_files(options, result, figure));
  if (context.output == Output::kJson)
    fmt::print("{}\n", to_json(result).dump(-1, ' ', false, Json::error_handler_t::replace));
  else
    print_table(context, stretch_table(result));
  if (is_prose(context)) fmt::print("\n{}\n", summary(result));
  if (!options.out.empty() && !context.quiet)
    fmt::print(stderr, "wrote {0}/sweep.svg, {0}/sweep.csv and {0}/sweep.json\n", options.out);
  return {};
}

}  // namespace

void add_sweep_command(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("sweep", "Show where the layers run and what that costs, against bandwidth or any other number");
  const auto options = std::make_shared<SweepOptions>();
  add_model_options(*command, options->inputs.model);
  command->get_option("model")->required(false)->description(
      "An .onnx file or a network of `tideline zoo`; alexnet when left out");
  command->add_option("--cluster", options->cluster, "Nodes with their slowdown, and round-trip times; bandwidths are swept")
      ->type_name("FILE");
  command
      ->add_option(
          "--slowdown", options->slowdown,
          "Devices as factors on the measured times, from the sensor up; without: 40,2.67,1,0.0267, the paper's four devices")
      ->type_name("F,F,..")
      ->excludes("--cluster");
  command->add_option("--devices", options->devices, "Their names")->type_name("NAME,..")->excludes("--cluster");
  command->add_option("--rtt", options->rtt, "Round-trip time of every link")
      ->capture_default_str()
      ->type_name("TIME")
      ->excludes("--cluster");
  command
      ->add_option("--input-bytes", options->input_bytes,
                   "Size of what is sent when everything runs above, instead of the measured one")
      ->type_name("SIZE");
  add_profile_options(*command, options->inputs);
  command->add_option("--table", options->table, "Sweep a table of measured times instead (docs/formats/table.md)")
      ->type_name("FILE");
  command->add_option("--planner", options->planner, "One of " + planner_names())->type_name("NAME");
  command->add_option("--from", options->from, "Lowest bandwidth")->type_name("RATE")->capture_default_str();
  command->add_option("--to", options->to, "Highest bandwidth")->type_name("RATE")->capture_default_str();
  command
      ->add_option(
          "--vary", options->vary,
          "Instead of the bandwidth of every link, one number of --cluster or --table, and how the plan of now would fare: "
          "link:A-B:bandwidth, link:A-B:rtt, links:bandwidth, node:N:slowdown, load:N, deadline, limit:energy, ...")
      ->type_name("WHAT=FROM..TO")
      ->excludes("--from")
      ->excludes("--to");
  add_question_options(*command, options->question);
  command->add_option("--points", options->points, "Values between them, evenly on a logarithmic axis")->capture_default_str();
  command->add_option("--out", options->out, "Folder for sweep.svg, sweep.csv and sweep.json")->type_name("DIR");
  command->add_option("--title", options->title, "Title of the figure");
  add_output_option(*command, context, true);
  command->footer(
      "Without a cluster, four devices stand for AAIoT's: this host is the desktop PC (i7-6700, about 80 GFLOP/s), a Raspberry "
      "Pi 3\n"
      "is 40 times slower, the mobile PC 2.67 times, and the server's GPU 37.5 times faster (2, 30, 80 and 3000 GFLOP/s).\n\n"
      "Examples:\n"
      "  tideline sweep --out figures                                AAIoT's Figure 3 on the zoo's AlexNet\n"
      "  tideline sweep det.onnx --config ocr.yaml --input photo.jpg --cluster home.yaml --out figures\n"
      "  tideline sweep squeezenet --slowdown 8,2,1 --devices camera,gateway,server --rtt 4ms\n"
      "  tideline sweep --table examples/tables/alexnet.json --from 1Mbit/s --to 1Gbit/s --points 31\n"
      "  tideline sweep --profile det.profile.json --cluster home.yaml --vary link:camera-gateway:bandwidth=1..100Mbit/s\n"
      "  tideline sweep --profile det.profile.json --cluster home.yaml --vary load:server=0..0.9 --out figures\n"
      "  tideline sweep --table examples/tables/site.json --vary deadline=20..500ms --objective energy -o csv");
  on_run(*command, context, [&context, options] { return sweep(context, *options); });
}

}  // namespace tideline::app
