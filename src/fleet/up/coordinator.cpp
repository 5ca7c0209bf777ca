#include "fleet/up/coordinator.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"

namespace tideline::fleet {
namespace {

constexpr std::chrono::milliseconds kSavePeriod{500};
// Between attempts to let in again what is down although its nodes answer.
constexpr std::chrono::seconds kRetryPeriod{2};
// For each run of the policy while others wait for the answer.
constexpr std::chrono::milliseconds kReadmitSearch{50};

FleetPlanOptions quick_search(FleetPlanOptions options) {
  options.policy = "price";
  options.model = FleetModelKind::kQueueing;
  options.time_limit = kReadmitSearch;
  options.search_steps = 0;
  return options;
}

// Tasks of which one cannot be let in where another was not.
auto likeness(const FleetTask& task) {
  std::vector<std::pair<std::size_t, double>> sources;
  for (const FleetSource& source : task.sources) sources.emplace_back(source.node, source.share);
  return std::tuple(task.model, sources, task.rate_hz, task.deadline.count(), task.priority, task.keep_on_source);
}

// Where a task's requests go: it has to be deployed anew where these are others.
std::vector<std::size_t> nodes_on_ways(const Cluster& cluster, const FleetTask& task) {
  std::vector<std::size_t> nodes;
  for (const FleetSource& source : task.sources)
    if (const auto way = way_of(cluster, source.node)) nodes.insert(nodes.end(), {source.node, way->gateway, way->cloud});
  return nodes;
}

}  // namespace

std::string_view to_string(TaskState state) {
  switch (state) {
    case TaskState::kRunning: return "running";
    case TaskState::kRefused: return "refused";
    case TaskState::kDown: break;
  }
  return "down";
}

Coordinator::Coordinator(CoordinatorSetup setup, Transport& transport, const Control& control)
    : setup_(std::move(setup)), transport_(transport), control_(control), started_(std::chrono::steady_clock::now()) {}

Result<std::unique_ptr<Coordinator>> Coordinator::start(CoordinatorSetup setup, Transport& transport, const Control& control) {
  if (setup.plan.model != FleetModelKind::kQueueing || setup.plan.policy == kAllEdge || setup.plan.policy == kAllCloud)
    return Error{ErrorCode::kInvalidArgument,
                 "[fleet] a fleet that is kept up needs promises that hold: write model: queueing and a policy that keeps to it"};
  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::move(setup), transport, control));
  TIDELINE_CHECK_OK(coordinator->open());
  TIDELINE_CHECK_OK(coordinator->first_plan());
  TIDELINE_CHECK_OK(coordinator->save());
  TIDELINE_CHECK_OK(control.check());
  return coordinator;
}

Coordinator::~Coordinator() {
  for (const auto& task : tasks_)
    if (task->runner) task->runner->stop();
  for (const auto& task : tasks_) task->runner.reset();
  // What was not read in whole must not be written back.
  if (is_open_) (void)save();
}

Status Coordinator::open() {
  for (const FleetModel& model : setup_.fleet.models) {
    TIDELINE_TRY(ModelInputs inputs, read_inputs(model, setup_.models[inputs_.size()], false, control_));
    inputs_.push_back(std::move(inputs));
  }
  TIDELINE_TRY(store_, FleetStore::open(setup_.state_file));
  TIDELINE_TRY(StoredFleet stored, store_->load());
  seconds_before_ = stored.seconds;
  use_ = std::make_unique<UseTally>(stored.used);
  TIDELINE_CHECK_OK(adopt_stored(std::move(stored)));
  watch_ = std::make_unique<NodeWatch>(transport_, setup_.fleet.cluster);
  for (const auto& task : tasks_) watch(task->task);
  dead_ = watch_->dead();
  is_open_ = true;
  return {};
}

