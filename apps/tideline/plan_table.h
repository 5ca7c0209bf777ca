// `tideline plan --table`: the abstract instance.
#pragma once

#include <string>

#include "command.h"

namespace tideline::app {

// Plans the table of a file and prints the answer with every candidate.
Status plan_table_file(const Context& context, const std::string& path, const std::string& planner, bool with_pairs);

}  // namespace tideline::app
