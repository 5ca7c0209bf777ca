// `tideline plan --table`: the abstract instance of version 1.
#pragma once

#include <string>

#include "command.h"
#include "planner/table.h"

namespace tideline::app {

// Plans the table for latency and prints the answer with every candidate; draws it too when `folder` is not empty.
Status plan_table_file(const Context& context, const Table& table, const std::string& planner, bool with_pairs,
                       const std::string& folder);

}  // namespace tideline::app