// The tasks of the file, then those that were submitted; each with what was known of it.
Status Coordinator::adopt_stored(StoredFleet stored) {
  std::map<std::string, StoredTask*> known;
  for (StoredTask& task : stored.tasks) known[task.name] = &task;
  const bool is_same_file = stored.file_sha256 == setup_.file_sha256;
  const auto add = [&](const FleetTask& task, std::string spec) {
    auto added = std::make_unique<Task>();
    added->task = task;
    added->spec = std::move(spec);
    added->number = next_number_;
    next_number_ += task.sources.size();
    TaskCounters counters;
    if (const auto before = known.find(task.name); before != known.end()) {
      counters = before->second->counters;
      // The model may be another one by now, with fewer blocks.
      if (before->second->blocks && *before->second->blocks <= setup_.models[task.model].chain.block_count())
        added->blocks = before->second->blocks;
      added->removed = is_same_file && before->second->removed;
    }
    added->tally = std::make_unique<TaskTally>(std::move(counters));
    tasks_.push_back(std::move(added));
  };
  for (const FleetTask& task : setup_.fleet.tasks) add(task, "");
  Fleet all = setup_.fleet;
  for (const StoredTask& task : stored.tasks) {
    if (task.spec.empty()) continue;
    const auto parsed = parse_tasks(task.spec, fmt::format("the submitted task '{}'", task.name), all);
    if (!parsed)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[fleet] {}: the state {} does not fit the fleet's file any more; start with another --state",
                               parsed.error().message, setup_.state_file)};
    all.tasks.insert(all.tasks.end(), parsed->begin(), parsed->end());
    add(parsed->front(), task.spec);
  }
  if (tasks_.size() > limits::kCoordinatedTasksMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[fleet] one coordinator keeps up to {} tasks up, and these are {}: give each part of the site its own",
                    limits::kCoordinatedTasksMax, tasks_.size())};
  return {};
}

void Coordinator::watch(const FleetTask& task) {
  const Cluster& cluster = setup_.fleet.cluster;
  for (const FleetSource& source : task.sources) {
    watch_->add(source.node, source.node);
    if (cluster.nodes[source.node].tier != Tier::kDevice) continue;
    for (const Link& link : cluster.links)
      if (static_cast<std::size_t>(link.from) == source.node &&
          cluster.nodes[static_cast<std::size_t>(link.to)].tier == Tier::kEdge)
        watch_->add(static_cast<std::size_t>(link.to), source.node);
  }
}

Coordinator::Reachable Coordinator::reachable() {
  Reachable now{.fleet = setup_.fleet, .tasks = {}};
  now.fleet.tasks.clear();
  std::erase_if(now.fleet.cluster.links, [&](const Link& link) {
    return dead_.contains(static_cast<std::size_t>(link.from)) || dead_.contains(static_cast<std::size_t>(link.to));
  });
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    Task& task = *tasks_[t];
    if (task.removed) continue;
    std::string why;
    for (const FleetSource& source : task.task.sources) {
      if (dead_.contains(source.node))
        why = fmt::format("node '{}' does not answer", setup_.fleet.cluster.nodes[source.node].name);
      else if (!way_of(now.fleet.cluster, source.node))
        why = fmt::format("node '{}' does not answer",
                          setup_.fleet.cluster.nodes[way_of(setup_.fleet.cluster, source.node)->gateway].name);
    }
    if (why.empty()) {
      now.fleet.tasks.push_back(task.task);
      now.tasks.push_back(t);
      continue;
    }
    task.state = TaskState::kDown;
    task.why = why;
    if (task.runner) task.runner->stop();
  }
  // All of them give up at the same time.
  for (const auto& task : tasks_)
    if (task->state == TaskState::kDown) task->runner.reset();
  return now;
}

Status Coordinator::first_plan() {
  const Reachable now = reachable();
  if (now.tasks.empty()) return {};
  TIDELINE_CHECK_OK(check_profiles(now.fleet, setup_.profiles));
  Placement placement(now.tasks.size());
  bool is_known = false;
  for (std::size_t e = 0; e < now.tasks.size(); ++e) {
    placement[e] = tasks_[now.tasks[e]]->blocks;
    is_known = is_known || placement[e].has_value();
  }
  std::optional<FleetPlan> plan;
  // Where it was, if that still holds.
  if (is_known) {
    TIDELINE_TRY(plan, plan_as(now.fleet, setup_.profiles, placement, quick_search(setup_.plan)));
  }
  if (!plan) {
    TIDELINE_TRY(plan, plan_fleet(now.fleet, setup_.profiles, setup_.plan));
    placement = placement_of(*plan);
    TIDELINE_TRY(auto exact, plan_as(now.fleet, setup_.profiles, placement, quick_search(setup_.plan)));
    if (exact) plan = std::move(exact);
  }
  apply(now, *plan);
  return {};
}

