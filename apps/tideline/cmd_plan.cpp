// tideline plan: where each block should run, and why.
#include <algorithm>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "cluster/routes.h"
#include "commands.h"
#include "front_files.h"
#include "model_options.h"
#include "plan_print.h"
#include "plan_question.h"
#include "plan_table.h"
#include "plan_walks.h"
#include "platform/files.h"
#include "session/plan_figures.h"
#include "session/source.h"

namespace tideline::app {
namespace {

struct Options {
  PlanInputArguments inputs;
  std::string cluster;
  std::string table;
  std::string planner = "auto";
  std::string plan_out;
  std::string result_to;  // empty: the source
  bool pairs = false;
  QuestionArguments question;
};

// How busy the nodes are.
Result<std::vector<double>> loads_on(const Options& options, const Cluster& cluster) {
  return loads_of(options.question.loads, names_of(cluster).nodes);
}

Status print_notes(const Context& context, const Options& options, const Cluster& cluster, const PlanInputs& inputs) {
  note_made_up(context, inputs.made_up_inputs);
  if (context.quiet) return {};
  for (const std::string& note : inputs.notes) fmt::print(stderr, "note: {}\n", note);
  TIDELINE_TRY(const Routes routes, routes_of(cluster));
  for (const std::string& note : notes_on(cluster, routes)) fmt::print(stderr, "note: {}\n", note);
  if (!options.plan_out.empty()) fmt::print(stderr, "wrote {}\n", options.plan_out);
  return {};
}

Status plan_front_of(Context& context, const Options& options, const PlanRequest& request, PlanAnswer& answer) {
  if (options.pairs || !options.plan_out.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "--pareto gives many plans: leave --pairs and --plan-out out, and write the one you "
                 "choose with its values as limits"};
  auto front = plan_front(request);
  if (!front && front.error().code == ErrorCode::kInfeasible) return print_why_not(context, why_not(request));
  if (!front) return front.error();
  return print_front(context, request.question, *front, answer, options.question.out);
}

// The chosen plan on its site, and where its time (or energy) goes beside the others'.
Status draw(const Context& context, const Options& options, const PlanAnswer& answer) {
  const Cluster& cluster = *answer.cost->cluster;
  const auto shares = [&](const Estimate& estimate) {
    return answer.question.objective == Objective::kEnergy ? energy_shares(cluster, estimate) : time_shares(estimate);
  };
  std::vector<BarOf> bars;
  std::vector<const Plan*> drawn;
  bool has_chosen = false;
  for (const Candidate& candidate : answer.candidates) {
    // The best along a route is often one of the others.
    const bool is_known = std::any_of(drawn.begin(), drawn.end(), [&](const Plan* plan) {
      return plan->route == candidate.plan.route && plan->segments == candidate.plan.segments &&
             plan->exit == candidate.plan.exit && plan->codecs == candidate.plan.codecs;
    });
    if (is_known) continue;
    drawn.push_back(&candidate.plan);
    const std::string& why = candidate.ruled_out.empty() ? candidate.estimate.infeasible : candidate.ruled_out;
    bars.push_back({describe(answer, candidate), shares(candidate.estimate), why, is_chosen(answer, candidate)});
    has_chosen = has_chosen || bars.back().chosen;
  }
  if (!has_chosen) bars.push_back({"the plan of " + answer.chosen.plan.planner, shares(answer.chosen.estimate), "", true});
  return write_plan_figures(context, options.question.out,
                            site_figure(cluster, *answer.cost->profiles[0], answer.chosen.plan, answer.chosen.estimate),
                            bars_figure(answer.question.objective, std::move(bars)));
}

Status plan_model(Context& context, const Options& options) {
  if (options.cluster.empty())
    return Error{ErrorCode::kInvalidArgument, "say where the model can run: --cluster FILE (docs/formats/cluster.md)"};
  TIDELINE_TRY(Cluster idle, read_cluster(options.cluster));
  TIDELINE_TRY(const std::vector<double> loads, loads_on(options, idle));
  TIDELINE_TRY(PlanInputs inputs, load_plan_inputs(idle, options.inputs, StepBar(context).control()));
  use_measured_power(idle, inputs);
  const Cluster cluster = with_loads(idle, loads);
  if (!options.result_to.empty()) {
    TIDELINE_TRY(inputs.result_to, result_to_from(options.result_to));
  }
  PlanRequest request{.cost = inputs.cost(cluster), .question = options.question.question, .cancel = context.interrupted};
  std::vector<std::string> blocks;
  for (const BlockProfile& block : inputs.by_node[0]->blocks) blocks.push_back(block.name);
  TIDELINE_TRY(request.question.keep_on_source, blocks_to_keep(options.question.keep_on_source, blocks));
  PlanAnswer answer{.cost = &request.cost,
                    .question = request.question,
                    .input_name = inputs.input_name,
                    .made_up_inputs = inputs.made_up_inputs};
  if (!request.question.pareto.empty()) {
    TIDELINE_CHECK_OK(plan_front_of(context, options, request, answer));
    return print_notes(context, options, cluster, inputs);
  }
  auto chosen = run_planner(request, options.planner);
  // Of planners that look at some plans only, others may keep the limits.
  const bool is_exact = options.planner != "native" && options.planner != "edgent";
  if (!chosen && chosen.error().code == ErrorCode::kInfeasible && options.question.is_given && is_exact)
    return print_why_not(context, why_not(request));
  if (!chosen) return chosen.error();
  answer.chosen = std::move(*chosen);
  TIDELINE_TRY(answer.candidates, candidates(request));
  TIDELINE_TRY(std::vector<Candidate> routes, route_candidates(request));
  std::move(routes.begin(), routes.end(), std::back_inserter(answer.candidates));
  if (options.planner == "auto") {
    PlanRequest of_idle = request;
    of_idle.cost.cluster = &idle;
    TIDELINE_TRY(answer.what_if, would_win(of_idle, loads, answer.chosen, answer.candidates));
  }
  if (options.pairs) {
    TIDELINE_TRY(answer.pairs, best_pairs(request));
  }
  if (!options.plan_out.empty()) TIDELINE_CHECK_OK(write_file_atomic(options.plan_out, write_plan(answer.chosen.plan)));
  if (!options.question.out.empty()) TIDELINE_CHECK_OK(draw(context, options, answer));
  context.output == Output::kJson ? print_plan_json(answer) : print_plan_table(context, answer);
  return print_notes(context, options, cluster, inputs);
}

Status plan_table(Context& context, const Options& options) {
  TIDELINE_TRY(const Table table, read_table(options.table));
  if (table.version == 1 && !options.question.is_given && options.question.loads.empty())
    return plan_table_file(context, table, options.planner, options.pairs, options.question.out);
  if (options.pairs)
    return Error{ErrorCode::kUnsupported,
                 "--pairs lists the best cuts of a table of version 1, planned for latency; leave it out here"};
  return plan_walks(context, table, options.question, options.planner);
}

Status plan(Context& context, const Options& options) {
  const bool has_model = !options.inputs.model.model.empty() || !options.inputs.profiles.empty() || !options.cluster.empty();
  if (options.table.empty()) return plan_model(context, options);
  if (has_model) return Error{ErrorCode::kInvalidArgument, "plan either a MODEL or a --table, not both"};
  if (options.question.question.tolerance)
    return Error{ErrorCode::kInvalidArgument,
                 "--tolerance needs a MODEL: a table says of its codecs how much accuracy they lose"};
  if (!options.result_to.empty())
    return Error{ErrorCode::kInvalidArgument, "--result-to needs a MODEL: a table has its result_bytes, which may be 0"};
  if (!options.plan_out.empty()) return Error{ErrorCode::kInvalidArgument, "--plan-out needs a MODEL: a table has no plan file"};
  return plan_table(context, options);
}

}  // namespace

void add_plan_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("plan", "Find where each part of a model should run, and say why");
  const auto options = std::make_shared<Options>();
  add_model_options(*command, options->inputs.model);
  command->get_option("model")->required(false);
  command->add_option("--cluster", options->cluster, "The nodes and links (docs/formats/cluster.md)")->type_name("FILE");
  add_profile_options(*command, options->inputs);
  command->add_option("--planner", options->planner, "One of " + planner_names())->type_name("NAME");
  command->add_flag("--pairs,--all", options->pairs, "Also list the best cut for each two nodes");
  add_result_option(*command, options->result_to);
  command->add_option("--plan-out", options->plan_out, "Write the plan, for `tideline run --plan`")->type_name("FILE");
  command->add_option("--table", options->table, "Plan a table of measured times instead of a model (docs/formats/table.md)")
      ->type_name("FILE");
  add_question_options(*command, options->question);
  add_front_options(*command, options->question);
  add_output_option(*command, context, true);
  command->footer(
      "Every candidate is shown with its terms and with what would have to change for it to win (docs/algorithms/what-if.md); "
      "the\n"
      "answer is \"do not split\" when one node running everything is best.\n"
      "MODEL may be left out when every node has a profile. No placement fits the memory limits: exit code 4.\n\n"
      "Examples:\n"
      "  tideline plan det.onnx --config ocr.yaml --input photo.jpg --cluster home.yaml --plan-out det.plan.json\n"
      "  tideline plan --profile det.profile.json --cluster home.yaml -o json\n"
      "  tideline plan det.onnx --profile camera=pi.profile.json --profile server=xeon.profile.json --cluster home.yaml\n"
      "  tideline plan --profile det.profile.json --cluster home.yaml --out figures      (site.svg, bars.svg)\n"
      "  tideline plan --profile det.profile.json --cluster home.yaml --tolerance 0.01 --plan-out det.plan.json\n"
      "  tideline plan branchy-alexnet.onnx --config branchy-alexnet.yaml --cluster home.yaml --objective accuracy --limit "
      "latency=10ms\n"
      "  tideline plan --table examples/tables/alexnet.json\n"
      "  tideline plan --table examples/tables/site.json --objective energy --limit latency=200ms\n"
      "  tideline plan --table examples/tables/site.json --pareto latency,energy,accuracy");
  on_run(*command, context, [&context, options] { return plan(context, *options); });
}

}  // namespace tideline::app
