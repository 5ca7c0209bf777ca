#include "fleet/up/coordinator.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include <fmt/format.h>

#include "base/limits.h"
#include "fleet/up/parallel.h"

namespace tideline::fleet {
namespace {

constexpr std::chrono::milliseconds kSavePeriod{500};
// Between attempts to let in again what is down although its nodes answer.
constexpr std::chrono::seconds kRetryPeriod{2};
// Nodes that are waited for at once, and how long: each is asked twice before it counts as dead, and connecting takes its time
// too.
constexpr std::chrono::seconds kSettleTime{8};
// Tasks that are deployed at the same time; each holds one segment in memory meanwhile.
constexpr std::size_t kDeploymentsAtOnce = 8;
// For each run of the policy while others wait for the answer.
constexpr std::chrono::milliseconds kReadmitSearch{50};

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

FleetPlanOptions Coordinator::quick_search() const {
  FleetPlanOptions options = setup_.plan;
  options.policy = "price";
  options.model = FleetModelKind::kQueueing;
  options.time_limit = kReadmitSearch;
  options.search_steps = 0;
  return options;
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
  for (const auto& task : tasks_) TIDELINE_CHECK_OK(watch(task->task));
  (void)look(true);
  is_open_ = true;
  return {};
}

bool Coordinator::is_in_file(const std::string& name) const {
  return std::any_of(setup_.fleet.tasks.begin(), setup_.fleet.tasks.end(), [&](const FleetTask& t) { return t.name == name; });
}

void Coordinator::adopt(const FleetTask& task, std::string spec, const StoredTask* before, bool is_same_file) {
  auto added = std::make_unique<Task>();
  added->task = task;
  added->spec = std::move(spec);
  added->number = next_number_;
  next_number_ += task.sources.size();
  TaskCounters counters;
  if (before != nullptr) {
    counters = before->counters;
    // The model may be another one by now, with fewer blocks.
    if (before->blocks && *before->blocks <= setup_.models[task.model].chain.block_count()) added->blocks = before->blocks;
    added->removed = is_same_file && before->removed;
  }
  added->tally = std::make_unique<TaskTally>(std::move(counters));
  tasks_.push_back(std::move(added));
}

// The tasks of the file, then those that were submitted; each with what was known of it. A task of the file that was removed, and
// another one submitted under its name, is that one as long as the file is the same.
Status Coordinator::adopt_stored(StoredFleet stored) {
  std::map<std::string, const StoredTask*> known;
  for (const StoredTask& task : stored.tasks) known[task.name] = &task;
  const bool is_same_file = stored.file_sha256 == setup_.file_sha256;
  Fleet all = setup_.fleet;
  all.tasks.clear();
  for (const FleetTask& task : setup_.fleet.tasks) {
    const auto found = known.find(task.name);
    const StoredTask* before = found == known.end() ? nullptr : found->second;
    if (before != nullptr && !before->spec.empty()) {
      if (is_same_file) continue;
      before = nullptr;
    }
    adopt(task, "", before, is_same_file);
    all.tasks.push_back(task);
  }
  for (const StoredTask& task : stored.tasks) {
    if (task.spec.empty() || (!is_same_file && is_in_file(task.name))) continue;
    const auto parsed = parse_tasks(task.spec, fmt::format("the submitted task '{}'", task.name), all);
    if (!parsed)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[fleet] {}: the state {} does not fit the fleet's file any more; start with another --state",
                               parsed.error().message, setup_.state_file)};
    all.tasks.insert(all.tasks.end(), parsed->begin(), parsed->end());
    adopt(parsed->front(), task.spec, &task, is_same_file);
  }
  if (tasks_.size() > limits::kCoordinatedTasksMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[fleet] one coordinator keeps up to {} tasks up, and these are {}: give each part of the site its own",
                    limits::kCoordinatedTasksMax, tasks_.size())};
  return {};
}

Status Coordinator::watch(const FleetTask& task) {
  const Cluster& cluster = setup_.fleet.cluster;
  const auto links_from = [&](std::size_t node, Tier tier) {
    std::set<std::size_t> others;
    for (const Link& link : cluster.links)
      if (static_cast<std::size_t>(link.from) == node && cluster.nodes[static_cast<std::size_t>(link.to)].tier == tier)
        others.insert(static_cast<std::size_t>(link.to));
    return others;
  };
  for (const FleetSource& source : task.sources) {
    TIDELINE_CHECK_OK(watch_->add(source.node, source.node));
    std::set<std::size_t> gateways{source.node};
    if (cluster.nodes[source.node].tier == Tier::kDevice) gateways = links_from(source.node, Tier::kEdge);
    for (const std::size_t gateway : gateways) {
      TIDELINE_CHECK_OK(watch_->add(gateway, source.node));
      // Whether a cloud has started anew it says by any way; one for each gateway is enough.
      if (clouds_by_gateway_.contains(gateway)) continue;
      for (const std::size_t cloud : links_from(gateway, Tier::kCloud)) TIDELINE_CHECK_OK(watch_->add(cloud, source.node));
      clouds_by_gateway_.insert(gateway);
    }
  }
  return {};
}

bool Coordinator::look(bool settle) {
  if (settle) watch_->settle(deadline_in(kSettleTime));
  NodesSeen now = watch_->seen();
  if (now == seen_) return false;
  seen_ = std::move(now);
  return true;
}