std::optional<FleetPlan> Coordinator::plan_that_fits(const Reachable& now, Placement& placement) {
  while (true) {
    auto plan = plan_as(now.fleet, setup_.profiles, placement, quick_search(setup_.plan));
    if (plan && *plan) return std::move(**plan);
    // Gateways that return take their tasks along: of those that do not fit together, the least important one goes.
    std::optional<std::size_t> least;
    for (std::size_t e = 0; e < placement.size(); ++e)
      if (placement[e] && (!least || now.fleet.tasks[e].priority <= now.fleet.tasks[*least].priority)) least = e;
    if (!least) return std::nullopt;
    placement[*least].reset();
  }
}

void Coordinator::place_others(const Reachable& now, Placement& placement, const ReadmitLimits& limits) {
  std::vector<std::size_t> others;
  for (std::size_t e = 0; e < placement.size(); ++e)
    if (!placement[e]) others.push_back(e);
  std::stable_sort(others.begin(), others.end(),
                   [&](std::size_t a, std::size_t b) { return now.fleet.tasks[a].priority > now.fleet.tasks[b].priority; });
  std::map<decltype(likeness(now.fleet.tasks[0])), std::string> refused;
  for (const std::size_t e : others) {
    Task& task = *tasks_[now.tasks[e]];
    task.state = TaskState::kRefused;
    const auto key = likeness(task.task);
    if (const auto known = refused.find(key); known != refused.end()) {
      task.why = known->second;
      continue;
    }
    // As it was, if there is still room for that.
    if (task.blocks) {
      Placement again = placement;
      again[e] = task.blocks;
      if (auto plan = plan_as(now.fleet, setup_.profiles, again, quick_search(setup_.plan)); plan && *plan) {
        placement = std::move(again);
        continue;
      }
    }
    const auto in = readmit(now.fleet, setup_.profiles, placement, e, limits, quick_search(setup_.plan));
    if (in && in->admitted) {
      placement = in->placement;
      for (const std::size_t put_off : in->evicted)
        tasks_[now.tasks[put_off]]->why = fmt::format("put off for '{}'", task.task.name);
      continue;
    }
    task.why = in ? in->why : in.error().message;
    refused[key] = task.why;
  }
}

void Coordinator::reconcile(const ReadmitLimits& limits) {
  const Reachable now = reachable();
  Placement placement(now.tasks.size());
  for (std::size_t e = 0; e < now.tasks.size(); ++e) {
    const Task& task = *tasks_[now.tasks[e]];
    if (task.runner && task.nodes == nodes_on_ways(now.fleet.cluster, task.task)) placement[e] = task.blocks;
  }
  (void)plan_that_fits(now, placement);
  place_others(now, placement, limits);
  if (auto plan = plan_that_fits(now, placement)) {
    apply(now, *plan);
  } else {
    plan_ = {};
  }
}

void Coordinator::apply(const Reachable& now, const FleetPlan& plan) {
  struct Step {
    Task* task;
    std::vector<TaskRunner::Way> ways;
    double more;  // of all shares together: those that give some back go first
  };
  std::vector<Step> steps;
  for (std::size_t e = 0; e < now.tasks.size(); ++e) {
    Task& task = *tasks_[now.tasks[e]];
    task.plan = plan.tasks[e];
    if (!plan.tasks[e].admitted) {
      task.state = TaskState::kRefused;
      if (task.why.empty() || task.runner) task.why = plan.tasks[e].why;
      task.runner.reset();
      continue;
    }
    Step step{.task = &task, .ways = {}, .more = 0};
    for (std::size_t i = 0; i < task.task.sources.size(); ++i)
      step.ways.push_back({plan_of(now.fleet, setup_.profiles, task.task, task.task.sources[i], plan.tasks[e].blocks),
                           shares_of(now.fleet, setup_.profiles, plan, e, i)});
    const auto nodes = nodes_on_ways(now.fleet.cluster, task.task);
    if (task.runner && task.nodes != nodes) task.runner.reset();
    task.nodes = nodes;
    task.blocks = plan.tasks[e].blocks;
    const auto sum = [](const std::vector<TaskRunner::Way>& ways) {
      double total = 0;
      for (const TaskRunner::Way& way : ways)
        for (const auto& [node, share] : way.shares)
          total += static_cast<double>(share.compute_ppm) / limits::kShareMax +
                   (share.link_total_bytes_per_s > 0
                        ? static_cast<double>(share.link_bytes_per_s) / static_cast<double>(share.link_total_bytes_per_s)
                        : 0);
      return total;
    };
    if (task.runner && task.runner->ways() == step.ways) continue;
    step.more = sum(step.ways) - (task.runner ? sum(task.runner->ways()) : 0);
    steps.push_back(std::move(step));
  }
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.more < b.more; });
  std::vector<Step> again;
  std::size_t done = 0;
  for (Step& step : steps) {
    if (control_.cancel.cancelled()) return;
    control_.report({"Deploying", done++, steps.size(), step.task->task.name});
    auto ways = step.ways;
    const Status done = deploy(*step.task, std::move(ways), now.fleet.cluster);
    if (!done && done.error().code == ErrorCode::kOverloaded) again.push_back(std::move(step));
  }
  // What one gave back later, another may have needed before.
  for (Step& step : again) (void)deploy(*step.task, std::move(step.ways), now.fleet.cluster);
  plan_ = plan;
}

