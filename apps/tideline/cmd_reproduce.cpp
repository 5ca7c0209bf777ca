// tideline reproduce: the experiments of the papers, on stated seeds.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "commands.h"
#include "platform/files.h"
#include "reproduce/li2018_figures.h"

namespace tideline::app {
namespace {

struct ReproduceOptions {
  std::string name;
  std::string out;
  std::uint32_t seeds = sim::kHeldOutSeedsMax;
  std::uint64_t profile_seed = sim::kCalibratedProfileSeed;
};

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
  return text +
         "Seeds 1-10 were used for tuning, 101-120 had no part in it; the figure shows the latter.\n"
         "Examples:\n"
         "  tideline reproduce li2018-fig4a --out figures\n"
         "  tideline reproduce li2018-fig4b --out figures --seeds 5\n"
         "  tideline reproduce li2018-fig4a --out figures --profile-seed 7   (models that were not picked)\n";
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
  add_output_option(command, context);
  command.footer(reproduce_footer());
  on_run(command, context, [&context, options] { return run(context, *options); });
}

}  // namespace tideline::app
