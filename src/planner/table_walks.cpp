#include "planner/table_walks.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "planner/graph_walks.h"
#include "planner/search_walks.h"

namespace tideline {
namespace {

bool counts_energy(const Table& table) {
  return std::any_of(table.power.begin(), table.power.end(), [](const auto& power) { return power.has_value(); });
}

Status check_question(const Table& table, const Question& question) {
  if (!table.is_chain) TIDELINE_CHECK_OK(check_graph_question(table, question));
  if (question.asks_for(Objective::kEnergy) && !counts_energy(table))
    return Error{
        ErrorCode::kInvalidArgument,
        "[plan] energy is asked for, and no device has power numbers: give at least one compute_w, transmit_w, receive_w "
        "or idle_w"};
  if (question.keep_on_source && *question.keep_on_source > table.op_count())
    return Error{ErrorCode::kInvalidArgument, fmt::format("[plan] {} ops must stay on the source, and the table has {}",
                                                          *question.keep_on_source, table.op_count())};
  return {};
}

Error defect(const std::string& what) { return Error{ErrorCode::kInternal, "[plan] defect: " + what}; }

// The judge's opinion of a found walk, which must be the search's.
Result<WalkPlan> judged(const Table& table, const Question& question, const WalkProblem& problem, const FoundWalk& found) {
  WalkPlan plan{.planner = "labels", .walk = table_walk(problem, found.steps)};
  auto value = walk_value(table, plan.walk);
  if (!value) return defect("labels answered " + value.error().message);
  plan.value = std::move(*value);
  TIDELINE_CHECK_OK(check_judged(question, problem, found, plan.value.total));
  return plan;
}

Result<WalkPlan> best_of(const Table& table, const Question& question, const WalkProblem& problem, const CancelToken& cancel) {
  TIDELINE_TRY(const FoundWalks found, best_walk(problem, question, cancel));
  TIDELINE_TRY(WalkPlan plan, judged(table, question, problem, found.walks[0]));
  plan.note = found.note;
  return plan;
}

// The table with what the question says of keep_on_source.
Table as_asked_for(const Table& table, const Question& question) {
  Table asked = version_2(table);
  if (question.keep_on_source) asked.keep_on_source = *question.keep_on_source;
  return asked;
}

// All ops as one, on that device: to leave it between two of them and come back is never better.
WalkProblem everything_on(const WalkProblem& problem, std::uint32_t device) {
  WalkProblem one = problem;
  one.blocks = 1;
  one.keep = 1;
  one.source = device;
  one.time.assign(problem.devices, 0);
  for (std::size_t block = 0; block < problem.blocks; ++block) one.time[device] += problem.time_of(block, device);
  one.cut_bytes = {problem.cut_bytes.front(), problem.cut_bytes.back()};
  one.leaves.resize(1);
  one.leaves[0].after = 1;
  one.memory.clear();
  one.holds.clear();
  return one;
}

void as_many_blocks(std::size_t blocks, Steps& steps) {
  const auto one = std::find(steps.begin(), steps.end(), kComputes);
  steps.insert(one, blocks - 1, kComputes);
}

bool is_exhaustive(std::string_view planner) { return planner == "exhaustive"; }

Status check_planner(std::string_view planner) {
  if (planner == "auto" || planner == "labels" || is_exhaustive(planner)) return {};
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("[plan] '{}' answers no such question: objectives, limits and tables of version 2 are for auto, labels or "
                  "exhaustive",
                  printable(planner))};
}

}  // namespace

Result<WalkPlan> plan_walk(const Table& given, const Question& question, std::string_view planner, const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(given, question));
  const Table table = as_asked_for(given, question);
  if (!table.is_chain) return plan_graph(table, question, planner, cancel);
  TIDELINE_CHECK_OK(check_planner(planner));
  if (is_exhaustive(planner)) {
    TIDELINE_TRY(std::vector<WalkPlan> plans, exhaustive_walks(table, question, cancel));
    return plans[0];
  }
  return best_of(table, question, make_walk_problem(table, question), cancel);
}

