// tideline schedule: which of many tasks fit on the edge servers, and how deep each one goes.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "commands.h"
#include "platform/files.h"
#include "schedule/certify.h"
#include "schedule/dual.h"
#include "schedule/extended/extended.h"
#include "schedule/generator.h"
#include "schedule/measured/from_profiles.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"
#include "schedule/queueing/queueing.h"
#include "schedule/result_file.h"
#include "session/source.h"

namespace tideline::app {
namespace {

using namespace tideline::schedule;

struct ScheduleOptions {
  std::string file;
  std::string policy = "price";
  std::uint64_t seed = 1;
  double time_limit_s = 5;
  std::uint64_t steps = 0;
  unsigned threads = 0;
  bool bound = false;
  std::string out;

  std::string model = "paper";
  double cloud_gflop_s = ExtendedOptions{}.cloud_gflop_s;
  std::string arrivals = "poisson";
  double late_share = QueueingOptions{}.late_share;

  // Online policies.
  std::string history;
  std::string events;
  std::uint32_t horizon = 0;
  std::uint32_t evictions_max = kNoLimit;

  GeneratorOptions generator;
  std::string generate;
  std::vector<std::string> models;
  double compression = 1;
  std::uint32_t skip_tasks = 0;
  std::vector<std::string> profiles;
  std::string cluster;

