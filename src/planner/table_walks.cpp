#include "planner/table_walks.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "planner/search_labels.h"

namespace tideline {
namespace {

// Values that count as one in a front.
constexpr double kSame = 1e-9;
// How the search for the least period closes in.
constexpr double kPeriodGap = 1e-6;
// Limits that nothing breaks.
constexpr double kAnyAccuracy = -1e6;

bool counts_energy(const Table& table) {
  return std::any_of(table.power.begin(), table.power.end(), [](const auto& power) { return power.has_value(); });
}

Status check_question(const Table& table, const Question& question) {
  if (!table.is_chain)
    return Error{
        ErrorCode::kUnsupported,
        "[plan] the edges of this table are a graph: objectives, limits and tables of version 2 are for ops in a row so far; "
        "leave `edges` out, or use version 1 and plan for latency"};
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

// In the search's units, with the tolerance of keeps().
void set_limits(const WalkProblem& problem, const Question& question, LabelQuestion& labels) {
  const auto loose = [](double limit) { return limit + kSame * std::abs(limit); };
  if (const auto limit = question.limits.of(Objective::kLatency)) labels.limits[kTime] = loose(*limit);
  if (const auto limit = question.limits.of(Objective::kEnergy)) labels.limits[kEnergy] = loose(*limit * 1e3);
  if (const auto limit = question.limits.of(Objective::kUpload)) labels.limits[kUpload] = loose(*limit);
  if (const auto limit = question.limits.of(Objective::kAccuracy))
    labels.limits[kLoss] = (problem.accuracy - *limit + kSame) / kLossUnit;
  if (const auto limit = question.limits.of(Objective::kPeriod)) labels.period = loose(*limit);
}

std::string what_to_drop(const Question& question) {
  std::vector<std::string> heavy;
  if (question.limits.memory) heavy.emplace_back("--limit memory");
  if (question.limits.of(Objective::kPeriod)) heavy.emplace_back("--limit period");
  const auto& pareto = question.pareto;
  if (std::find(pareto.begin(), pareto.end(), Objective::kPeriod) != pareto.end()) heavy.emplace_back("period in --pareto");
  if (heavy.empty() && pareto.size() > 2) heavy.emplace_back("one quantity of --pareto");
  if (heavy.empty()) {
    for (const Objective objective : kObjectives)
      if (question.limits.of(objective)) heavy.push_back(fmt::format("--limit {}", to_string(objective)));
  }
  return heavy.empty() ? "some devices, links or codecs" : fmt::format("{}", fmt::join(heavy, " or "));
}

Error too_many(const Question& question) {
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("[plan] the exact answer takes more combinations than this program looks at: drop {}", what_to_drop(question))};
}

Error infeasible() { return Error{ErrorCode::kInfeasible, "[plan] no plan keeps all limits"}; }

Error defect(const std::string& what) { return Error{ErrorCode::kInternal, "[plan] defect: " + what}; }

bool is_near(double left, double right) { return std::abs(left - right) <= 1e-9 * (1 + std::abs(left)); }

// The judge's opinion of a found walk, which must be the search's.
Result<WalkPlan> judged(const Table& table, const Question& question, const WalkProblem& problem, const FoundWalk& found) {
  WalkPlan plan{.planner = "labels", .walk = table_walk(problem, found.steps)};
  auto value = walk_value(table, plan.walk);
  if (!value) return defect("labels answered " + value.error().message);
  plan.value = std::move(*value);
  const Values& total = plan.value.total;
  const double accuracy = problem.accuracy - found.sums[kLoss] * kLossUnit;
  if (!is_near(total.latency_ms, found.sums[kTime]) || !is_near(total.energy_j * 1e3, found.sums[kEnergy]) ||
      !is_near(total.upload_bytes, found.sums[kUpload]) || !is_near(total.period_ms, found.period) ||
      !is_near(total.accuracy, accuracy))
    return defect(
        fmt::format("labels counted {} ms, {} mJ, {} B, a period of {} ms and accuracy {}, and the definition says {} ms, "
                    "{} mJ, {} B, {} ms and {}",
                    found.sums[kTime], found.sums[kEnergy], found.sums[kUpload], found.period, accuracy, total.latency_ms,
                    total.energy_j * 1e3, total.upload_bytes, total.period_ms, total.accuracy));
  for (const Objective objective : kObjectives)
    if (const auto limit = question.limits.of(objective))
      if (!keeps(objective, total.of(objective), *limit + (objective == Objective::kAccuracy ? -kSame : kSame * *limit)))
        return defect(fmt::format("an answer breaks the limit on {}", to_string(objective)));
  return plan;
}

// How much is looked at before the walks are narrowed to those that visit no device twice: some tenths of a second.
constexpr std::size_t kLabelsAtFirst = 150'000;
constexpr std::uint64_t kComparisonsAtFirst = 50'000'000;
constexpr const char* kNoReturn =
    "among the routes that visit no device twice before the result goes home: all routes are too many";

struct Narrowed {
  std::vector<FoundWalk> walks;
  std::string note;
};

// A search with loads: over all walks where these are few enough, else over those that visit no device twice.
Result<Narrowed> search_loads(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  if (!labels.period) {
    TIDELINE_TRY(std::vector<FoundWalk> walks, search_labels(problem, labels, cancel));
    return Narrowed{std::move(walks), ""};
  }
  if (!labels.no_return) {
    LabelQuestion first = labels;
    first.labels_max = kLabelsAtFirst;
    first.comparisons_max = kComparisonsAtFirst;
    auto all = search_labels(problem, first, cancel);
    if (all) return Narrowed{std::move(*all), ""};
    if (all.error().code != ErrorCode::kUnsupported) return all.error();
    labels.no_return = true;
  }
  TIDELINE_TRY(std::vector<FoundWalk> walks, search_labels(problem, labels, cancel));
  return Narrowed{std::move(walks), kNoReturn};
}

// Closes in on the least period of the walks that `labels` lets through, from a walk that is known. The search's own tolerance is
// taken off each goal; at the end, only just below the best there is none.
Status close_in(const WalkProblem& problem, LabelQuestion labels, FoundWalk& best, const CancelToken& cancel) {
  labels.minimise = {};
  double low = 0;
  while (best.period > 0) {
    const bool is_last = best.period - low <= best.period * kPeriodGap;
    const double goal = is_last ? best.period : (low + best.period) / 2;
    labels.period = goal * (1 - 3e-9);
    const auto better = search_labels(problem, labels, cancel);
    if (!better && better.error().code != ErrorCode::kInfeasible) return better.error();
    if (better)
      best = (*better)[0];
    else if (is_last)
      return {};
    else
      low = goal;
  }
  return {};
}

// The least period, and of the walks that have it the one that the tie rule prefers. Any walk gives an upper bound; then
// decisions "is there one with at most this?" close in - first over the walks that visit no device twice, which are few, then
// over all - and the last search takes the shortest walk within the best.
Result<Narrowed> least_period(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  const std::optional<double> limit = labels.period;
  LabelQuestion any = labels;
  any.minimise = {};
  TIDELINE_TRY(Narrowed start, search_loads(problem, any, cancel));
  FoundWalk best = start.walks[0];
  // The shortest walk is often close.
  LabelQuestion shortest = labels;
  shortest.period = std::nullopt;
  shortest.minimise = {kTime};
  if (const auto walk = search_labels(problem, shortest, cancel); walk && (*walk)[0].period < best.period) best = (*walk)[0];
  labels.no_return = true;
  const Status narrow = close_in(problem, labels, best, cancel);
  if (!narrow && narrow.error().code != ErrorCode::kUnsupported) return narrow.error();
  LabelQuestion all = labels;
  all.no_return = false;
  all.labels_max = kLabelsAtFirst;
  all.comparisons_max = kComparisonsAtFirst;
  const Status wide = close_in(problem, all, best, cancel);
  if (!wide && wide.error().code != ErrorCode::kUnsupported) return wide.error();
  if (!wide && !narrow) return narrow.error();
  labels.no_return = false;
  labels.minimise = {kTime};
  labels.period = best.period * (1 + kSame);
  if (limit) labels.period = std::min(*labels.period, *limit);
  auto found = search_loads(problem, labels, cancel);
  if (!found && found.error().code == ErrorCode::kCancelled) return found.error();
  // A walk that comes back was found on the way, and no search that is small enough finds it again.
  if (!found) found = Narrowed{{best}, kNoReturn};
  if (!wide) found->note = kNoReturn;
  return found;
}

// All trade-offs with the period: those of the other quantities within a limit on it, again and again with the limit just below
// the largest period that was found. Whatever is best at some period is among them.
Result<Narrowed> front_with_period(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  Narrowed front;
  while (true) {
    auto found = search_loads(problem, labels, cancel);
    if (!found && found.error().code == ErrorCode::kInfeasible && !front.walks.empty()) return front;
    if (!found) return found.error();
    double largest = 0;
    for (const FoundWalk& walk : found->walks) largest = std::max(largest, walk.period);
    front.walks.insert(front.walks.end(), found->walks.begin(), found->walks.end());
    if (!found->note.empty()) front.note = found->note;
    labels.no_return = !front.note.empty();
    if (largest == 0) return front;
    labels.period = largest * (1 - 3e-9);
  }
}

Result<Narrowed> search(const WalkProblem& problem, const Question& question, const CancelToken& cancel) {
  LabelQuestion labels;
  set_limits(problem, question, labels);
  if (question.objective == Objective::kPeriod) return least_period(problem, labels, cancel);
  labels.minimise = {*amount_of(question.objective)};
  return search_loads(problem, labels, cancel);
}

bool is_worse_or_same(const Question& question, const Values& left, const Values& right) {
  return std::all_of(question.pareto.begin(), question.pareto.end(), [&](Objective objective) {
    const double sign = objective == Objective::kAccuracy ? -1 : 1;
    return sign * left.of(objective) >= sign * right.of(objective) - kSame * std::abs(right.of(objective));
  });
}

// The best first; of those with the same values the one that stood first.
void keep_front(const Question& question, std::vector<WalkPlan>& plans) {
  const auto key = [&](const WalkPlan& plan) {
    std::vector<double> values;
    for (const Objective objective : question.pareto)
      values.push_back((objective == Objective::kAccuracy ? -1 : 1) * plan.value.total.of(objective));
    values.push_back(plan.value.total.latency_ms);
    return values;
  };
  std::stable_sort(plans.begin(), plans.end(),
                   [&](const WalkPlan& left, const WalkPlan& right) { return key(left) < key(right); });
  std::vector<WalkPlan> kept;
  for (WalkPlan& plan : plans) {
    const bool is_beaten = std::any_of(kept.begin(), kept.end(), [&](const WalkPlan& other) {
      return is_worse_or_same(question, plan.value.total, other.value.total);
    });
    if (is_beaten) continue;
    // One that was better by its last digits alone.
    std::erase_if(kept, [&](const WalkPlan& other) { return is_worse_or_same(question, other.value.total, plan.value.total); });
    kept.push_back(std::move(plan));
  }
  plans = std::move(kept);
}

Result<WalkPlan> best_of(const Table& table, const Question& question, const WalkProblem& problem, const CancelToken& cancel) {
  const auto found = search(problem, question, cancel);
  if (!found && found.error().code == ErrorCode::kUnsupported) return too_many(question);
  if (!found && found.error().code == ErrorCode::kInfeasible) return infeasible();
  if (!found) return found.error();
  TIDELINE_TRY(WalkPlan plan, judged(table, question, problem, found->walks[0]));
  plan.note = found->note;
  return plan;
}

// The table with what the question says of keep_on_source.
Table as_asked_for(const Table& table, const Question& question) {
  Table asked = version_2(table);
  if (question.keep_on_source) asked.keep_on_source = *question.keep_on_source;
  return asked;
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
  TIDELINE_CHECK_OK(check_planner(planner));
  TIDELINE_CHECK_OK(check_question(given, question));
  const Table table = as_asked_for(given, question);
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
    LabelQuestion labels;
    set_limits(problem, question, labels);
    for (const Objective objective : question.pareto)
      if (const auto amount = amount_of(objective)) labels.minimise.push_back(*amount);
    const bool has_period = labels.minimise.size() < question.pareto.size();
    const auto found = (has_period ? front_with_period : search_loads)(problem, labels, cancel);
    if (!found && found.error().code == ErrorCode::kUnsupported) return too_many(question);
    if (!found && found.error().code == ErrorCode::kInfeasible) return infeasible();
    if (!found) return found.error();
    for (const FoundWalk& walk : found->walks) {
      TIDELINE_TRY(WalkPlan plan, judged(table, question, problem, walk));
      plan.note = found->note;
      plans.push_back(std::move(plan));
    }
  }
  keep_front(question, plans);
  return plans;
}

Result<std::vector<LimitReport>> why_not(const Table& table, const Question& question, const CancelToken& cancel) {
  std::vector<LimitReport> report;
  Question alone = question;
  alone.pareto.clear();
  alone.limits = {};
  const std::uint32_t keep = question.keep_on_source.value_or(table.keep_on_source);
  // What the question allows does not change while its limits are dropped one by one.
  const auto is_possible = [&](const Limits& limits, bool keeps_on_source) -> Result<bool> {
    Question part{.objective = Objective::kLatency, .limits = limits};
    if (question.may_lose_accuracy() && !limits.of(Objective::kAccuracy))
      part.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    part.keep_on_source = keeps_on_source ? keep : 0;
    const auto plan = plan_walk(table, part, "auto", cancel);
    if (plan) return true;
    if (plan.error().code == ErrorCode::kInfeasible) return false;
    return plan.error();
  };
  for (const Objective objective : kObjectives) {
    const auto limit = question.limits.of(objective);
    if (!limit) continue;
    LimitReport entry{.quantity = std::string(to_string(objective)), .limit = *limit};
    Question best = alone;
    best.objective = objective;
    if (question.may_lose_accuracy()) best.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    const auto plan = plan_walk(table, best, "auto", cancel);
    if (!plan && plan.error().code != ErrorCode::kInfeasible) return plan.error();
    if (plan) entry.alone = plan->value.total.of(objective);
    report.push_back(std::move(entry));
  }
  if (question.limits.memory) report.push_back({.quantity = "memory"});
  if (keep > 0) report.push_back({.quantity = "keep-on-source", .limit = static_cast<double>(keep)});
  // Drop one after the other; what cannot be dropped clashes.
  Limits limits = question.limits;
  bool keeps_on_source = keep > 0;
  for (LimitReport& entry : report) {
    const Limits before = limits;
    const bool kept_before = keeps_on_source;
    if (entry.quantity == "memory") {
      limits.memory = false;
    } else if (entry.quantity == "keep-on-source") {
      keeps_on_source = false;
    } else {
      TIDELINE_TRY(const Objective objective, parse_objective(entry.quantity));
      limits.by[std::size_t(objective)] = std::nullopt;
    }
    TIDELINE_TRY(const bool possible, is_possible(limits, keeps_on_source));
    if (!possible) continue;
    entry.clashes = true;
    limits = before;
    keeps_on_source = kept_before;
  }
  return report;
}

std::string describe(const std::vector<LimitReport>& report) {
  std::vector<std::string> clashing;
  std::vector<std::string> alone;
  for (const LimitReport& entry : report) {
    const auto objective = parse_objective(entry.quantity);
    if (objective && entry.alone) alone.push_back(fmt::format("{} {}", entry.quantity, format_value(*objective, *entry.alone)));
    if (!entry.clashes) continue;
    if (entry.quantity == "memory")
      clashing.emplace_back("the devices' memory");
    else if (!objective)
      clashing.push_back(fmt::format("{} ops on the source", entry.limit));
    else
      clashing.push_back(fmt::format("{} {} {}", entry.quantity,
                                     *objective == Objective::kAccuracy ? ">=" : "<=", format_value(*objective, entry.limit)));
  }
  return fmt::format("[plan] no plan keeps {}{}{}", fmt::join(clashing, " and "), clashing.size() > 1 ? " together" : "",
                     alone.empty() ? "" : fmt::format("; alone, the best possible is {}", fmt::join(alone, ", ")));
}

Result<std::vector<WalkCandidate>> walk_candidates(const Table& given, const Question& question, const CancelToken& cancel) {
  TIDELINE_CHECK_OK(check_question(given, question));
  const Table table = as_asked_for(given, question);
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
                       const Result<Narrowed>& found) -> Status {
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
    for (const Objective objective : kObjectives) {
      const auto limit = question.limits.of(objective);
      const double value = candidate.plan.value.total.of(objective);
      if (limit && !keeps(objective, value, *limit))
        why.push_back(fmt::format("{} {}, the limit is {}", to_string(objective), format_value(objective, value),
                                  format_value(objective, *limit)));
    }
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
    WalkProblem native = problem;
    std::erase_if(native.leaves, [](const WalkProblem::Leave& leave) { return leave.exit.has_value(); });
    native.keep = native.blocks;
    native.source = device;
    TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kNative, device, native, search(native, free, cancel)));
  }
  for (const WalkProblem::Leave& leave : problem.leaves) {
    if (!leave.exit) continue;
    WalkProblem one = problem;
    one.leaves = {leave};
    TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kExit, *leave.exit, one, search(one, free, cancel)));
  }
  if (const auto amount = amount_of(free.objective)) {
    LabelQuestion labels{.minimise = {*amount}};
    labels.two_devices = true;
    TIDELINE_CHECK_OK(add(WalkCandidate::Kind::kSplit, 0, problem, search_loads(problem, labels, cancel)));
  }
  return list;
}

std::vector<std::string> energy_of(const Table& table) {
  std::vector<std::string> names;
  for (std::size_t device = 0; device < table.power.size(); ++device)
    if (table.power[device]) names.push_back(table.devices[device]);
  return names;
}

}  // namespace tideline
