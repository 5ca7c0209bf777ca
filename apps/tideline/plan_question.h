// The options of `plan` that say what to plan for: --objective, --limit, --keep-on-source, --pareto. What they say wrongly is a
// wrong command line.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.h"
#include "planner/question.h"
#include "planner/why_not.h"

namespace tideline::app {

struct QuestionArguments {
  Question question;
  bool is_given = false;       // any of the options
  std::string keep_on_source;  // "", "3", "input" or a block's name
  std::string out;             // the folder for the figures, or for the files of a trade-off
  struct Load {
    std::string node;
    double share = 0;
  };
  std::vector<Load> loads;
};
// --objective, --limit, --tolerance, --keep-on-source, --load.
void add_question_options(CLI::App& command, QuestionArguments& arguments);
// --pareto and --out.
void add_front_options(CLI::App& command, QuestionArguments& arguments);

// Exit code 4 with the limits that clash; with -o json they are in the answer.
Status print_why_not(Context& context, const Result<std::vector<LimitReport>>& report);

// How busy each of the nodes is, one share for each name; empty when nobody is. Their times are divided by 1 - load: the mean
// time in a server that is shared equally among what is in it (processor sharing, M/G/1; Kleinrock 1967). kInvalidArgument for a
// load of a node that is none.
Result<std::vector<double>> loads_of(const std::vector<QuestionArguments::Load>& loads, std::span<const std::string> names);

// How many first blocks stay on the source. kInvalidArgument when it is neither a number up to all blocks, nor `input`, nor a
// block.
Result<std::optional<std::uint32_t>> blocks_to_keep(const std::string& text, std::span<const std::string> names);

}  // namespace tideline::app
