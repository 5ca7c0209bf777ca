#include "front_files.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "platform/files.h"
#include "report/front_figure.h"

namespace tideline::app {
namespace {

// In a unit that makes the numbers short.
struct Shown {
  std::string label;
  double factor = 1;
};

Shown shown(Objective objective, const std::vector<Values>& values) {
  double largest = 0;
  for (const Values& value : values) largest = std::max(largest, value.of(objective));
  switch (objective) {
    case Objective::kLatency: return {"latency (ms)"};
    case Objective::kPeriod: return {"period (ms)"};
    case Objective::kEnergy: return largest < 1 ? Shown{"energy (mJ)", 1e3} : Shown{"energy (J)"};
    case Objective::kUpload: return largest < 1e6 ? Shown{"upload (kB)", 1e-3} : Shown{"upload (MB)", 1e-6};
    case Objective::kAccuracy: return {"accuracy"};
  }
  return {};
}

report::FrontFigure figure_of(const Question& question, const FrontFiles& files) {
  const Shown x = shown(question.pareto[0], files.values);
  const Shown y = shown(question.pareto[1], files.values);
  std::vector<std::string_view> quantities;
  for (const Objective objective : question.pareto) quantities.push_back(to_string(objective));
  report::FrontFigure figure{.title = files.title,
                             .subtitle = fmt::format("{} plan{} that no other beats in {}", files.values.size(),
                                                     files.values.size() == 1 ? "" : "s", fmt::join(quantities, ", ")),
                             .x = {.label = x.label},
                             .y = {.label = y.label}};
  // Where more is better the line would not be a lower bound.
  figure.joined =
      question.pareto.size() == 2 && question.pareto[0] != Objective::kAccuracy && question.pareto[1] != Objective::kAccuracy;
  for (std::size_t i = 0; i < files.values.size(); ++i) {
    std::vector<std::string> numbers;
    for (const Objective objective : question.pareto)
      numbers.push_back(objective == Objective::kAccuracy
                            ? fmt::format("accuracy {}", format_value(objective, files.values[i].of(objective)))
                            : format_value(objective, files.values[i].of(objective)));
    figure.points.push_back({.x = x.factor * files.values[i].of(question.pareto[0]),
                             .y = y.factor * files.values[i].of(question.pareto[1]),
                             .name = files.names[i],
                             .values = fmt::format("{}", fmt::join(numbers, ", "))});
  }
  std::stable_sort(figure.points.begin(), figure.points.end(),
                   [](const report::FrontPoint& left, const report::FrontPoint& right) { return left.x < right.x; });
  return figure;
}

Result<std::filesystem::path> made_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    return Error{ErrorCode::kInvalidArgument, fmt::format("--out: cannot make the folder '{}': {}", folder, failed.message())};
  return std::filesystem::path(folder);
}

}  // namespace

Status write_plan_figures(const Context& context, const std::string& folder, const report::SiteFigure& site,
                          const report::BarsFigure& bars) {
  TIDELINE_TRY(const std::filesystem::path path, made_folder(folder));
  TIDELINE_CHECK_OK(write_file_atomic((path / "site.svg").string(), render(site)));
  TIDELINE_CHECK_OK(write_file_atomic((path / "bars.svg").string(), render(bars)));
  if (!context.quiet) fmt::print(stderr, "wrote site.svg and bars.svg to {}\n", folder);
  return {};
}

Status write_front(const Context& context, const std::string& folder, const Question& question, const FrontFiles& files) {
  TIDELINE_TRY(const std::filesystem::path path, made_folder(folder));
  TIDELINE_CHECK_OK(write_file_atomic((path / "front.csv").string(), files.csv));
  TIDELINE_CHECK_OK(write_file_atomic((path / "front.json").string(), files.json + "\n"));
  TIDELINE_CHECK_OK(write_file_atomic((path / "front.svg").string(), render(figure_of(question, files))));
  if (!context.quiet) fmt::print(stderr, "wrote front.csv, front.json and front.svg to {}\n", folder);
  return {};
}

}  // namespace tideline::app
