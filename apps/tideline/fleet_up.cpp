// tideline fleet up, status, report, submit, remove, down: a fleet that is kept up.
#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "fleet/run/run_fleet.h"
#include "fleet/up/coordinator.h"
#include "fleet_print.h"
#include "platform/files.h"
#include "platform/local_socket.h"
#include "report/svg.h"

namespace tideline::app {
namespace {

using UpJson = nlohmann::ordered_json;

// One screen; -o json has everything.
constexpr std::size_t kGroupsShown = 16;
constexpr std::size_t kUsesShown = 10;
constexpr std::size_t kBarsShown = 40;
// A submission plans and deploys before it is answered.
constexpr std::chrono::seconds kControlTimeout{300};
constexpr std::chrono::seconds kSaidAgain{60};
constexpr std::chrono::milliseconds kServePeriod{100};

struct UpArguments {
  std::string file;
  std::string state;   // empty: FILE.state
  std::string socket;  // empty: FILE.sock
  std::uint32_t moves = 0;
  std::uint32_t evictions = 0;
  FleetPlanArguments plan;
  std::string name;
  std::map<std::string, std::string> task;  // keys of the file
  std::int64_t count = 0, priority = 0, keep_on_source = 0;
  std::string svg;
};

std::string socket_of(const UpArguments& arguments) {
  return arguments.socket.empty() ? arguments.file + ".sock" : arguments.socket;
}

Status up(Context& context, const UpArguments& arguments) {
  TIDELINE_TRY(const std::string text, read_file(arguments.file, limits::kYamlFileBytesMax));
  TIDELINE_TRY(fleet::Fleet fleet, fleet::load_fleet(arguments.file));
  TIDELINE_TRY(fleet::FleetProfiles profiles, fleet::load_profiles(fleet));
  TIDELINE_TRY(std::vector<LoadedModel> models, fleet::load_models(fleet, profiles, StepBar(context).control()));
  const fleet::FleetPlanOptions plan = plan_options(fleet, arguments.plan, context.interrupted);
  // First, so that a second coordinator of the same fleet ends here.
  TIDELINE_TRY(const auto listener, LocalListener::open(socket_of(arguments), {.line_bytes_max = limits::kControlLineBytesMax,
                                                                               .callers_max = limits::kControlCallersMax}));
  const auto transport = make_tcp_transport({});
  TIDELINE_TRY(const auto coordinator,
               fleet::Coordinator::start({.fleet = std::move(fleet),
                                          .file_sha256 = sha256(text).hex(),
                                          .profiles = std::move(profiles),
                                          .models = std::move(models),
                                          .plan = plan,
                                          .readmit = {.moves = arguments.moves, .evictions = arguments.evictions},
                                          .state_file = arguments.state.empty() ? arguments.file + ".state" : arguments.state},
                                         *transport, Control{.cancel = context.interrupted}));
  fmt::print("{} of {} tasks run; control at {}\n", coordinator->running_count(), coordinator->task_count(),
             socket_of(arguments));
  std::fflush(stdout);
  SteadyTime said{};
  bool was_short = false, has_ended = false;
  while (!coordinator->is_ending() && !context.interrupted.cancelled()) {
    listener->serve(kServePeriod, [&](std::string_view line) { return coordinator->answer(line); });
    if (listener->is_short() && !was_short)
      fmt::print(stderr, "tideline: no more descriptors: whoever asks waits until there are (ulimit -n)\n");
    was_short = listener->is_short();
    if (const auto end = has_ended ? std::nullopt : coordinator->frames_end()) {
      has_ended = true;
      fmt::print(stderr, "tideline: {}; its task sends nothing more\n", printable(*end, 400));
    }
    // A full disk stops no camera: it is said now and then, and tried again until there is room.
    const Status kept = coordinator->tick();
    if (kept || std::chrono::steady_clock::now() - said < kSaidAgain) continue;
    said = std::chrono::steady_clock::now();
    fmt::print(stderr, "tideline: {}; going on, and trying again\n", kept.error().message);
  }
  return {};
}

Result<UpJson> ask(const UpArguments& arguments, const fleet::ControlRequest& request) {
  const auto answer = ask_local(socket_of(arguments), fleet::write_control(request), limits::kControlAnswerBytesMax,
                                deadline_in(kControlTimeout));
  if (!answer && answer.error().code == ErrorCode::kDisconnected)
    return Error{ErrorCode::kDisconnected, fmt::format("no coordinator of {0} runs here: start one with `tideline fleet up {0}`",
                                                       printable(arguments.file))};
  if (!answer) return answer.error();
  TIDELINE_TRY(const std::string result, fleet::parse_answer(*answer));
  return UpJson::parse(result, nullptr, false);
}

std::string time_of(const UpJson& value) { return value.is_number() ? format_millis(Millis(value.get<double>())) : "-"; }

// Tasks of one group, as the file has them, that are of one model and in one state.
struct Group {
  std::string name, state, model;
  std::string cut, nodes, deadline;  // of all of them, or "various"
  std::size_t count = 0;
  std::uint64_t requests = 0, late = 0, dropped = 0;
  double median_ms = 0, p99_ms = 0;  // of the worst
  bool runs() const { return state == "running"; }
};

// "yard" of yard-17.
std::string group_name(const std::string& task) {
  const std::size_t at = task.find_last_not_of("0123456789");
  return at != std::string::npos && at > 0 && at + 1 < task.size() && task[at] == '-' ? task.substr(0, at) : task;
}

void merge(std::string& shown, const std::string& other, bool is_first) {
  if (is_first)
    shown = other;
  else if (shown != other)
    shown = "various";
}

void add_to(Group& group, const UpJson& task) {
  const bool is_first = group.count++ == 0;
  std::vector<std::string> nodes;
  for (const UpJson& node : task["nodes"]) nodes.push_back(node);
  merge(group.cut, group.runs() ? task["cut"].get<std::string>() : "-", is_first);
  merge(group.nodes, group.runs() ? fmt::format("{}", fmt::join(nodes, ", ")) : "-", is_first);
  merge(group.deadline, time_of(task["deadline_ms"]), is_first);
  group.requests += task["requests"].get<std::uint64_t>();
  group.late += task["late"].get<std::uint64_t>();
  group.dropped += task["dropped"].get<std::uint64_t>();
  if (task["latency_ms"].is_null()) return;
  group.median_ms = std::max(group.median_ms, task["latency_ms"]["median"].get<double>());
  group.p99_ms = std::max(group.p99_ms, task["latency_ms"]["p99"].get<double>());
}

std::vector<Group> groups_of(const UpJson& tasks) {
  std::vector<Group> groups;
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> known;
  for (const UpJson& task : tasks) {
    Group group{.name = group_name(task["name"]), .state = task["state"], .model = task["model"]};
    const auto [at, is_new] = known.try_emplace({group.name, group.state, group.model}, groups.size());
    if (is_new) groups.push_back(std::move(group));
    add_to(groups[at->second], task);
  }
  // What does not run first, then what is late.
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return std::tuple(a.runs(), b.late + b.dropped) < std::tuple(b.runs(), a.late + a.dropped);
  });
  return groups;
}

