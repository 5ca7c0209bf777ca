#include "planner/search_walks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "planner/pipeline.h"

namespace tideline {
namespace {

// How near the search for the least period closes in before it asks for anything better at all: periods are sums of few numbers,
// so there is seldom another.
constexpr double kPeriodGap = 1e-3;

// In the search's units, with half the tolerance of keeps(), so that the judge, who adds up in another order, agrees.
void set_limits(const WalkProblem& problem, const Question& question, LabelQuestion& labels) {
  const auto loose = [](double limit) { return limit + kSameValue / 2 * std::abs(limit); };
  if (const auto limit = question.limits.of(Objective::kLatency)) labels.limits[kTime] = loose(*limit);
  if (const auto limit = question.limits.of(Objective::kEnergy)) labels.limits[kEnergy] = loose(*limit * 1e3);
  if (const auto limit = question.limits.of(Objective::kUpload)) labels.limits[kUpload] = loose(*limit);
  if (const auto limit = question.limits.of(Objective::kAccuracy))
    labels.limits[kLoss] = (problem.accuracy - *limit + kSameValue) / kLossUnit;
  if (question.tolerance && !problem.codes.empty()) labels.limits[kError] = loose(*question.tolerance);
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

constexpr std::size_t kNumbersAtFirst = 1'500'000;
constexpr std::uint64_t kComparedAtFirst = 60'000'000;
constexpr const char* kNoReturn =
    "among the routes that visit no device twice before the result goes home: all routes are too many";

void narrow(const WalkProblem& problem, LabelQuestion& labels) {
  const std::size_t width = problem.devices + problem.ways + 2;
  labels.labels_max = kNumbersAtFirst / width;
  labels.comparisons_max = kComparedAtFirst / width;
}

// Over the walks that visit no device twice.
Result<FoundWalks> search_narrowed(const WalkProblem& problem, const LabelQuestion& labels, const CancelToken& cancel) {
  if (labels.minimise == std::vector<std::size_t>{kTime} && is_pipeline(problem, labels)) {
    auto shortest = shortest_pipeline(problem, *labels.period);
    if (shortest) return FoundWalks{{std::move(*shortest)}, kNoReturn};
    if (shortest.error().code != ErrorCode::kUnsupported) return shortest.error();
  }
  TIDELINE_TRY(std::vector<FoundWalk> walks, search_labels(problem, labels, cancel));
  return FoundWalks{std::move(walks), kNoReturn};
}

// A search with loads: over all walks where these are few enough, else over those that visit no device twice.
Result<FoundWalks> search_loads(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  if (!labels.period) {
    TIDELINE_TRY(std::vector<FoundWalk> walks, search_labels(problem, labels, cancel));
    return FoundWalks{std::move(walks), ""};
  }
  if (labels.no_return) return search_narrowed(problem, labels, cancel);
  LabelQuestion first = labels;
  narrow(problem, first);
  auto all = search_labels(problem, first, cancel);
  if (all) return FoundWalks{std::move(*all), ""};
  if (all.error().code != ErrorCode::kUnsupported) return all.error();
  labels.no_return = true;
  auto narrowed = search_narrowed(problem, labels, cancel);
  // Among the others there may be one.
  if (!narrowed && narrowed.error().code == ErrorCode::kInfeasible) return Error{ErrorCode::kUnsupported, ""};
  return narrowed;
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
Result<FoundWalks> least_period(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  const std::optional<double> limit = labels.period;
  std::optional<FoundWalk> pipeline;
  if (!limit && is_pipeline(problem, labels)) {
    auto found = least_period_pipeline(problem, cancel);
    if (!found && found.error().code != ErrorCode::kUnsupported) return found.error();
    if (found) pipeline = std::move(*found);
  }
  FoundWalk best;
  Status narrowed;
  if (pipeline) {
    best = *pipeline;
    labels.no_return = true;
  } else {
    LabelQuestion any = labels;
    any.minimise = {};
    TIDELINE_TRY(FoundWalks start, search_loads(problem, any, cancel));
    best = start.walks[0];
    // The shortest walk is often close.
    LabelQuestion shortest = labels;
    shortest.period = std::nullopt;
    shortest.minimise = {kTime};
    if (const auto walk = search_labels(problem, shortest, cancel); walk && (*walk)[0].period < best.period) best = (*walk)[0];
    labels.no_return = true;
    narrowed = close_in(problem, labels, best, cancel);
    if (!narrowed && narrowed.error().code != ErrorCode::kUnsupported) return narrowed.error();
  }
  LabelQuestion all = labels;
  all.no_return = false;
  narrow(problem, all);
  const Status wide = close_in(problem, all, best, cancel);
  if (!wide && wide.error().code != ErrorCode::kUnsupported) return wide.error();
  if (!wide && !narrowed) return narrowed.error();
  if (!wide && pipeline && best.period == pipeline->period) return FoundWalks{{*pipeline}, kNoReturn};
  labels.no_return = false;
  labels.minimise = {kTime};
  labels.period = best.period * (1 + kSameValue);
  if (limit) labels.period = std::min(*labels.period, *limit);
  auto found = search_loads(problem, labels, cancel);
  if (!found && found.error().code == ErrorCode::kCancelled) return found.error();
  // A walk that comes back was found on the way, and no search that is small enough finds it again.
  if (!found) found = FoundWalks{{best}, kNoReturn};
  if (!wide) found->note = kNoReturn;
  return found;
}

// All trade-offs with the period: those of the other quantities within a limit on it, again and again with the limit just below
// the largest period that was found. Whatever is best at some period is among them.
Result<FoundWalks> front_with_period(const WalkProblem& problem, LabelQuestion labels, const CancelToken& cancel) {
  FoundWalks front;
  while (true) {
    auto found = search_loads(problem, labels, cancel);
    if (!found && found.error().code == ErrorCode::kInfeasible && !front.walks.empty()) return front;
    if (!found && found.error().code == ErrorCode::kUnsupported && !front.walks.empty()) {
      front.note = kNoReturn;
      return front;
    }
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

bool is_worse_or_same(const Question& question, const Values& left, const Values& right) {
  return std::all_of(question.pareto.begin(), question.pareto.end(), [&](Objective objective) {
    const double sign = objective == Objective::kAccuracy ? -1 : 1;
    return sign * left.of(objective) >= sign * right.of(objective) - kSameValue * std::abs(right.of(objective));
  });
}

Result<FoundWalks> with_sentences(const Question& question, Result<FoundWalks> found) {
  if (!found && found.error().code == ErrorCode::kUnsupported) return too_many(question);
  if (!found && found.error().code == ErrorCode::kInfeasible) return infeasible();
  return found;
}

bool splits(const WalkProblem& problem, const Steps& steps) {
  std::optional<std::uint32_t> first;
  std::uint32_t at = problem.start;
  for (const std::uint32_t step : steps) {
    if (step != kComputes) {
      if ((step & kLeaves) == 0) at = problem.hops[step].to;
      continue;
    }
    at = problem.stations[at].runs;
    if (first.value_or(problem.stations[at].device) != problem.stations[at].device) return true;
    first = problem.stations[at].device;
  }
  return false;
}

bool is_near(double left, double right) { return std::abs(left - right) <= 1e-9 * (1 + std::abs(left)); }

}  // namespace

Result<FoundWalks> best_walk(const WalkProblem& problem, const Question& question, const CancelToken& cancel) {
  LabelQuestion labels;
  set_limits(problem, question, labels);
  if (question.objective == Objective::kPeriod) return with_sentences(question, least_period(problem, labels, cancel));
  labels.minimise = {*amount_of(question.objective)};
  return with_sentences(question, search_loads(problem, labels, cancel));
}

Result<FoundWalks> best_split_walk(const WalkProblem& problem, const Question& question, const CancelToken& cancel) {
  const auto amount = amount_of(question.objective);
  if (!amount) {
    TIDELINE_TRY(FoundWalks best, best_walk(problem, question, cancel));
    if (splits(problem, best.walks[0].steps)) return best;
    return Error{ErrorCode::kUnsupported, "[plan] the best split for the period is known only where it is the best of all"};
  }
  LabelQuestion labels{.minimise = {*amount}};
  set_limits(problem, question, labels);
  labels.two_devices = true;
  // A candidate beside the answer may take about as long as the answer.
  labels.labels_max = limits::kSplitLabelsMax;
  labels.comparisons_max = 100 * limits::kSplitLabelsMax;
  return with_sentences({}, search_loads(problem, labels, cancel));
}

Result<FoundWalks> tradeoff_walks(const WalkProblem& problem, const Question& question, const CancelToken& cancel) {
  LabelQuestion labels;
  set_limits(problem, question, labels);
  for (const Objective objective : question.pareto)
    if (const auto amount = amount_of(objective)) labels.minimise.push_back(*amount);
  const bool has_period = labels.minimise.size() < question.pareto.size();
  return with_sentences(question, (has_period ? front_with_period : search_loads)(problem, labels, cancel));
}

std::vector<std::size_t> front_of(const Question& question, const std::vector<Values>& values) {
  const auto key = [&](std::size_t index) {
    std::vector<double> numbers;
    for (const Objective objective : question.pareto)
      numbers.push_back((objective == Objective::kAccuracy ? -1 : 1) * values[index].of(objective));
    numbers.push_back(values[index].latency_ms);
    return numbers;
  };
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) { return key(left) < key(right); });
  std::vector<std::size_t> kept;
  for (const std::size_t index : order) {
    const auto beats = [&](std::size_t other) { return is_worse_or_same(question, values[index], values[other]); };
    if (std::any_of(kept.begin(), kept.end(), beats)) continue;
    // One that was better by its last digits alone.
    std::erase_if(kept, [&](std::size_t other) { return is_worse_or_same(question, values[other], values[index]); });
    kept.push_back(index);
  }
  return kept;
}

Values values_of(const WalkProblem& problem, const FoundWalk& walk) {
  return {.latency_ms = walk.sums[kTime],
          .energy_j = walk.sums[kEnergy] / 1e3,
          .period_ms = walk.period,
          .upload_bytes = walk.sums[kUpload],
          .accuracy = problem.accuracy - walk.sums[kLoss] * kLossUnit,
          .output_error = walk.sums[kError]};
}

Status check_judged(const Question& question, const WalkProblem& problem, const FoundWalk& walk, const Values& judged) {
  const Values searched = values_of(problem, walk);
  if (!is_near(searched.output_error, judged.output_error))
    return Error{ErrorCode::kInternal,
                 fmt::format("[plan] defect: the search has an output error of {}, and the definition says {}",
                             searched.output_error, judged.output_error)};
  for (const Objective objective : kObjectives) {
    if (!is_near(searched.of(objective), judged.of(objective)))
      return Error{ErrorCode::kInternal, fmt::format("[plan] defect: the search has {} of {}, and the definition says {}",
                                                     to_string(objective), searched.of(objective), judged.of(objective))};
    const auto limit = question.limits.of(objective);
    if (!limit) continue;
    const double loose = objective == Objective::kAccuracy ? *limit - kSameValue : *limit * (1 + kSameValue);
    if (!keeps(objective, judged.of(objective), loose))
      return Error{ErrorCode::kInternal, fmt::format("[plan] defect: an answer breaks the limit on {}", to_string(objective))};
  }
  return {};
}

std::vector<std::string> broken_limits(const Question& question, const Values& values) {
  std::vector<std::string> why;
  for (const Objective objective : kObjectives) {
    const auto limit = question.limits.of(objective);
    const double value = values.of(objective);
    if (limit && !keeps(objective, value, *limit))
      why.push_back(fmt::format("{} {}, the limit is {}", to_string(objective), format_value(objective, value),
                                format_value(objective, *limit)));
  }
  if (question.tolerance && values.output_error > *question.tolerance * (1 + kSameValue))
    why.push_back(fmt::format("output error {:.3g}, the tolerance is {:.3g}", values.output_error, *question.tolerance));
  return why;
}

}  // namespace tideline
