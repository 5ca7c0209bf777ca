// `tideline plan --table`: the abstract instance of version 1.
#pragma once

#include <string>

#include "command.h"
#include "planner/table.h"

namespace tideline::app {

// Plans the table for latency and prints the answer with every candidate.
Status plan_table_file(const Context& context, const Table& table, const std::string& planner, bool with_pairs);

}  // namespace tideline::app