void print_uses(const UpJson& status) {
  struct Use {
    std::string name;
    double used, reserved, of;
    const char* unit;
  };
  std::vector<Use> uses;
  for (const UpJson& link : status["links"])
    uses.push_back({link["name"], link["used_mbit_s"], link["reserved_mbit_s"], link["capacity_mbit_s"], "Mbit/s"});
  for (const UpJson& node : status["nodes"])
    uses.push_back({node["name"], node["used_cores"], node["reserved_cores"], node["capacity_cores"], "cores"});
  std::stable_sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) { return a.reserved / a.of > b.reserved / b.of; });
  fmt::print("\n{:<32} {:>10} {:>10} {:>10}\n", "link or node", "used", "reserved", "of");
  for (std::size_t n = 0; n < std::min(uses.size(), kUsesShown); ++n)
    fmt::print("{:<32} {:>10.3f} {:>10.3f} {:>10.3f} {}\n", uses[n].name, uses[n].used, uses[n].reserved, uses[n].of,
               uses[n].unit);
  if (uses.size() > kUsesShown) fmt::print("and {} more (-o json has all)\n", uses.size() - kUsesShown);
}

void print_status(const UpJson& status) {
  fmt::print("running     {} tasks, {} of them in time (at most 1 % of their requests late or dropped)\n",
             status["admitted"].get<std::size_t>(), status["on_time"].get<std::size_t>());
  fmt::print("refused     {}\ndown        {}\nup          {:.0f} s\n", status["refused"].get<std::size_t>(),
             status["down"].get<std::size_t>(), status["up_s"].get<double>());
  std::vector<std::string> silent;
  for (const UpJson& node : status["silent_nodes"]) silent.push_back(node);
  if (!silent.empty()) fmt::print("silent      {}\n", fmt::join(silent, ", "));
  fmt::print("\n{:<28} {:<8} {:<14} {:<16} {:<22} {:>9} {:>9} {:>7} {:>7} {:>9} {:>9}\n", "tasks", "state", "model", "cut after",
             "on", "deadline", "requests", "late", "dropped", "median", "p99");
  const std::vector<Group> groups = groups_of(status["tasks"]);
  for (std::size_t n = 0; n < std::min(groups.size(), kGroupsShown); ++n) {
    const Group& group = groups[n];
    const std::string name = group.name.substr(0, 18);
    fmt::print("{:<28} {:<8} {:<14} {:<16} {:<22} {:>9} {:>9} {:>7} {:>7} {:>9} {:>9}\n",
               group.count == 1 ? name : fmt::format("{} ({} tasks)", name, group.count), group.state, group.model.substr(0, 14),
               group.cut.substr(0, 16), group.nodes.substr(0, 22), group.deadline, group.requests, group.late, group.dropped,
               time_of(group.median_ms), time_of(group.p99_ms));
  }
  if (groups.size() > kGroupsShown) {
    std::size_t left = 0;
    for (std::size_t n = kGroupsShown; n < groups.size(); ++n) left += groups[n].count;
    fmt::print("and {} more groups of {} tasks (-o json has all tasks)\n", groups.size() - kGroupsShown, left);
  }
  for (const UpJson& task : status["tasks"])
    if (task["why"].is_string()) {
      fmt::print("\n{}: {}\n", task["name"].get<std::string>(), task["why"].get<std::string>());
      break;
    }
  print_uses(status);
}

