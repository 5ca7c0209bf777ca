// The options of `plan` that say what to plan for: --objective, --limit, --keep-on-source, --pareto. What they say wrongly is a
// wrong command line.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "command.h"
#include "planner/question.h"

namespace tideline::app {

struct QuestionArguments {
  Question question;
  bool is_given = false;       // any of the options
  std::string keep_on_source;  // "", "3", "input" or a block's name
};
void add_question_options(CLI::App& command, QuestionArguments& arguments);

// How many first blocks stay on the source. kInvalidArgument when it is neither a number up to all blocks, nor `input`, nor a
// block.
Result<std::optional<std::uint32_t>> blocks_to_keep(const std::string& text, std::span<const std::string> names);

}  // namespace tideline::app
