// `plan --pareto ... --out DIR`: the trade-off as front.csv, front.json and front.svg.
#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "planner/question.h"

namespace tideline::app {

struct FrontFiles {
  std::string title;               // of the figure: what was planned
  std::vector<std::string> names;  // of each plan, in the order of the front
  std::vector<Values> values;
  std::string csv;
  std::string json;
};
// Makes the folder when it is not there, and says on standard error what it wrote.
Status write_front(const Context& context, const std::string& folder, const Question& question, const FrontFiles& files);

}  // namespace tideline::app