report::Table report_table(const UpJson& status) {
  using report::Table;
  Table table({{"task", "task", Table::kLeft},
               {"state", "state", Table::kLeft},
               {"cut after", "cut", Table::kLeft},
               {"requests", "requests"},
               {"late", "late"},
               {"dropped", "dropped"},
               {"predicted", "predicted_ms"},
               {"median", "median_ms"},
               {"p95", "p95_ms"},
               {"p99", "p99_ms"},
               {"bound", "bound_ms"},
               {"deadline", "deadline_ms"}});
  const auto cell = [](const UpJson& value) {
    return value.is_number() ? Table::Cell(time_of(value), value.get<double>()) : Table::Cell("-", std::string());
  };
  for (const UpJson& task : status["tasks"]) {
    const UpJson& seen = task["latency_ms"];
    const auto latency = [&](const char* key) { return cell(seen.is_null() ? UpJson(nullptr) : seen[key]); };
    table.add({task["name"].get<std::string>(), task["state"].get<std::string>(),
               task["cut"].is_string() ? task["cut"].get<std::string>() : std::string("-"), task["requests"].get<std::uint64_t>(),
               task["late"].get<std::uint64_t>(), task["dropped"].get<std::uint64_t>(), cell(task["predicted_ms"]),
               latency("median"), latency("p95"), latency("p99"), cell(task["bound_ms"]), cell(task["deadline_ms"])});
  }
  return table;
}

// Predicted beside measured, as shares of each task's deadline: whatever is above one is late.
std::string report_figure(const UpJson& status) {
  report::BarChart chart{
      .title = "Latency of each task, as a share of its deadline",
      .subtitle = fmt::format("{} tasks run, {} of them in time, after {:.0f} s", status["admitted"].get<std::size_t>(),
                              status["on_time"].get<std::size_t>(), status["up_s"].get<double>()),
      .y = {.label = "share of the deadline", .min = 0},
      .values_shown = false};
  chart.series = {{"predicted, alone", {}}, {"median", {}}, {"p99", {}}, {"promised", {}}};
  std::size_t left = 0;
  for (const UpJson& task : status["tasks"]) {
    if (task["latency_ms"].is_null() || !task["predicted_ms"].is_number()) continue;
    if (chart.categories.size() == kBarsShown) {
      ++left;
      continue;
    }
    const double deadline = task["deadline_ms"];
    chart.categories.push_back(task["name"]);
    const double values[] = {task["predicted_ms"], task["latency_ms"]["median"], task["latency_ms"]["p99"],
                             task["bound_ms"].is_number() ? task["bound_ms"].get<double>() : 0};
    for (std::size_t n = 0; n < 4; ++n) chart.series[n].values.push_back(values[n] / deadline);
  }
  if (left > 0) chart.note = fmt::format("{} more tasks are not shown", left);
  chart.width = std::max(960.0, 60.0 + 60 * static_cast<double>(chart.categories.size()));
  return report::render(chart);
}

