#include "planner/table_walks.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "planner/graph_walks.h"
#include "planner/planner.h"
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

namespace {

// As many ways are planned; the shortest first.
constexpr std::size_t kWaysPlanned = 64;

// Makes candidates of a chain of ops, each the best of its kind whatever the limits, but for what they allow to be lost.
class CandidateMaker {
 public:
  CandidateMaker(const Table& given, const Question& question, const CancelToken& cancel)
      : question_(question), cancel_(cancel), table_(as_asked_for(given, question)), anywhere_(table_), free_(question) {
    anywhere_.keep_on_source = 0;
    free_.pareto.clear();
    free_.limits = {};
    if (!question.pareto.empty()) free_.objective = question.pareto[0];
    as_asked_ = free_;
    if (question.may_lose_accuracy()) as_asked_.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    problem_ = make_walk_problem(table_, as_asked_);
  }

  using Made = Result<std::optional<WalkCandidate>>;

  Made native(std::uint32_t device) const {
    const WalkProblem alone = everything_on(problem_, device);
    auto found = best_walk(alone, free_, cancel_);
    if (found) as_many_blocks(problem_.blocks, found->walks[0].steps);
    return made({.kind = WalkCandidate::Kind::kNative, .index = device}, alone, found);
  }

  Made leaving_by(std::uint32_t index) const {
    for (const WalkProblem::Leave& leave : problem_.leaves) {
      if (leave.exit != index) continue;
      WalkProblem one = problem_;
      one.leaves = {leave};
      return made({.kind = WalkCandidate::Kind::kExit, .index = index}, one, best_walk(one, free_, cancel_));
    }
    return std::optional<WalkCandidate>();
  }

  Made split() const { return made({.kind = WalkCandidate::Kind::kSplit}, problem_, best_split_walk(problem_, free_, cancel_)); }

  Made route(const std::vector<std::uint32_t>& via) const {
    Table narrow = table_;
    std::vector<std::uint32_t> kept;
    for (std::uint32_t link = 0; link < table_.links.size(); ++link)
      if (goes_along({table_.links[link].from, table_.links[link].to}, via)) kept.push_back(link);
    narrow.links.clear();
    for (const std::uint32_t link : kept) narrow.links.push_back(table_.links[link]);
    // What goes that way at all: everything on another device, a split, or an exit there.
    TIDELINE_TRY(std::vector<WalkCandidate> list, walk_candidates(narrow, as_asked_, cancel_));
    WalkCandidate* best = nullptr;
    const auto rank = [this](const WalkCandidate& one) {
      return (free_.objective == Objective::kAccuracy ? -1 : 1) * one.plan.value.total.of(free_.objective);
    };
    for (WalkCandidate& one : list)
      if (one.infeasible.empty() && one.plan.walk.route.size() > 1 && (best == nullptr || rank(one) < rank(*best))) best = &one;
    if (best == nullptr) return std::optional<WalkCandidate>();
    WalkCandidate candidate{.kind = WalkCandidate::Kind::kRoute, .plan = best->plan, .via = via};
    for (std::uint32_t& link : candidate.plan.walk.links) link = kept[link];
    auto value = walk_value(anywhere_, candidate.plan.walk);
    if (!value) return defect("a route answered " + value.error().message);
    candidate.plan.value = std::move(*value);
    candidate.infeasible = ruled_out(candidate.plan);
    return std::optional(std::move(candidate));
  }

  const WalkProblem& problem() const { return problem_; }

 private:
  Made made(WalkCandidate candidate, const WalkProblem& searched, const Result<FoundWalks>& found) const {
    if (!found && (found.error().code == ErrorCode::kInfeasible || found.error().code == ErrorCode::kUnsupported))
      return std::optional<WalkCandidate>();
    if (!found) return found.error();
    TIDELINE_TRY(candidate.plan, judged(anywhere_, free_, searched, found->walks[0]));
    candidate.infeasible = ruled_out(candidate.plan);
    return std::optional(std::move(candidate));
  }

