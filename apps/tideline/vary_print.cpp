#include "vary_print.h"

#include <cmath>

#include <fmt/format.h>

#include "platform/files.h"
#include "report/table.h"

namespace tideline::app {
namespace {

report::Table table_of(const Variation& variation) {
  const std::string unit(key_of(variation.objective));
  const std::string value_unit(unit_of(variation.parameter));
  report::Table table({{"from", "from " + value_unit},
                       {"to", "to " + value_unit},
                       {std::string(to_string(variation.objective)), unit + "_from"},
                       {"", unit + "_to"},
                       {"the plan of now", "nominal_" + unit + "_to"},
                       {"plan", "plan", report::Table::kLeft}});
  const auto at = [&](double value) {
    return report::Table::Cell(format_value(variation.parameter, value), unit_factor(variation.parameter) * value);
  };
  const auto cost = [&](double value) {
    return report::Table::Cell(std::isfinite(value) ? format_value(variation.objective, value) : "-", value);
  };
  for (const VariationStretch& stretch : stretches(variation)) {
    const VariationPoint& first = variation.points[stretch.first];
    const VariationPoint& last = variation.points[stretch.last];
    table.add({at(first.at), at(last.at), cost(first.best), cost(last.best), cost(last.nominal),
               first.plan.empty() ? "none keeps the limits" : first.plan});
  }
  return table;
}

}  // namespace

Status print_variation(const Context& context, const Variation& variation, const VaryFiles& files) {
  if (!files.folder.empty()) {
    report::SweepFigure figure = variation_figure(variation);
    if (!files.title.empty()) figure.title = files.title;
    figure.note = files.note;
    TIDELINE_CHECK_OK(make_folders(files.folder));
    TIDELINE_CHECK_OK(write_file_atomic(files.folder + "/sweep.csv", variation_csv(variation)));
    TIDELINE_CHECK_OK(write_file_atomic(files.folder + "/sweep.json", variation_json(variation) + "\n"));
    TIDELINE_CHECK_OK(write_file_atomic(files.folder + "/sweep.svg", render(figure)));
  }
  if (context.output == Output::kJson)
    fmt::print("{}\n", variation_json(variation));
  else
    print_table(context, table_of(variation));
  if (is_prose(context)) fmt::print("\n{}\n", summary_of(variation));
  if (!files.folder.empty() && !context.quiet)
    fmt::print(stderr, "wrote {0}/sweep.svg, {0}/sweep.csv and {0}/sweep.json\n", files.folder);
  return {};
}

}  // namespace tideline::app