Status status(Context& context, const UpArguments& arguments) {
  TIDELINE_TRY(const UpJson json, ask(arguments, {.command = fleet::ControlCommand::kStatus}));
  if (context.output == Output::kJson)
    fmt::print("{}\n", json.dump());
  else
    print_status(json);
  return {};
}

Status report_of(Context& context, const UpArguments& arguments) {
  TIDELINE_TRY(const UpJson json, ask(arguments, {.command = fleet::ControlCommand::kStatus}));
  if (!arguments.svg.empty()) TIDELINE_CHECK_OK(write_file_atomic(arguments.svg, report_figure(json)));
  if (context.output == Output::kJson) {
    fmt::print("{}\n", json.dump());
    return {};
  }
  print_table(context, report_table(json));
  if (context.output == Output::kTable) print_uses(json);
  return {};
}

Status submit(Context& context, const UpArguments& arguments) {
  UpJson task{{"name", arguments.name}};
  for (const auto& [key, value] : arguments.task)
    if (!value.empty()) task[key] = value;
  // {gw1: 0.6, gw2: 0.4}, as in the file.
  if (const std::string& source = arguments.task.at("source"); source.find('=') != std::string::npos) {
    UpJson shares = UpJson::object();
    for (const std::string& part : split(source, ',')) {
      const std::size_t at = part.find('=');
      if (at == std::string::npos)
        return Error{
            ErrorCode::kInvalidArgument,
            fmt::format("expected a node, or nodes with their shares such as gw1=0.6,gw2=0.4, found '{}'", printable(source))};
      shares[part.substr(0, at)] = part.substr(at + 1);
    }
    task["source"] = std::move(shares);
  }
  if (arguments.count != 0) task["count"] = arguments.count;
  if (arguments.priority != 0) task["priority"] = arguments.priority;
  if (arguments.keep_on_source != 0) task["keep_on_source"] = arguments.keep_on_source;
  TIDELINE_TRY(const UpJson json, ask(arguments, {.command = fleet::ControlCommand::kSubmit,
                                                  .task = task.dump(-1, ' ', true, UpJson::error_handler_t::replace),
                                                  .moves = arguments.moves,
                                                  .evictions = arguments.evictions}));
  if (context.output == Output::kJson) fmt::print("{}\n", json.dump());
  for (const UpJson& each : json["tasks"]) {
    const bool admitted = each["admitted"];
    if (!admitted) context.exit_code = kExitInfeasible;
    if (context.output == Output::kJson) continue;
    fmt::print("{}: {}\n", each["name"].get<std::string>(),
               admitted ? fmt::format("runs, cut after {}", each["cut"].get<std::string>())
                        : fmt::format("refused: {}", each["why"].get<std::string>()));
    for (const char* kind : {"moved", "evicted"})
      for (const UpJson& other : each[kind])
        fmt::print("  {} {}\n", kind == std::string_view("moved") ? "cut anew:" : "put off:", other.get<std::string>());
  }
  return {};
}

Status simple(Context& context, const UpArguments& arguments, const fleet::ControlRequest& request, std::string_view said) {
  TIDELINE_TRY(const UpJson json, ask(arguments, request));
  if (context.output == Output::kJson)
    fmt::print("{}\n", json.dump());
  else
    fmt::print("{}\n", said);
  return {};
}

}  // namespace

