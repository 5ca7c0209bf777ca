// `tideline plan --table` for a table of version 2, and for any table that is asked for more than the least latency.
#pragma once

#include <string>

#include "command.h"
#include "plan_question.h"
#include "planner/table.h"

namespace tideline::app {

// Answers the question and prints it; without a plan it says which limits clash, and sets the exit code.
Status plan_walks(Context& context, const Table& table, const QuestionArguments& arguments, const std::string& planner);

}  // namespace tideline::app
