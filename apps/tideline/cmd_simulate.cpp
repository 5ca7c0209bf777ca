// tideline simulate: what the tasks of a schedule really see, once their requests queue.
#include <algorithm>
#include <cstdio>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "commands.h"
#include "platform/files.h"
#include "schedule/checker.h"
#include "schedule/extended/extended.h"
#include "schedule/queueing/queueing.h"
#include "schedule/result_file.h"
#include "session/source.h"
#include "sim/edge_queues.h"

namespace tideline::app {
namespace {

using namespace tideline::sim;

struct SimulateArguments {
  std::string file;
  std::string schedule;
  std::string arrivals;
  std::string sizes = "fixed";
  std::string link;
  std::string compute;
  std::string undeployed = "drop";
  SimulateOptions simulate;
};

constexpr std::size_t kTasksShown = 10;

double milliseconds(double seconds) { return 1e3 * seconds; }

struct Served {
  std::string model = "paper";
  std::string policy;
  std::vector<std::uint32_t> layers;
  std::string arrivals = "poisson";  // that its model counts on
  bool has_slices() const { return model != "paper"; }
  std::string_view adjective() const { return model == "paper" ? "paper's" : std::string_view(model); }
};

void add_slices(const schedule::Instance& instance, const std::vector<schedule::Grant>& grants, Served& served,
                SimulateOptions& simulate, const std::function<double(std::size_t)>& cloud_s) {
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
    const schedule::Grant& grant = grants[j];
    served.layers.push_back(!grant.admitted ? 0 : grant.layers == 0 ? kAllInCloud : grant.layers);
    simulate.reservations.push_back(
        {.bandwidth_mbit_s = grant.mbit_s_per_mb, .compute_gflop_s = grant.gflop_s_per_mb, .cloud_s = cloud_s(j)});
  }
}

// Reads the schedule, checks it against the instance in other code, and fills in the reservations of the models that have slices.
Result<Served> load_schedule(const schedule::Instance& instance, const std::string& path, SimulateOptions& simulate) {
  TIDELINE_TRY(const std::string text, read_source(path, limits::kInstanceFileBytesMax));
  if (schedule::is_queueing_result(text)) {
    TIDELINE_TRY(const schedule::QueueingSchedule result, schedule::parse_queueing(text, path));
    if (const auto checked = schedule::check_queueing(instance, result); !checked) return with_context(checked.error(), path);
    Served served{.model = "queueing", .policy = result.policy, .layers = {}};
    served.arrivals = to_string(result.options.arrivals);
    add_slices(instance, result.grants, served, simulate, [&](std::size_t j) {
      return schedule::cloud_service_s(instance, instance.tasks[j], result.grants[j].layers, result.options.cloud_gflop_s);
    });
    for (Reservation& slices : simulate.reservations) slices.cloud_queues = true;
    return served;
  }
  if (!schedule::is_extended_result(text)) {
    TIDELINE_TRY(schedule::Schedule result, schedule::parse_result(text, path));
    if (const auto checked = schedule::check_schedule(instance, result.layers); !checked)
      return with_context(checked.error(), path);
    return Served{.policy = result.policy, .layers = std::move(result.layers)};
  }
  TIDELINE_TRY(const schedule::ExtendedSchedule result, schedule::parse_extended(text, path));
  if (const auto checked = schedule::check_extended(instance, result); !checked) return with_context(checked.error(), path);
  Served served{.model = "extended", .policy = result.policy, .layers = {}};
  add_slices(instance, result.grants, served, simulate, [&](std::size_t j) {
    return schedule::cloud_time_s(instance, instance.tasks[j], result.grants[j].layers, result.cloud_gflop_s);
  });
  return served;
}

bool too_soft(const SimulatedLatencies& seen, const Served& served) {
  return served.model == "queueing" ? seen.over_limit_share > 0.01 : seen.tasks_over_limit > 0;
}

// What the schedule's own constraint promised, and whether it held: the sentence that the command exists for.
std::string verdict(const SimulatedLatencies& seen, const Served& served) {
  if (seen.tasks.empty()) return "no task is deployed";
  // Its promise is about the requests: of a few hundred of one task, more than a hundredth may be late by chance.
  if (served.model == "queueing" && seen.tasks_over_limit > 0 && !too_soft(seen, served))
    return fmt::format(
        "the queueing latency constraint holds: {:.2f} % of the requests are over their limit, of at most 1 % (in this sample of "
        "{} "
        "requests per task and server {} of {} tasks have more)",
        100 * seen.over_limit_share, seen.requests, seen.tasks_over_limit, seen.tasks.size());
  if (seen.tasks_over_limit == 0)
    return fmt::format("the {} latency constraint holds: no task has more than 1 % of its requests over its limit",
                       served.adjective());
  double wait = 0, compute = 0, link = 0, total = 0;
  for (const TaskLatency& task : seen.tasks) {
    wait += task.compute_wait_s;
    compute += task.compute_s;
    link += task.link_wait_s;
    total += task.mean_s;
  }
  return fmt::format(
      "the {} latency constraint is too soft: {} of {} tasks have more than 1 % of their requests over their limit. Of the mean "
      "latency {:.0f} % "
      "is waiting for the processor, {:.0f} % computing and {:.0f} % waiting for the link{}",
      served.adjective(), seen.tasks_over_limit, seen.tasks.size(), 100 * wait / total, 100 * compute / total, 100 * link / total,
      served.has_slices() ? "" : ", none of which it counts");
}

void print_json(const SimulatedLatencies& seen, const Served& served, const SimulateArguments& options) {
  nlohmann::ordered_json json{{"policy", served.policy},
                              {"model", served.model},
                              {"arrivals", options.arrivals},
                              {"sizes", options.sizes},
                              {"link", options.link},
                              {"compute", options.compute},
                              {"undeployed", options.undeployed},
                              {"period_s", options.simulate.period_s},
                              {"seed", options.simulate.seed},
                              {"requests_per_stream", seen.requests},
                              {"samples", seen.samples},
                              {"median_ms", milliseconds(seen.median_s)},
                              {"p99_ms", milliseconds(seen.p99_s)},
                              {"over_limit_share", seen.over_limit_share},
                              {"tasks_over_limit", seen.tasks_over_limit},
                              {"constraint_too_soft", too_soft(seen, served)},
                              {"verdict", verdict(seen, served)},
                              {"compute_load_max", seen.compute_load_max},
                              {"link_load_max", seen.link_load_max},
                              {"tasks", nlohmann::ordered_json::array()}};
  for (const TaskLatency& task : seen.tasks)
    json["tasks"].push_back({{"task", task.task},
                             {"layers", task.layers},
                             {"limit_ms", milliseconds(task.limit_s)},
                             {"requests", task.requests},
                             {"median_ms", milliseconds(task.median_s)},
                             {"p99_ms", milliseconds(task.p99_s)},
                             {"mean_ms", milliseconds(task.mean_s)},
                             {"over_limit_share", task.over_limit_share},
                             {"compute_wait_ms", milliseconds(task.compute_wait_s)},
                             {"compute_ms", milliseconds(task.compute_s)},
                             {"link_wait_ms", milliseconds(task.link_wait_s)},
                             {"transfer_ms", milliseconds(task.transfer_s)},
                             {"cloud_ms", milliseconds(task.cloud_s)}});
  fmt::print("{}\n", json.dump());
}

report::Table task_table(const std::vector<const TaskLatency*>& tasks) {
  report::Table table({{"task", "task"},
                       {"layers", "layers"},
                       {"limit", "limit_ms"},
                       {"median", "median_ms"},
                       {"p99", "p99_ms"},
                       {"over %", "over_limit_share"},
                       {"wait", "compute_wait_ms"},
                       {"compute", "compute_ms"},
                       {"link wait", "link_wait_ms"},
                       {"transfer", "transfer_ms"},
                       {"cloud", "cloud_ms"}});
  const auto time = [](double seconds) {
    return report::Table::Cell(fmt::format("{:.1f}", milliseconds(seconds)), milliseconds(seconds));
  };
  for (const TaskLatency* task : tasks)
    table.add({task->task,
               task->layers,
               time(task->limit_s),
               time(task->median_s),
               time(task->p99_s),
               {fmt::format("{:.1f}", 100 * task->over_limit_share), task->over_limit_share},
               time(task->compute_wait_s),
               time(task->compute_s),
               time(task->link_wait_s),
               time(task->transfer_s),
               time(task->cloud_s)});
  return table;
}

// For people the worst tasks, for programs all.
void print_answer(const Context& context, const SimulatedLatencies& seen, const Served& served) {
  std::vector<const TaskLatency*> worst;
  for (const TaskLatency& task : seen.tasks) worst.push_back(&task);
  if (is_csv(context)) return print_table(context, task_table(worst));
  fmt::print("policy      {} ({} model), {} tasks served\n", served.policy, served.adjective(), seen.tasks.size());
  fmt::print("requests    {} ({} per task and server)\n", seen.samples, seen.requests);
  fmt::print("latency     median {:.1f} ms, 99 % within {:.1f} ms\n", milliseconds(seen.median_s), milliseconds(seen.p99_s));
  fmt::print("over limit  {:.2f} % of the requests\n", 100 * seen.over_limit_share);
  fmt::print("load        fullest processor {:.1f} %, fullest link {:.1f} %\n", 100 * seen.compute_load_max,
             100 * seen.link_load_max);
  if (seen.compute_load_max >= 1 || seen.link_load_max >= 1)
    fmt::print("            a load of 100 % or more has no steady state: its queue grows as long as the run\n");
  fmt::print("verdict     {}\n", verdict(seen, served));
  if (worst.empty()) return;
  std::stable_sort(worst.begin(), worst.end(),
                   [](const TaskLatency* a, const TaskLatency* b) { return a->p99_s / a->limit_s > b->p99_s / b->limit_s; });
  worst.resize(std::min(kTasksShown, worst.size()));
  fmt::print("the {} slowest against their limits (ms)\n", worst.size());
  if (context.output == Output::kMarkdown) fmt::print("\n");
  print_table(context, task_table(worst), "  ");
}

Status run(Context& context, SimulateArguments options) {
  TIDELINE_TRY(const std::string text, read_source(options.file, limits::kInstanceFileBytesMax));
  TIDELINE_TRY(const schedule::Instance instance, schedule::parse_instance(text, source_name(options.file)));
  SimulateOptions simulate = options.simulate;
  TIDELINE_TRY(const Served served, load_schedule(instance, options.schedule, simulate));
  if (options.arrivals.empty()) options.arrivals = served.arrivals;
  if (options.link.empty()) options.link = served.has_slices() ? "reserved" : "shared";
  if (options.compute.empty()) options.compute = served.has_slices() ? "reserved" : "shared";
  simulate.arrivals = options.arrivals == "periodic" ? Arrivals::kPeriodic : Arrivals::kPoisson;
  simulate.sizes = options.sizes == "exponential" ? Sizes::kExponential : Sizes::kFixed;
  simulate.link = options.link == "reserved" ? Share::kReserved : Share::kShared;
  simulate.compute = options.compute == "reserved" ? Share::kReserved
                     : options.compute == "equal"  ? Share::kEqual
                                                   : Share::kShared;
  simulate.undeployed_upload = options.undeployed == "upload";
  simulate.cancel = context.interrupted;
  SimulatedLatencies seen;
  {
    Progress progress(context, "simulate", instance.servers.size());
    simulate.progress = [&](std::size_t done) { progress.advance_to(done, "servers"); };
    TIDELINE_TRY(seen, simulate_edge(instance, served.layers, simulate));
  }
  if (context.output == Output::kJson)
    print_json(seen, served, options);
  else
    print_answer(context, seen, served);
  return {};
}

}  // namespace