Status Coordinator::deploy(Task& task, std::vector<TaskRunner::Way> ways, const Cluster& cluster) {
  Status done;
  if (task.runner) {
    done = task.runner->change(std::move(ways), control_.cancel);
  } else {
    auto started = TaskRunner::start({.task = task.task,
                                      .number = task.number,
                                      .loaded = setup_.models[task.task.model],
                                      .inputs = inputs_[task.task.model],
                                      .transport = transport_,
                                      .cluster = cluster,
                                      .tally = *task.tally,
                                      .use = *use_},
                                     std::move(ways), control_.cancel);
    if (started)
      task.runner = std::move(*started);
    else
      done = started.error();
  }
  task.state = done ? TaskState::kRunning : TaskState::kDown;
  task.why = done ? "" : done.error().message;
  if (!done) task.runner.reset();
  return done;
}

Status Coordinator::tick() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (std::set<std::size_t> dead = watch_->dead(); dead != dead_) {
    dead_ = std::move(dead);
    reconcile(setup_.readmit);
    return save();
  }
  const bool has_failed = std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& task) {
    return !task->removed && task->state == TaskState::kDown && !task->nodes.empty() &&
           std::none_of(task->nodes.begin(), task->nodes.end(), [&](std::size_t node) { return dead_.contains(node); });
  });
  if (has_failed && now - retried_ > kRetryPeriod) {
    reconcile(setup_.readmit);
    retried_ = std::chrono::steady_clock::now();
  }
  if (now - saved_ > kSavePeriod) return save();
  return {};
}