  std::string certify;
  std::string instance;
};

constexpr double kTimeLimitMaxSeconds = 7 * 24 * 3600;
constexpr std::size_t kServersShown = 12;

Result<Instance> load_instance(const std::string& path) {
  TIDELINE_TRY(const std::string text, read_source(path, limits::kInstanceFileBytesMax));
  return parse_instance(text, source_name(path));
}

struct Spread {
  double least = 0, mean = 0, most = 0;
};

Spread spread_of(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {*least, std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()), *most};
}

std::string bar(double share, std::size_t width) {
  const auto filled = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  return std::string(filled, '#') + std::string(width - filled, '.');
}

void print_utilisation(const CheckReport& report) {
  const auto line = [](const char* name, const Spread& spread) {
    fmt::print("  {:<10} mean {:5.1f} %   least {:5.1f} %   most {:5.1f} %\n", name, 100 * spread.mean, 100 * spread.least,
               100 * spread.most);
  };
  fmt::print("utilisation of the servers\n");
  line("bandwidth", spread_of(report.bandwidth_utilisation));
  line("compute", spread_of(report.compute_utilisation));
  std::vector<std::size_t> fullest(report.bandwidth_utilisation.size());
  std::iota(fullest.begin(), fullest.end(), std::size_t{0});
  const auto fullness = [&](std::size_t i) { return std::max(report.bandwidth_utilisation[i], report.compute_utilisation[i]); };
  std::stable_sort(fullest.begin(), fullest.end(), [&](std::size_t a, std::size_t b) { return fullness(a) > fullness(b); });
  const std::size_t shown = std::min(kServersShown, fullest.size());
  if (shown < fullest.size()) fmt::print("  the {} fullest of {}\n", shown, fullest.size());
  for (std::size_t n = 0; n < shown; ++n) {
    const std::size_t i = fullest[n];
    fmt::print("  server {:<5} bandwidth {} {:5.1f} %   compute {} {:5.1f} %\n", i, bar(report.bandwidth_utilisation[i], 20),
               100 * report.bandwidth_utilisation[i], bar(report.compute_utilisation[i], 20),
               100 * report.compute_utilisation[i]);
  }
}

void print_depths(const CheckReport& report) {
  fmt::print("layers on the edge\n");
  const std::uint32_t most = *std::max_element(report.depth_histogram.begin(), report.depth_histogram.end());
  for (std::size_t k = 0; k < report.depth_histogram.size(); ++k) {
    const std::uint32_t count = report.depth_histogram[k];
    if (count == 0) continue;
    fmt::print("  {:<8} {:>7} {}\n", k == 0 ? "not" : fmt::format("{}", k), count,
               std::string(most == 0 ? 0 : (std::uint64_t{count} * 40 + most - 1) / most, '#'));
  }
}

// Who is deployed and how deep.
report::Table task_table(const std::vector<std::uint32_t>& layers) {
  report::Table table({{"task", "task"}, {"layers on the edge", "layers"}});
  for (std::size_t j = 0; j < layers.size(); ++j) table.add({j, layers[j]});
  return table;
}

report::Table task_table(const std::vector<Grant>& grants) {
  report::Table table({{"task", "task"},
                       {"admitted", "admitted", report::Table::kLeft},
                       {"layers on the edge", "layers"},
                       {"Mbit/s per MB", "mbit_s_per_mb"},
                       {"GFLOP/s per MB", "gflop_s_per_mb"}});
  const auto number = [](double value) { return report::Table::Cell(fmt::format("{:.3g}", value), value); };
  for (std::size_t j = 0; j < grants.size(); ++j)
    table.add({j, grants[j].admitted ? "yes" : "no", grants[j].layers, number(grants[j].mbit_s_per_mb),
               number(grants[j].gflop_s_per_mb)});
  return table;
}

void print_answer(const Context& context, const CheckedSchedule& answer, std::size_t tasks) {
  const Schedule& schedule = answer.schedule;
  if (is_csv(context)) return print_table(context, task_table(schedule.layers));
  fmt::print("policy      {}\n", schedule.policy);
  fmt::print("deployed    {} of {} tasks, in {:.2f} s (checked)\n", schedule.deployed(), tasks,
             std::chrono::duration<double>(answer.elapsed).count());
  if (!schedule.chosen.empty()) fmt::print("chosen      {}\n", schedule.chosen);
  if (!schedule.curve.empty())
    fmt::print("on the way  {} evicted, {} times a deployed task changed its k, at most {} deployed at once\n", schedule.evicted,
               schedule.recut, *std::max_element(schedule.curve.begin(), schedule.curve.end()));
  if (schedule.multipliers.bandwidth.empty()) {
    fmt::print("bound       none: this policy gives none; add --bound\n");
  } else {
    fmt::print("bound       {:.3f}; in whole tasks no schedule deploys more than {}\n", schedule.upper_bound, schedule.tasks_max);
    fmt::print("of bound    {}\n",
               schedule.deployed() == schedule.tasks_max
                   ? "all of it: proven optimal"
                   : fmt::format("{:.2f} %", 100 * schedule.deployed() / std::max(schedule.upper_bound, 1e-9)));
  }
  print_utilisation(answer.report);
  print_depths(answer.report);
}

// What makes the paper's problem of another model's; empty for the paper's own.
using Reduce = std::function<Result<Instance>(const Instance&)>;

// The events of --events, or all tasks in order; the history in the same model as the instance.
Result<CheckedSchedule> decide_online(Context& context, const ScheduleOptions& options, const Instance& instance,
                                      const Reduce& reduce) {
  std::vector<Event> events = all_arrive(instance);
  if (!options.events.empty()) {
    TIDELINE_TRY(const std::string text, read_source(options.events, limits::kInstanceFileBytesMax));
    TIDELINE_TRY(events, parse_events(text, source_name(options.events), instance));
  }
  Instance history;
  if (!options.history.empty()) {
    TIDELINE_TRY(history, load_instance(options.history));
    if (reduce) {
      TIDELINE_TRY(history, reduce(history));
    }
  }
  const OnlineRequest request{.instance = instance,
                              .history = options.history.empty() ? nullptr : &history,
                              .horizon = options.horizon,
                              .evictions_max = options.evictions_max,
                              .cancel = context.interrupted};
  const auto start = std::chrono::steady_clock::now();
  Progress progress(context, options.policy, events.size());
  const std::size_t step = std::max<std::size_t>(1, events.size() / 100);
  TIDELINE_TRY(OnlineRun run, run_online(options.policy, request, events, {.progress = [&](std::size_t done) {
                                           if (done % step == 0) progress.advance_to(done);
                                         }}));
  CheckedSchedule answer{.schedule = std::move(run.schedule), .elapsed = std::chrono::steady_clock::now() - start};
  auto report = check_schedule(instance, answer.schedule.layers);
  if (!report)
    return Error{ErrorCode::kInternal,
                 fmt::format("[schedule] the answer of {} is wrong: {}", options.policy, report.error().message)};
  answer.report = std::move(report).value();
  return answer;
}

Result<CheckedSchedule> decide_offline(Context& context, const ScheduleOptions& options, const Instance& instance) {
  for (const std::string* given : {&options.history, &options.events})
    if (!given->empty())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[schedule] --history and --events are for online policies; {} is none", options.policy)};
  PolicyOptions policy{
      .seed = options.seed, .search_steps = options.steps, .threads = options.threads, .cancel = context.interrupted};
  policy.time_limit = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(options.time_limit_s));
  Progress progress(context, options.policy, 100);
  policy.progress = [&](std::uint32_t deployed, double share) {
    progress.advance_to(static_cast<std::size_t>(100 * std::clamp(share, 0.0, 1.0)), fmt::format("{} deployed", deployed));
  };
  return run_policy(options.policy, instance, policy);
}