  std::string ruled_out(const WalkPlan& plan) const {
    std::vector<std::string> why;
    for (std::uint32_t op = 0; op < std::min<std::size_t>(table_.keep_on_source, plan.walk.devices.size()); ++op)
      if (plan.walk.devices[op] != table_.source) {
        why.push_back(fmt::format("the first {} ops must stay on {}", table_.keep_on_source, table_.devices[table_.source]));
        break;
      }
    for (std::string& broken : broken_limits(question_, plan.value.total)) why.push_back(std::move(broken));
    for (std::size_t device = 0; question_.limits.memory && device < table_.devices.size(); ++device)
      if (table_.device_memory_bytes[device] && plan.value.memory_bytes[device] > *table_.device_memory_bytes[device])
        why.push_back(fmt::format("{} needs {}, has {}", table_.devices[device],
                                  format_value(Objective::kUpload, plan.value.memory_bytes[device]),
                                  format_value(Objective::kUpload, *table_.device_memory_bytes[device])));
    return fmt::format("{}", fmt::join(why, "; "));
  }

  const Question& question_;
  const CancelToken& cancel_;
  Table table_;
  Table anywhere_;  // the same without blocks that must stay
  Question free_;
  Question as_asked_;
  WalkProblem problem_;
};

}  // namespace

bool goes_along(const std::vector<std::uint32_t>& route, const std::vector<std::uint32_t>& via) {
  std::ptrdiff_t before = -1;
  for (std::size_t i = 0; i < route.size(); ++i) {
    const std::ptrdiff_t at = std::find(via.begin(), via.end(), route[i]) - via.begin();
    if (at == static_cast<std::ptrdiff_t>(via.size()) || (i > 0 && std::abs(at - before) != 1)) return false;
    before = at;
  }
  return true;
}

Result<std::vector<WalkCandidate>> walk_candidates(const Table& given, const Question& question, const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(given, question));
  if (!given.is_chain) return graph_candidates(as_asked_for(given, question), question);
  const CandidateMaker maker(given, question, cancel);
  std::vector<WalkCandidate> list;
  const auto add = [&](CandidateMaker::Made made) -> Status {
    if (!made) return made.error();
    if (*made) list.push_back(std::move(**made));
    return {};
  };
  for (std::uint32_t device = 0; device < given.devices.size(); ++device) TIDELINE_CHECK_OK(add(maker.native(device)));
  for (const WalkProblem::Leave& leave : maker.problem().leaves)
    if (leave.exit) TIDELINE_CHECK_OK(add(maker.leaving_by(*leave.exit)));
  TIDELINE_CHECK_OK(add(maker.split()));
  return list;
}

Result<std::vector<WalkCandidate>> walk_routes(const Table& given, const Question& question, const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(given, question));
  std::vector<WalkCandidate> list;
  if (!given.is_chain) return list;
  const GraphRoutes routes = graph_routes(version_2(given), kWaysPlanned);
  if (routes.routes.size() < 2) return list;
  const CandidateMaker maker(given, question, cancel);
  for (const GraphRoute& route : routes.routes) {
    TIDELINE_TRY(std::optional<WalkCandidate> made, maker.route(route.devices));
    if (made) list.push_back(std::move(*made));
  }
  const Objective objective = question.pareto.empty() ? question.objective : question.pareto[0];
  const auto rank = [objective](const WalkCandidate& candidate) {
    return (objective == Objective::kAccuracy ? -1 : 1) * candidate.plan.value.total.of(objective);
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const WalkCandidate& left, const WalkCandidate& right) { return rank(left) < rank(right); });
  if (list.size() > kRoutesShown) list.resize(kRoutesShown);
  return list;
}

Result<std::optional<WalkCandidate>> candidate_like(const Table& table, const Question& question, const WalkCandidate& candidate,
                                                    const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(table, question));
  if (!table.is_chain) {
    TIDELINE_TRY(std::vector<WalkCandidate> list, graph_candidates(as_asked_for(table, question), question));
    for (WalkCandidate& other : list)
      if (other.kind == candidate.kind && other.index == candidate.index) return std::optional(std::move(other));
    return std::optional<WalkCandidate>();
  }
  const CandidateMaker maker(table, question, cancel);
  switch (candidate.kind) {
    case WalkCandidate::Kind::kNative: return maker.native(candidate.index);
    case WalkCandidate::Kind::kExit: return maker.leaving_by(candidate.index);
    case WalkCandidate::Kind::kRoute: return maker.route(candidate.via);
    case WalkCandidate::Kind::kSplit: break;
  }
  return maker.split();
}

std::vector<std::string> energy_of(const Table& table) {
  std::vector<std::string> names;
  for (std::size_t device = 0; device < table.power.size(); ++device)
    if (table.power[device]) names.push_back(table.devices[device]);
  return names;
}

}  // namespace tideline