Result<std::string> Coordinator::submit(const ControlRequest& request) {
  Fleet all = setup_.fleet;
  all.tasks.clear();
  for (const auto& task : tasks_) all.tasks.push_back(task->task);
  TIDELINE_TRY(const std::vector<FleetTask> asked, parse_tasks(request.task, "the task", all));
  if (asked.size() > limits::kControlTasksMax || tasks_.size() + asked.size() > limits::kCoordinatedTasksMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[fleet] at most {} tasks at once and {} in all: give each part of the site a coordinator of its own",
                    limits::kControlTasksMax, limits::kCoordinatedTasksMax)};
  const ReadmitLimits limits{.moves = request.moves, .evictions = request.evictions};
  std::string answers;
  std::vector<std::string> changed;
  std::string first_refusal;
  for (const FleetTask& each : asked) {
    watch(each);
    if (std::set<std::size_t> dead = watch_->dead(); dead != dead_) {
      dead_ = std::move(dead);
      reconcile(setup_.readmit);
    }
    Reachable now = reachable();
    Placement placement(now.tasks.size());
    for (std::size_t e = 0; e < now.tasks.size(); ++e)
      if (tasks_[now.tasks[e]]->runner) placement[e] = tasks_[now.tasks[e]]->blocks;
    std::string why = first_refusal;
    Result<Readmission> in = Readmission{};
    for (const FleetSource& source : each.sources)
      if (dead_.contains(source.node) || !way_of(now.fleet.cluster, source.node))
        why = fmt::format("its source '{}' or the gateway of it does not answer", setup_.fleet.cluster.nodes[source.node].name);
    if (why.empty()) {
      now.fleet.tasks.push_back(each);
      now.tasks.push_back(tasks_.size());
      placement.push_back(std::nullopt);
      in = readmit(now.fleet, setup_.profiles, placement, placement.size() - 1, limits, quick_search(setup_.plan));
      // What could not run at all is an error of who asks.
      if (!in && asked.size() == 1) return in.error();
      why = in ? in->why : in.error().message;
      // The others of a group are like it.
      if (!in || !in->admitted) first_refusal = why;
    }
    nlohmann::json said{{"name", each.name}, {"admitted", in && in->admitted}, {"why", nullptr}, {"cut", nullptr}};
    if (in && in->admitted) {
      auto task = std::make_unique<Task>();
      task->task = each;
      task->number = next_number_;
      next_number_ += each.sources.size();
      nlohmann::json spec = nlohmann::json::parse(request.task, nullptr, false);
      spec.erase("count");
      spec["name"] = each.name;
      task->spec = spec.dump();
      task->tally = std::make_unique<TaskTally>(TaskCounters{});
      tasks_.push_back(std::move(task));
      for (const std::size_t e : in->evicted) {
        tasks_[now.tasks[e]]->runner.reset();
        tasks_[now.tasks[e]]->why = fmt::format("put off for '{}'", each.name);
      }
      apply(now, *in->plan);
      said["cut"] = tasks_.back()->plan.cut;
      for (const auto& [kind, which] : {std::pair{"moved", &in->moved}, {"evicted", &in->evicted}})
        for (const std::size_t e : *which) said[kind].push_back(now.fleet.tasks[e].name);
    } else {
      said["why"] = why;
    }
    for (const char* kind : {"moved", "evicted"})
      if (!said.contains(kind)) said[kind] = nlohmann::json::array();
    answers += (answers.empty() ? "" : ",") + said.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
  TIDELINE_CHECK_OK(save());
  return fmt::format("{{\"tasks\":[{}]}}", answers);
}

Result<std::string> Coordinator::remove(const std::string& name) {
  const auto found =
      std::find_if(tasks_.begin(), tasks_.end(), [&](const auto& task) { return !task->removed && task->task.name == name; });
  if (found == tasks_.end()) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("[fleet] no task is named '{}'; `tideline fleet status -o json` lists them", name)};
  }
  (*found)->runner.reset();
  if ((*found)->spec.empty()) {
    (*found)->removed = true;
    (*found)->blocks.reset();
  } else {
    tasks_.erase(found);
  }
  reconcile(setup_.readmit);
  TIDELINE_CHECK_OK(save());
  return nlohmann::json{{"removed", name}}.dump();
}

std::string Coordinator::answer(std::string_view line) {
  const auto request = parse_control(line);
  if (!request) return write_answer(request.error());
  switch (request->command) {
    case ControlCommand::kStatus:
      // Nothing is told that a crash could take back.
      if (const Status saved = save(); !saved) return write_answer(saved.error());
      return write_answer(status_json());
    case ControlCommand::kSubmit: return write_answer(submit(*request));
    case ControlCommand::kRemove: return write_answer(remove(request->name));
    case ControlCommand::kDown: break;
  }
  ending_ = true;
  return write_answer(nlohmann::json{{"ending", true}}.dump());
}

StoredFleet Coordinator::snapshot() const {
  StoredFleet stored{.file_sha256 = setup_.file_sha256, .used = use_->used(), .tasks = {}};
  stored.seconds = seconds_before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  for (const auto& task : tasks_)
    stored.tasks.push_back({.name = task->task.name,
                            .spec = task->spec,
                            .blocks = task->blocks,
                            .removed = task->removed,
                            .counters = task->tally->counters()});
  return stored;
}

Status Coordinator::save() {
  saved_ = std::chrono::steady_clock::now();
  return store_->save(snapshot());
}

std::size_t Coordinator::running_count() const {
  return static_cast<std::size_t>(std::count_if(
      tasks_.begin(), tasks_.end(), [](const auto& task) { return !task->removed && task->state == TaskState::kRunning; }));
}

}  // namespace tideline::fleet
