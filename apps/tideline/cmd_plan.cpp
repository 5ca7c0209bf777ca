// tideline plan: where each block should run.
#include <memory>

#include "commands.h"
#include "plan_table.h"

namespace tideline::app {
namespace {

struct Options {
  std::string table;
  std::string planner = "auto";
};

Status plan(const Context& context, const Options& options) {
  if (options.table.empty()) return Error{ErrorCode::kInvalidArgument, "[plan] say what to plan: --table FILE"};
  return plan_table_file(context, options.table, options.planner);
}

}  // namespace

void add_plan_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("plan", "Find where each part of a model should run, and say why");
  const auto options = std::make_shared<Options>();
  command->add_option("--table", options->table, "Plan a table of measured times instead of a model (docs/formats/table.md)")
      ->type_name("FILE");
  command->add_option("--planner", options->planner, "auto, aaiot, exhaustive or native")->type_name("NAME");
  add_output_option(*command, context);
  command->footer(
      "Examples:\n  tideline plan --table examples/tables/alexnet.json\n  tideline plan --table t.json --planner exhaustive -o "
      "json");
  on_run(*command, context, [&context, options] { return plan(context, *options); });
}

}  // namespace tideline::app