void add_fleet_up_commands(CLI::App& fleet_command, Context& context) {
  const auto arguments = std::make_shared<UpArguments>();
  const auto add = [&](const char* name, const char* help, bool has_table = false) {
    CLI::App* each = fleet_command.add_subcommand(name, help);
    each->add_option("FILE", arguments->file, "The fleet (docs/formats/fleet.md)")->required()->type_name("FLEET");
    each->add_option("--socket", arguments->socket, "The coordinator's control socket (default: FLEET.sock)")->type_name("PATH");
    if (std::string_view(name) != "up") add_output_option(*each, context, has_table);
    return each;
  };
  const auto add_limits = [&](CLI::App& each, const std::string& whom) {
    each.add_option("--moves", arguments->moves, "Other tasks that may be cut anew for " + whom)
        ->check(CLI::Range(0u, limits::kFleetMovesMax))
        ->capture_default_str();
    each.add_option("--evictions", arguments->evictions, "Tasks of a lower priority that may be put off for " + whom)
        ->check(CLI::Range(0u, limits::kFleetMovesMax))
        ->capture_default_str();
  };

  CLI::App* up_command = add("up", "Keep a fleet up: plan, deploy, send, and keep the promises until `fleet down` or Ctrl-C");
  up_command->add_option("--state", arguments->state, "What must not be forgotten (default: FLEET.state)")->type_name("PATH");
  add_limits(*up_command, "one that comes back");
  add_fleet_plan_options(*up_command, arguments->plan);
  up_command->footer(
      "Examples:\n  tideline fleet up site/fleet.yaml &\n  tideline fleet status site/fleet.yaml\nWith a model of frames: "
      "stdin:\n  ffmpeg -loglevel error "
      "-f v4l2 -i /dev/video0 -vf fps=5 -f image2pipe -c:v mjpeg - | tideline fleet up site/fleet.yaml");
  on_run(*up_command, context, [arguments, &context] { return up(context, *arguments); });

  CLI::App* status_command = add("status", "What runs, what does not and why, on one screen");
  status_command->footer("Example:\n  tideline fleet status site/fleet.yaml");
  on_run(*status_command, context, [arguments, &context] { return status(context, *arguments); });

  CLI::App* report_command =
      add("report", "Every task: predicted, measured and promised; links and nodes, used and reserved", true);
  report_command->add_option("--svg", arguments->svg, "Also write a figure")->type_name("FILE");
  report_command->footer("Example:\n  tideline fleet report site/fleet.yaml --svg latency.svg");
  on_run(*report_command, context, [arguments, &context] { return report_of(context, *arguments); });

  CLI::App* submit_command =
      add("submit", "Ask for one more task, or a group: it runs from now on, or is refused with the reason");
  submit_command->add_option("NAME", arguments->name, "Its name")->required();
  for (const auto& [key, help] : {std::pair{"model", "One of the fleet's models"},
                                  {"source", "A node, or NODE=SHARE,NODE=SHARE"},
                                  {"rate", "Of its requests, such as 5/s"},
                                  {"deadline", "From a request to its answer, such as 200ms"}})
    submit_command->add_option(std::string("--") + key, arguments->task[key], help)->required();
  submit_command->add_option("--drop", arguments->task["drop"], "Of requests that wait at the source")
      ->check(CLI::IsMember({"none", "oldest", "newest"}));
  submit_command->add_option("--count", arguments->count, "So many of them, NAME-1 .. NAME-N")
      ->check(CLI::Range(1, static_cast<int>(limits::kControlTasksMax)));
  submit_command->add_option("--priority", arguments->priority, "Higher ones first")->check(CLI::Range(-1000, 1000));
  submit_command->add_option("--keep-on-source", arguments->keep_on_source, "Blocks that stay at the source")
      ->check(CLI::Range(0, static_cast<int>(limits::kInstanceLayersMax)));
  add_limits(*submit_command, "it");
  submit_command->footer(
      "Example:\n  tideline fleet submit site/fleet.yaml gate --model objects --source cam3 --rate 1/s --deadline 400ms --moves "
      "2");
  on_run(*submit_command, context, [arguments, &context] { return submit(context, *arguments); });

  CLI::App* remove_command = add("remove", "End a task; what it had is free");
  remove_command->add_option("NAME", arguments->name, "The task")->required();
  remove_command->footer("Example:\n  tideline fleet remove site/fleet.yaml gate");
  on_run(*remove_command, context, [arguments, &context] {
    return simple(context, *arguments, {.command = fleet::ControlCommand::kRemove, .name = arguments->name},
                  fmt::format("{} has ended", arguments->name));
  });

  CLI::App* down_command = add("down", "End the coordinator; its state stays, and `fleet up` goes on with it");
  down_command->footer("Example:\n  tideline fleet down site/fleet.yaml");
  on_run(*down_command, context, [arguments, &context] {
    return simple(context, *arguments, {.command = fleet::ControlCommand::kDown}, "the coordinator ends");
  });
}

}  // namespace tideline::app