Result<CheckedSchedule> decide(Context& context, const ScheduleOptions& options, const Instance& instance, const Reduce& reduce) {
  return find_online_policy(options.policy) == nullptr ? decide_offline(context, options, instance)
                                                       : decide_online(context, options, instance, reduce);
}

void print_admitted(const ExtendedReport& report, std::size_t tasks, std::chrono::nanoseconds elapsed, double upper_bound) {
  fmt::print("admitted    {} of {} tasks, in {:.2f} s (checked)\n", report.admitted, tasks,
             std::chrono::duration<double>(elapsed).count());
  fmt::print("            {} with layers on the edge, {} all in the cloud, {} refused\n", report.deployed,
             report.admitted - report.deployed, tasks - report.admitted);
  if (upper_bound > 0)
    fmt::print("bound       {:.3f}: no schedule admits more ({:.2f} % reached)\n", upper_bound,
               100 * report.admitted / upper_bound);
  fmt::print("fullest     bandwidth {:.1f} %, compute {:.1f} %\n", 100 * report.bandwidth_utilisation_max,
             100 * report.compute_utilisation_max);
}

Status run_extended(Context& context, const ScheduleOptions& options, const Instance& instance) {
  if (options.policy.starts_with("fixed"))
    return Error{ErrorCode::kInvalidArgument, "[schedule] --model extended has no fixed k: its choices differ from task to task"};
  const ExtendedOptions extended{.cloud_gflop_s = options.cloud_gflop_s};
  TIDELINE_TRY(const Reduction reduction, reduce_extended(instance, extended));
  TIDELINE_TRY(const CheckedSchedule answer,
               decide(context, options, reduction.instance, [&](const Instance& past) -> Result<Instance> {
                 TIDELINE_TRY(Reduction reduced, reduce_extended(past, extended));
                 return std::move(reduced.instance);
               }));
  ExtendedSchedule schedule = reduction.expand(instance, answer.schedule, extended);
  schedule.policy = options.policy;
  const auto report = check_extended(instance, schedule);
  if (!report)
    return Error{ErrorCode::kInternal,
                 fmt::format("[schedule] the answer of {} is wrong: {}", options.policy, report.error().message)};
  if (!options.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(options.out, write_extended(schedule)));
  if (context.output == Output::kJson) {
    fmt::print("{}", write_extended(schedule));
    return {};
  }
  if (is_csv(context)) {
    print_table(context, task_table(schedule.grants));
    return {};
  }
  fmt::print("policy      {} (extended model, cloud {:.0f} GFLOP/s per task)\n", schedule.policy, schedule.cloud_gflop_s);
  print_admitted(*report, instance.tasks.size(), answer.elapsed, schedule.upper_bound);
  return {};
}