Coordinator::Reachable Coordinator::reachable() {
  Reachable now{.fleet = setup_.fleet, .tasks = {}};
  now.fleet.tasks.clear();
  const Cluster& whole = setup_.fleet.cluster;
  const auto is_broken = [&](std::size_t from, std::size_t to) { return seen_.broken.contains({.source = from, .node = to}); };
  std::erase_if(now.fleet.cluster.links, [&](const Link& link) {
    const auto from = static_cast<std::size_t>(link.from), to = static_cast<std::size_t>(link.to);
    return seen_.dead.contains(from) || seen_.dead.contains(to) || is_broken(from, to);
  });
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    Task& task = *tasks_[t];
    if (task.removed) continue;
    std::string why;
    for (const FleetSource& source : task.task.sources) {
      const std::string& name = whole.nodes[source.node].name;
      if (is_broken(source.node, source.node)) {
        why = fmt::format("node '{}' does not answer", name);
      } else if (!way_of(now.fleet.cluster, source.node)) {
        const std::size_t gateway = way_of(whole, source.node)->gateway;
        const std::string& gateway_name = whole.nodes[gateway].name;
        why = seen_.dead.contains(gateway) ? fmt::format("node '{}' does not answer", gateway_name)
                                           : fmt::format("node '{}' does not answer to '{}'", gateway_name, name);
      }
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
    TIDELINE_TRY(plan, plan_as(now.fleet, setup_.profiles, placement, quick_search()));
  }
  if (!plan) {
    TIDELINE_TRY(plan, plan_fleet(now.fleet, setup_.profiles, setup_.plan));
    placement = placement_of(*plan);
    TIDELINE_TRY(auto exact, plan_as(now.fleet, setup_.profiles, placement, quick_search()));
    if (exact) plan = std::move(exact);
  }
  apply(now, *plan);
  return {};
}

std::optional<FleetPlan> Coordinator::plan_that_fits(const Reachable& now, Placement& placement) {
  while (true) {
    auto plan = plan_as(now.fleet, setup_.profiles, placement, quick_search());
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
      if (auto plan = plan_as(now.fleet, setup_.profiles, again, quick_search()); plan && *plan) {
        placement = std::move(again);
        continue;
      }
    }
    const auto in = readmit(now.fleet, setup_.profiles, placement, e, limits, quick_search());
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
  std::vector<Status> results(steps.size());
  std::mutex reporting;
  std::size_t done = 0;
  in_parallel(steps.size(), kDeploymentsAtOnce, [&](std::size_t n) {
    {
      const std::lock_guard lock(reporting);
      control_.report({"Deploying", done++, steps.size(), steps[n].task->task.name});
    }
    results[n] = deploy(*steps[n].task, steps[n].ways, now.fleet.cluster);
  });
  // What one gave back later, another may have needed before.
  for (std::size_t n = 0; n < steps.size(); ++n)
    if (!results[n] && results[n].error().code == ErrorCode::kOverloaded)
      (void)deploy(*steps[n].task, std::move(steps[n].ways), now.fleet.cluster);
  plan_ = plan;
}

Status Coordinator::check_alive(const Task& task) const {
  const NodesSeen seen = watch_->seen();
  for (const std::size_t node : task.nodes)
    if (seen.dead.contains(node))
      return Error{ErrorCode::kDisconnected, fmt::format("node '{}' does not answer", setup_.fleet.cluster.nodes[node].name)};
  return {};
}

Status Coordinator::deploy(Task& task, std::vector<TaskRunner::Way> ways, const Cluster& cluster) {
  Status done = control_.check();
  if (done) done = check_alive(task);
  try {
    if (!done) {
      // Neither started nor changed.
    } else if (task.runner) {
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
  } catch (const std::exception&) {
    done = Error{ErrorCode::kOverloaded, "[fleet] out of memory or threads; it is tried again"};
  }
  task.state = done ? TaskState::kRunning : TaskState::kDown;
  task.why = done ? "" : done.error().message;
  if (!done) task.runner.reset();
  return done;
}

void Coordinator::mend() {
  const std::set<std::size_t> restarted = watch_->take_restarted();
  const SteadyTime now = std::chrono::steady_clock::now();
  std::vector<Task*> lost;
  for (const auto& task : tasks_) {
    if (!task->runner) continue;
    if (const auto failure = task->runner->failure()) {
      task->runner.reset();
      task->state = TaskState::kDown;
      task->why = failure->message;
      continue;
    }
    const bool was_on = std::any_of(task->nodes.begin(), task->nodes.end(), [&](auto node) { return restarted.contains(node); });
    if (was_on || (now - task->installed > kRetryPeriod && task->runner->take_lost())) lost.push_back(task.get());
  }
  in_parallel(lost.size(), kDeploymentsAtOnce, [&](std::size_t n) {
    Task& task = *lost[n];
    Status done = check_alive(task);
    try {
      if (done) done = task.runner->install_again(control_.cancel);
    } catch (const std::exception&) {
      done = Error{ErrorCode::kOverloaded, "[fleet] out of memory or threads; it is tried again"};
    }
    task.installed = std::chrono::steady_clock::now();
    if (done) return;
    task.runner.reset();
    task.state = TaskState::kDown;
    task.why = done.error().message;
  });
}

Status Coordinator::tick() {
  try {
    return tick_once();
  } catch (const std::exception&) {
    return Error{ErrorCode::kOverloaded, "[fleet] out of memory or threads"};
  }
}

Status Coordinator::tick_once() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (look(false)) {
    reconcile(setup_.readmit);
    return save();
  }
  mend();
  const bool has_failed = std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& task) {
    return !task->removed && task->state == TaskState::kDown && !task->nodes.empty() &&
           std::none_of(task->nodes.begin(), task->nodes.end(), [&](std::size_t node) { return seen_.dead.contains(node); });
  });
  if (has_failed && now - retried_ > kRetryPeriod) {
    reconcile(setup_.readmit);
    retried_ = std::chrono::steady_clock::now();
  }
  if (now - saved_ > kSavePeriod) return save();
  return {};
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
