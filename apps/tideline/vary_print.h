// `sweep --vary`: how a sweep over any number of the problem is shown, and its files.
#pragma once

#include <string>

#include "command.h"
#include "session/vary.h"

namespace tideline::app {

struct VaryFiles {
  std::string folder;  // empty: none
  std::string title;   // empty: the figure's own
  std::string note;
};
// Also writes sweep.svg, sweep.csv and sweep.json.
Status print_variation(const Context& context, const Variation& variation, const VaryFiles& files);

}  // namespace tideline::app