Status run_queueing(Context& context, const ScheduleOptions& options, const Instance& instance) {
  if (options.policy.starts_with("fixed"))
    return Error{ErrorCode::kInvalidArgument, "[schedule] --model queueing has no fixed k: its choices differ from task to task"};
  if (!options.events.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "[schedule] --events belongs to the paper's and the extended model: leave it out with --model queueing"};
  const QueueingOptions queueing{
      .arrivals = options.arrivals == "periodic" ? RequestArrivals::kPeriodic : RequestArrivals::kPoisson,
      .cloud_gflop_s = options.cloud_gflop_s,
      .late_share = options.late_share};
  TIDELINE_TRY(const QueueingReduction reduction, reduce_queueing(instance, queueing));
  CheckedSchedule answer;
  if (!reduction.tasks.empty()) {
    TIDELINE_TRY(answer, decide(context, options, reduction.instance, [&](const Instance& past) -> Result<Instance> {
                   TIDELINE_TRY(QueueingReduction reduced, reduce_queueing(past, queueing));
                   return std::move(reduced.instance);
                 }));
  }
  QueueingSchedule schedule = reduction.expand(instance, answer.schedule, queueing);
  schedule.policy = options.policy;
  const auto report = check_queueing(instance, schedule);
  if (!report)
    return Error{ErrorCode::kInternal,
                 fmt::format("[schedule] the answer of {} is wrong: {}", options.policy, report.error().message)};
  if (!options.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(options.out, write_queueing(schedule)));
  if (context.output == Output::kJson) {
    fmt::print("{}", write_queueing(schedule));
    return {};
  }
  if (is_csv(context)) {
    print_table(context, task_table(schedule.grants));
    return {};
  }
  fmt::print("policy      {} (queueing model, {} arrivals, cloud {:.0f} GFLOP/s per task)\n", schedule.policy, options.arrivals,
             options.cloud_gflop_s);
  print_admitted(*report, instance.tasks.size(), answer.elapsed, schedule.upper_bound);
  return {};
}

Status run_schedule(Context& context, const ScheduleOptions& options) {
  TIDELINE_TRY(const Instance instance, load_instance(options.file));
  if (options.model == "extended") return run_extended(context, options, instance);
  if (options.model == "queueing") return run_queueing(context, options, instance);
  TIDELINE_TRY(CheckedSchedule answer, decide(context, options, instance, {}));
  if (options.bound && answer.schedule.multipliers.bandwidth.empty()) {
    auto dual = solve_dual(instance, CutTable(instance), {.threads = options.threads, .cancel = context.interrupted});
    answer.schedule.multipliers = std::move(dual.multipliers);
    const Bound bound = bound_of(instance, answer.schedule.multipliers);
    answer.schedule.upper_bound = bound.upper_bound;
    answer.schedule.tasks_max = bound.tasks_max;
  }
  if (!options.out.empty()) TIDELINE_CHECK_OK(write_file_atomic(options.out, write_result(answer.schedule)));
  if (context.output == Output::kJson)
    fmt::print("{}", write_result(answer.schedule));
  else
    print_answer(context, answer, instance.tasks.size());
  return {};
}

