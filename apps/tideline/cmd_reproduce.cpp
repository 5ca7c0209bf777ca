// tideline reproduce: the experiments of the papers, on stated seeds.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "base/energy.h"
#include "base/units.h"
#include "commands.h"
#include "platform/files.h"
#include "report/table.h"
#include "reproduce/li2018_figures.h"
#include "reproduce/neurosurgeon.h"

namespace tideline::app {
namespace {

struct ReproduceOptions {
  std::string name;
  std::string out;
  std::uint32_t seeds = sim::kHeldOutSeedsMax;
  std::uint64_t profile_seed = sim::kCalibratedProfileSeed;
  std::vector<std::string> models;  // of neurosurgeon
};

constexpr std::string_view kNeurosurgeon = "neurosurgeon";

void print_neurosurgeon(const Context& context, const sim::Neurosurgeon& result, const std::string& folder) {
  report::Table table({{"model", "model", report::Table::kLeft},
                       {"network", "network", report::Table::kLeft},
                       {"phone", "phone_ms"},
                       {"server", "server_ms"},
                       {"best", "best_ms"},
                       {"cut", "cut", report::Table::kLeft},
                       {"energy: phone", "phone_j"},
                       {"server", "server_j"},
                       {"best", "best_j"},
                       {"cut", "energy_cut", report::Table::kLeft}});
  const auto time = [](double ms) { return report::Table::Cell(format_millis(Millis{ms}), ms); };
  const auto energy = [](double joules) { return report::Table::Cell(format_joules(joules), joules); };
  for (const sim::NeurosurgeonRow& row : result.rows)
    table.add({row.model, row.network, time(row.phone_ms), time(row.server_ms), time(row.best_ms), row.cut, energy(row.phone_j),
               energy(row.server_j), energy(row.best_j), row.energy_cut});
  print_table(context, table);
  fmt::print("what is found\n");
  for (const sim::Finding& finding : result.findings)
    fmt::print("  {} {}\n      {}\n", finding.holds ? "[yes]" : "[no] ", finding.statement, finding.measured);
  fmt::print("wrote {0}/neurosurgeon.csv, {0}/neurosurgeon.json, and .svg and .csv of {1} sweeps\n", folder,
             result.sweeps.size());
}

Status run_neurosurgeon(Context& context, const ReproduceOptions& options) {
  StepBar bar(context);
  sim::NeurosurgeonOptions wanted{.control = bar.control()};
  if (!options.models.empty()) wanted.models = options.models;
  TIDELINE_TRY(const sim::Neurosurgeon result, sim::reproduce_neurosurgeon(wanted));
  TIDELINE_CHECK_OK(make_folders(options.out));
  for (const sim::NeurosurgeonSweep& sweep : result.sweeps) {
    TIDELINE_CHECK_OK(write_file_atomic(options.out + "/" + sweep.file + ".svg", render(sweep.figure)));
    TIDELINE_CHECK_OK(write_file_atomic(options.out + "/" + sweep.file + ".csv", variation_csv(sweep.variation)));
  }
  TIDELINE_CHECK_OK(write_file_atomic(options.out + "/neurosurgeon.csv", sim::neurosurgeon_csv(result)));
  TIDELINE_CHECK_OK(write_file_atomic(options.out + "/neurosurgeon.json", sim::neurosurgeon_json(result)));
  if (context.output == Output::kJson)
    fmt::print("{}", sim::neurosurgeon_json(result));
  else
    print_neurosurgeon(context, result, options.out);
  return {};
}

void print_table(const sim::Figure& figure, const std::string& folder) {
  fmt::print("{}: deployed tasks, mean of the held-out seeds {}-{}\n", figure.name, sim::kHeldOutSeedFirst,
             sim::kHeldOutSeedFirst + figure.options.held_out_seeds - 1);
  // At most ten columns, the last one always.
  const std::size_t stride = (figure.x.size() + 9) / 10;
  const auto shown = [&](std::size_t i) { return (figure.x.size() - 1 - i) % stride == 0; };
  fmt::print("  {:<18}", figure.x_label.size() > 18 ? "arrived" : figure.x_label);
  for (std::size_t i = 0; i < figure.x.size(); ++i)
    if (shown(i)) fmt::print(" {:>6.0f}", figure.x[i]);
  fmt::print("\n");
  for (const sim::FigureSeries& series : figure.series) {
    const std::vector<double> mean = sim::means(series.held_out);
    fmt::print("  {:<18}", series.policy);
    for (std::size_t i = 0; i < mean.size(); ++i)
      if (shown(i)) fmt::print(" {:>6.1f}", mean[i]);
    fmt::print("\n");
  }
  fmt::print("what the held-out seeds say\n");
  for (const sim::Finding& finding : figure.findings)
    fmt::print("  {} {}\n      {}\n", finding.holds ? "[yes]" : "[no] ", finding.statement, finding.measured);
  fmt::print("wrote {0}/{1}.svg, {0}/{1}.csv, {0}/{1}.json\n", folder, figure.name);
}

Status run(Context& context, const ReproduceOptions& options) {
  if (options.name == kNeurosurgeon) return run_neurosurgeon(context, options);
  if (!options.models.empty()) return Error{ErrorCode::kInvalidArgument, "--models is of neurosurgeon: leave it out here"};
  sim::Figure figure;
  {
    Progress progress(context, options.name, 1000);
    TIDELINE_TRY(figure,
                 sim::reproduce_figure(options.name, {.tuning_seeds = std::min(options.seeds, sim::kTuningSeedsMax),
                                                      .held_out_seeds = options.seeds,
                                                      .profile_seed = options.profile_seed,
                                                      .cancel = context.interrupted,
                                                      .progress = [&](std::size_t done, std::size_t total) {
                                                        progress.advance_to(1000 * done / std::max<std::size_t>(1, total));
                                                      }}));
  }
  TIDELINE_CHECK_OK(make_folders(options.out));
  const std::string stem = options.out + "/" + figure.name;
  TIDELINE_CHECK_OK(write_file_atomic(stem + ".csv", sim::figure_csv(figure)));
  TIDELINE_CHECK_OK(write_file_atomic(stem + ".json", sim::figure_json(figure)));
  TIDELINE_CHECK_OK(write_file_atomic(stem + ".svg", sim::figure_svg(figure)));
  if (context.output == Output::kJson)
    fmt::print("{}", sim::figure_json(figure));
  else
    print_table(figure, options.out);
  return {};
}

std::string reproduce_footer() {
  std::string text = "Figures:\n";
  for (const sim::FigureEntry& figure : sim::figures()) text += fmt::format("  {:<14} {}\n", figure.name, figure.summary);
  text += fmt::format("  {:<14} {}\n", kNeurosurgeon, "Where the cut moves as the server's load and as the bandwidth grow");
  return text +
         "Seeds 1-10 were used for tuning, 101-120 had no part in it; the figure shows the latter.\n"
         "Examples:\n"
         "  tideline reproduce li2018-fig4a --out figures\n"
         "  tideline reproduce li2018-fig4b --out figures --seeds 5\n"
         "  tideline reproduce li2018-fig4a --out figures --profile-seed 7   (models that were not picked)\n"
         "  tideline reproduce neurosurgeon --out figures --models alexnet,squeezenet\n";
}

}  // namespace

void add_reproduce_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ReproduceOptions>();
  CLI::App& command =
      *app.add_subcommand("reproduce", "A figure of a paper, on stated seeds, with ours beside it: CSV, JSON and SVG");
  command.add_option("NAME", options->name, "Which figure; see the list below")->required();
  command.add_option("--out", options->out, "The folder to write to")->required();
  command.add_option("--seeds", options->seeds, "How many held-out seeds, and as many tuning seeds (at most 10)")
      ->check(CLI::Range(1u, sim::kHeldOutSeedsMax))
      ->capture_default_str();
  command.add_option("--profile-seed", options->profile_seed, "Of the ten models")->capture_default_str();
  command
      .add_option("--models", options->models,
                  "Of neurosurgeon: networks of `tideline zoo`; without: alexnet, vgg16, squeezenet, "
                  "mobilenet-v1")
      ->delimiter(',')
      ->type_name("NAME,...");
  add_output_option(command, context);
  command.footer(reproduce_footer());
  on_run(command, context, [&context, options] { return run(context, *options); });
}

}  // namespace tideline::app