void add_simulate_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<SimulateArguments>();
  CLI::App& command =
      *app.add_subcommand("simulate", "A schedule in virtual time: the latency that each task really sees once requests queue");
  command.add_option("FILE", options->file, "The instance (docs/formats/instance.md)")->required();
  command.add_option("--schedule", options->schedule, "A result of tideline schedule for it (--out)")
      ->type_name("RESULT")
      ->required();
  const auto choice = [&](const char* flag, std::string& target, const char* help, std::vector<std::string> values) {
    command.add_option(flag, target, help)->check(CLI::IsMember(values))->type_name(values[0] + "|" + values[1]);
  };
  choice("--arrivals", options->arrivals, "When each task's requests come (default: as the schedule's model counts on; poisson)",
         {"poisson", "periodic"});
  choice("--sizes", options->sizes, "How much data a request has (default: fixed)", {"fixed", "exponential"});
  choice("--link", options->link, "One queue per uplink, or a slice per task (default: as the schedule's model says)",
         {"shared", "reserved"});
  choice("--compute", options->compute, "The same for the processors; equal: all batches there at once, at equal shares",
         {"shared", "reserved", "equal"});
  choice("--undeployed", options->undeployed, "What tasks that are not deployed do: nothing, or send their raw data",
         {"drop", "upload"});
  command.add_option("--period", options->simulate.period_s, "Seconds between two requests of a task on a server, on average")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  command.add_option("--requests", options->simulate.requests, "Per task and server")
      ->check(CLI::Range(1u, 10'000'000u))
      ->capture_default_str();
  command.add_option("--warm-up", options->simulate.warm_up, "Requests before them that do not count")
      ->check(CLI::Range(0u, 1'000'000u))
      ->capture_default_str();
  command.add_option("--seed", options->simulate.seed, "Of everything random")->capture_default_str();
  add_output_option(command, context, true);
  command.footer(
      "Examples:\n"
      "  tideline schedule city.json --policy price --out result.json\n"
      "  tideline simulate city.json --schedule result.json\n"
      "  tideline simulate city.json --schedule result.json --arrivals periodic --link reserved -o json\n"
      "  tideline schedule city.json --model extended --out safe.json && tideline simulate city.json --schedule safe.json "
      "--arrivals periodic\n");
  on_run(command, context, [&context, options] { return run(context, *options); });
}

}  // namespace tideline::app