Status run_generate(Context& context, const ScheduleOptions& options) {
  GeneratorOptions generator = options.generator;
  generator.kind = options.generate;
  generator.seed = options.seed;
  if (!options.models.empty() && generator.kind != "real")
    return Error{ErrorCode::kInvalidArgument, "[schedule] --models belongs to --generate real"};
  if (options.models.empty() && options.compression != 1)
    return Error{ErrorCode::kInvalidArgument, "[schedule] --compression is about the models of --models"};
  for (const std::string& path : options.models) {
    TIDELINE_TRY(const std::string text, read_source(path, limits::kConfigFileBytesMax));
    TIDELINE_TRY(TaskModel model, parse_inspected_model(text, source_name(path), options.compression));
    generator.models.push_back(std::move(model));
  }
  // More tasks leave the first ones as they are, so that what comes after them is a history of the same servers.
  if (options.skip_tasks > limits::kInstanceTasksMax || generator.tasks > limits::kInstanceTasksMax - options.skip_tasks)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[schedule] --tasks and --skip-tasks together must be at most {}", limits::kInstanceTasksMax)};
  generator.tasks += options.skip_tasks;
  TIDELINE_TRY(Instance instance, generate_instance(generator));
  if (options.skip_tasks > 0) instance = slice_tasks(instance, options.skip_tasks, instance.tasks.size() - options.skip_tasks);
  if (options.out.empty()) {
    fmt::print("{}", write_instance(instance));
    return {};
  }
  TIDELINE_CHECK_OK(write_file_atomic(options.out, write_instance(instance)));
  if (context.output == Output::kJson)
    fmt::print("{{\"kind\": \"{}\", \"servers\": {}, \"tasks\": {}, \"models\": {}}}\n", generator.kind, instance.servers.size(),
               instance.tasks.size(), instance.models.size());
  else
    fmt::print("{}: {} tasks of {} models on {} servers ({})\n", options.out, instance.tasks.size(), instance.models.size(),
               instance.servers.size(), generator.kind);
  return {};
}

Status run_from_profiles(const ScheduleOptions& options) {
  if (options.cluster.empty() || options.out.empty())
    return Error{ErrorCode::kInvalidArgument, "[schedule] --from-profiles needs --cluster FILE (the edge nodes) and --out FILE"};
  std::vector<Profile> profiles;
  for (const std::string& path : options.profiles) {
    TIDELINE_TRY(const std::string text, read_source(path, limits::kConfigFileBytesMax));
    TIDELINE_TRY(Profile profile, parse_profile(text, source_name(path)));
    profiles.push_back(std::move(profile));
  }
  TIDELINE_TRY(const Cluster cluster, read_cluster(options.cluster));
  TIDELINE_TRY(
      const Instance instance,
      instance_from_profiles(profiles, cluster,
                             {.servers = options.generator.servers, .tasks = options.generator.tasks, .seed = options.seed}));
  TIDELINE_CHECK_OK(write_file_atomic(options.out, write_instance(instance)));
  fmt::print(stderr, "{}: {} tasks of {} measured models on {} servers; work is in milliseconds of the profiled host\n",
             options.out, instance.tasks.size(), instance.models.size(), instance.servers.size());
  return {};
}

Status print_certificate(Context& context, const std::string& policy, std::string_view what, std::uint32_t count,
                         const Bound& bound) {
  const bool is_optimal = count == bound.tasks_max;
  if (context.output == Output::kJson) {
    fmt::print("{{\"certified\": true, \"policy\": {}, \"{}\": {}, \"upper_bound\": {}, \"tasks_max\": {}, \"optimal\": {}}}\n",
               nlohmann::json(policy).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), what, count,
               bound.upper_bound, bound.tasks_max, is_optimal);
    return {};
  }
  fmt::print("certified   {} tasks are {} and every constraint holds\n", count, what);
  fmt::print("bound       U(lambda) = {:.6f}: no schedule has more than {} tasks\n", bound.upper_bound, bound.tasks_max);
  fmt::print("so          {}\n", is_optimal ? "the schedule is optimal"
                                            : fmt::format("the schedule is within {:.2f} % of the best possible",
                                                          100 * (1 - count / std::max(bound.upper_bound, 1e-9))));
  return {};
}

