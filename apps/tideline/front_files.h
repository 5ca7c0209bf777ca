// What `plan --out DIR` writes: of a plan site.svg and bars.svg, of a trade-off (--pareto) front.csv, front.json and front.svg.
#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "planner/question.h"
#include "report/bars_figure.h"
#include "report/site_figure.h"

namespace tideline::app {

struct FrontFiles {
  std::string title;               // of the figure: what was planned
  std::vector<std::string> names;  // of each plan, in the order of the front
  std::vector<Values> values;
  std::string csv;
  std::string json;
};
// Both make the folder when it is not there, and say on standard error what they wrote.
Status write_plan_figures(const Context& context, const std::string& folder, const report::SiteFigure& site,
                          const report::BarsFigure& bars);
Status write_front(const Context& context, const std::string& folder, const Question& question, const FrontFiles& files);

}  // namespace tideline::app