Result<std::vector<WalkPlan>> walk_front(const Table& given, const Question& question, std::string_view planner,
                                         const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_planner(planner));
  TIDELINE_CHECK_OK(check_question(given, question));
  const Table table = as_asked_for(given, question);
  std::vector<WalkPlan> plans;
  if (is_exhaustive(planner)) {
    TIDELINE_TRY(plans, exhaustive_walks(table, question, cancel));
  } else {
    const WalkProblem problem = make_walk_problem(table, question);
    TIDELINE_TRY(const FoundWalks found, tradeoff_walks(problem, question, cancel));
    for (const FoundWalk& walk : found.walks) {
      TIDELINE_TRY(WalkPlan plan, judged(table, question, problem, walk));
      plan.note = found.note;
      plans.push_back(std::move(plan));
    }
  }
  std::vector<Values> values;
  for (const WalkPlan& plan : plans) values.push_back(plan.value.total);
  std::vector<WalkPlan> front;
  for (const std::size_t index : front_of(question, values)) front.push_back(std::move(plans[index]));
  return front;
}

Result<std::vector<LimitReport>> why_not(const Table& table, const Question& question, const CancelToken& cancel) {
  return why_not(question, question.keep_on_source.value_or(table.keep_on_source), [&](const Question& part) -> Result<Values> {
    TIDELINE_TRY(const WalkPlan plan, plan_walk(table, part, "auto", cancel));
    return plan.value.total;
  });
}

Result<std::vector<WalkCandidate>> walk_candidates(const Table& given, const Question& question, const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(given, question));
  const Table table = as_asked_for(given, question);
  if (!table.is_chain) return graph_candidates(table, question);
  Table anywhere = table;
  anywhere.keep_on_source = 0;
  Question free = question;
  free.pareto.clear();
  free.limits = {};
  if (!question.pareto.empty()) free.objective = question.pareto[0];
  Question as_asked = free;
  if (question.may_lose_accuracy()) as_asked.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
  const WalkProblem problem = make_walk_problem(table, as_asked);
  std::vector<WalkCandidate> list;
  const auto add = [&](WalkCandidate::Kind kind, std::uint32_t index, const WalkProblem& searched,
                       const Result<FoundWalks>& found) -> Status {
    if (!found && (found.error().code == ErrorCode::kInfeasible || found.error().code == ErrorCode::kUnsupported)) return {};
    if (!found) return found.error();
    TIDELINE_TRY(WalkPlan plan, judged(anywhere, free, searched, found->walks[0]));
    WalkCandidate candidate{.kind = kind, .index = index, .plan = std::move(plan)};
    std::vector<std::string> why;
    for (std::uint32_t op = 0; op < std::min<std::size_t>(table.keep_on_source, candidate.plan.walk.devices.size()); ++op)
      if (candidate.plan.walk.devices[op] != table.source) {
        why.push_back(fmt::format("the first {} ops must stay on {}", table.keep_on_source, table.devices[table.source]));
        break;
      }
    for (std::string& broken : broken_limits(question, candidate.plan.value.total)) why.push_back(std::move(broken));
    for (std::size_t device = 0; question.limits.memory && device < table.devices.size(); ++device)
      if (table.device_memory_bytes[device] && candidate.plan.value.memory_bytes[device] > *table.device_memory_bytes[device])
        why.push_back(fmt::format("{} needs {}, has {}", table.devices[device],
                                  format_value(Objective::kUpload, candidate.plan.value.memory_bytes[device]),
                                  format_value(Objective::kUpload, *table.device_memory_bytes[device])));
    candidate.infeasible = fmt::format("{}", fmt::join(why, "; "));
    list.push_back(std::move(candidate));
    return {};
  };
  for (std::uint32_t device = 0; device < table.devices.size(); ++device) {
    const WalkProblem native = everything_on(problem, device);
    auto found = best_walk(native, free, cancel);
    if (found) as_many_blocks(problem.blocks, found->walks[0].steps);
    TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kNative, device, native, found));
  }
  for (const WalkProblem::Leave& leave : problem.leaves) {
    if (!leave.exit) continue;
    WalkProblem one = problem;
    one.leaves = {leave};
    TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kExit, *leave.exit, one, best_walk(one, free, cancel)));
  }
  TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kSplit, 0, problem, best_split_walk(problem, free, cancel)));
  return list;
}

std::vector<std::string> energy_of(const Table& table) {
  std::vector<std::string> names;
  for (std::size_t device = 0; device < table.power.size(); ++device)
    if (table.power[device]) names.push_back(table.devices[device]);
  return names;
}

}  // namespace tideline