Status run_certify(Context& context, const ScheduleOptions& options) {
  if (options.instance.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "[schedule] --certify RESULT needs --instance FILE, the instance that the result is for"};
  TIDELINE_TRY(const Instance instance, load_instance(options.instance));
  TIDELINE_TRY(const std::string text, read_source(options.certify, limits::kInstanceFileBytesMax));
  if (is_queueing_result(text)) {
    TIDELINE_TRY(const QueueingSchedule result, parse_queueing(text, source_name(options.certify)));
    const auto certificate = certify_queueing(instance, result);
    if (!certificate) return with_context(certificate.error(), options.certify);
    return print_certificate(context, result.policy, "admitted", result.admitted(), certificate->bound);
  }
  if (is_extended_result(text)) {
    TIDELINE_TRY(const ExtendedSchedule result, parse_extended(text, source_name(options.certify)));
    const auto certificate = certify_extended(instance, result);
    if (!certificate) return with_context(certificate.error(), options.certify);
    return print_certificate(context, result.policy, "admitted", result.admitted(), certificate->bound);
  }
  TIDELINE_TRY(const Schedule result, parse_result(text, options.certify));
  const auto certificate = certify(instance, result);
  if (!certificate) return with_context(certificate.error(), options.certify);
  return print_certificate(context, result.policy, "deployed", result.deployed(), certificate->bound);
}

Status run(Context& context, const ScheduleOptions& options) {
  if (is_csv(context) && options.file.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "[schedule] -o csv is the table of a schedule's tasks: give an instance FILE to schedule"};
  if (!options.profiles.empty() && options.file.empty() && options.generate.empty() && options.certify.empty())
    return run_from_profiles(options);
  const int modes = (options.file.empty() ? 0 : 1) + (options.generate.empty() ? 0 : 1) + (options.certify.empty() ? 0 : 1);
  if (modes != 1)
    return Error{ErrorCode::kInvalidArgument,
                 "[schedule] give one of: an instance FILE to schedule, --generate KIND, or --certify RESULT; see tideline "
                 "schedule --help"};
  if (!options.generate.empty()) return run_generate(context, options);
  return options.certify.empty() ? run_schedule(context, options) : run_certify(context, options);
}

std::string schedule_footer() {
  std::string text = "Policies:\n";
  for (const Policy& policy : policies())
    text += fmt::format("  {:<14} {}\n",
                        policy.argument.empty() ? std::string(policy.name) : fmt::format("{}:{}", policy.name, policy.argument),
                        policy.summary);
  text += "Online policies (tasks arrive in the order of the file, or as --events says):\n";
  for (const OnlinePolicyEntry& policy : online_policies())
    text += fmt::format("  {:<16} {}{}\n", policy.name, policy.summary, policy.needs_history ? " [--history]" : "");
  text += "Kinds of instances:\n";
  for (const GeneratorKind& kind : generator_kinds()) text += fmt::format("  {:<14} {}\n", kind.name, kind.summary);
  return text +
         "Examples:\n"
         "  tideline schedule --generate c2 --servers 50 --tasks 1000 --seed 7 --out city.json\n"
         "  tideline schedule city.json --policy price --time-limit 5\n"
         "  tideline schedule city.json --policy price --out result.json\n"
         "  tideline schedule --certify result.json --instance city.json\n"
         "  tideline schedule city.json --policy fixed:2 --bound -o json\n"
         "  tideline schedule city.json --model extended --policy price --out safe.json\n"
         "  tideline inspect resnet50.onnx -o json > resnet50.json\n"
         "  tideline schedule --generate real --models resnet50.json --compression 40 --servers 20 --out cameras.json\n"
         "  tideline schedule --generate c2 --servers 50 --tasks 1000 --skip-tasks 1000 --seed 7 --out last_week.json\n"
         "  tideline schedule city.json --policy price-recut --history last_week.json --evictions-max 1\n";
}

}  // namespace

void add_schedule_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ScheduleOptions>();
  CLI::App& command =
      *app.add_subcommand("schedule", "Many tasks on many edge servers: which fit, how deep, and how near to the best possible");
  command.add_option("FILE", options->file, "An instance (docs/formats/instance.md)");
  command.add_option("--policy", options->policy, "How to decide; see the list below")->capture_default_str();
  command.add_option("--seed", options->seed, "Of everything random")->capture_default_str();
  command.add_option("--time-limit", options->time_limit_s, "Seconds that a searching policy may take")
      ->check(CLI::Range(0.0, kTimeLimitMaxSeconds))
      ->capture_default_str();
  command.add_option("--steps", options->steps, "End the search after so many steps of each thread: a result that repeats");
  command.add_option("--threads", options->threads, "0: as many as there are cores")->capture_default_str();
  command.add_flag("--bound", options->bound, "Compute an upper bound also for a policy that gives none");
  command
      .add_option("--model", options->model,
                  "paper; extended: compute time counts, and so do raw uploads (docs/algorithms/extended.md); or queueing: so "
                  "does waiting (docs/algorithms/queueing.md)")
      ->check(CLI::IsMember({"paper", "extended", "queueing"}))
      ->type_name("paper|extended|queueing");
  command
      .add_option("--cloud-gflops", options->cloud_gflop_s,
                  "For --model extended and queueing: GFLOP/s that each task gets in the cloud")
      ->check(CLI::Range(1e-3, 1e12))
      ->capture_default_str();
  command.add_option("--arrivals", options->arrivals, "For --model queueing: when each task's requests come")
      ->check(CLI::IsMember({"poisson", "periodic"}))
      ->type_name("poisson|periodic")
      ->capture_default_str();
  command
      .add_option("--late-share", options->late_share,
                  "For --model queueing with poisson arrivals: the share of a task's requests that may be late by the formula")
      ->check(CLI::Range(1e-6, 0.5))
      ->capture_default_str();
  command
      .add_option("--from-profiles", options->profiles,
                  "Make an instance of measured models instead: *.profile.json files of one host")
      ->type_name("FILE...");
  command.add_option("--cluster", options->cluster, "For --from-profiles: the cluster file whose edge nodes are the servers")
      ->type_name("FILE");
  command
      .add_option("--history", options->history, "For online policies: an instance with tasks seen before on the same servers")
      ->type_name("FILE");
  command.add_option("--events", options->events, "For online policies: who arrives and departs when (docs/formats/events.md)")
      ->type_name("FILE");
  command
      .add_option("--horizon", options->horizon,
                  "For online policies: how many arrivals to expect (0: as many as the history has)")
      ->capture_default_str();
  command.add_option("--evictions-max", options->evictions_max,
                     "For online policies: the most tasks that may lose their place for one arrival (default: no limit)");
  command.add_option("--out", options->out, "Write the result, or the generated instance, to this file");
  command.add_option("--generate", options->generate, "Make an instance of this kind instead")->type_name("KIND");
  command.add_option("--servers", options->generator.servers, "Of the generated instance")->capture_default_str();
  command.add_option("--tasks", options->generator.tasks, "Of the generated instance")->capture_default_str();
  command
      .add_option("--skip-tasks", options->skip_tasks,
                  "Leave out so many tasks first: a history for an instance of the same seed")
      ->capture_default_str();
  command.add_option("--profile-seed", options->generator.profile_seed, "Of the ten generated models")->capture_default_str();
  command.add_option("--servers-per-task", options->generator.servers_per_task, "How many servers a task has data on (c2, real)")
      ->capture_default_str();
  command.add_option("--models", options->models, "For --generate real: files of tideline inspect -o json")->type_name("FILE...");
  command
      .add_option("--compression", options->compression,
                  "For --models: bytes of a model's input in a byte of the tasks' data (float32 from a camera's JPEG: about 40)")
      ->check(CLI::Range(1.0, 1e4))
      ->capture_default_str();
  command.add_option("--certify", options->certify, "Recompute the proof in this result, in separate code")->type_name("RESULT");
  command.add_option("--instance", options->instance, "The instance of --certify");
  add_output_option(command, context, true);
  command.footer(schedule_footer());
  on_run(command, context, [&context, options] { return run(context, *options); });
}

}  // namespace tideline::app
