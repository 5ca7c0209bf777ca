#include "planner/what_if.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline::what_if {
namespace {

// Values this near to each other are the same.
constexpr double kTie = 1e-9;
// How far beside a threshold it is tried, as a share.
constexpr double kBeside = 1e-6;
// Newton ends after as many steps as plans take over; this many would be a defect of rounding.
constexpr int kNewtonSteps = 200;
constexpr int kGridPoints = 24;
constexpr int kBisections = 40;

bool is_same(double left, double right) { return std::abs(left - right) <= kTie * std::max(std::abs(left), std::abs(right)); }

struct Straight {
  double at = 0;
  double value = 0;
  double slope = 0;
  double operator()(double u) const { return value + slope * (u - at); }
};

class Finder {
 public:
  explicit Finder(const Search& search) : search_(search), end_(coordinate_of(search.parameter, search.towards)) {}

  Result<std::optional<double>> run() {
    TIDELINE_TRY(const std::optional<double> found, search_.is_linear ? by_lines() : by_grid());
    if (!found) return std::optional<double>();
    // Both sides are planned again: what is not seen is not said.
    TIDELINE_TRY(const bool beyond, wins(beside(*found, true)));
    TIDELINE_TRY(const bool before, wins(beside(*found, false)));
    return beyond && !before ? found : std::nullopt;
  }

  // A value beside the threshold, towards the winning side or away from it.
  double beside(double threshold, bool winning) const { return threshold * (1 + (winning == is_rising() ? kBeside : -kBeside)); }
  bool is_rising() const { return search_.towards > search_.from; }

  Result<bool> wins(double value) const {
    TIDELINE_TRY(const std::optional<Option> best, search_.best(value));
    return best && best->is_of_kind;
  }

 private:
  using Threshold = Result<std::optional<double>>;

  // A plan's line through what it costs at u; the other point is far enough away for its slope to be exact.
  Straight line(const Option& option, double u) const {
    const double other = u == end_ ? coordinate_of(search_.parameter, search_.from) : end_;
    return {u, option.value, (option.value_at(value_at(search_.parameter, other)) - option.value) / (other - u)};
  }

  Threshold by_lines() const {
    double at = coordinate_of(search_.parameter, search_.from);
    TIDELINE_TRY(const std::optional<Option> last, search_.of_kind(search_.towards));
    if (!last) return std::optional<double>();
    TIDELINE_TRY(std::optional<Option> best, search_.best(search_.from));
    for (int step = 0; step < kNewtonSteps; ++step) {
      if (!best || best->is_of_kind) return std::optional<double>();
      const Straight rival = line(*best, at);
      TIDELINE_TRY(const std::optional<double> meets, meeting(rival, at, *last));
      if (!meets) return std::optional<double>();
      const double value = value_at(search_.parameter, *meets);
      TIDELINE_TRY(best, search_.best(value));
      TIDELINE_TRY(const std::optional<Option> kind, search_.of_kind(value));
      if (!best || !kind) return std::optional<double>();
      if (best->is_of_kind || kind->value <= best->value || is_same(kind->value, best->value)) return std::optional(value);
      at = *meets;
    }
    return std::optional<double>();
  }

  // Where the best of the kind, which is concave, first comes down to the rival's line on the way from `at` to the end. From the
  // far end back: the line of the best of the kind is never below the kind's value, so every crossing is still beyond the first.
  Threshold meeting(const Straight& rival, double at, const Option& last) const {
    double u = end_;
    Option kind = last;
    if (kind.value > rival(u) && !is_same(kind.value, rival(u))) return std::optional<double>();
    for (int step = 0; step < kNewtonSteps; ++step) {
      const Straight own = line(kind, u);
      const double fall = rival.slope - own.slope;
      if (fall == 0) return std::optional(u);
      const double next = u + (own.value - rival(u)) / fall;
      const bool is_between = (next - at) * (end_ - at) > 0 && std::abs(next - at) <= std::abs(u - at);
      if (!is_between || is_same(next, u)) return std::optional(u);
      TIDELINE_TRY(const std::optional<Option> found, search_.of_kind(value_at(search_.parameter, next)));
      if (!found) return std::optional<double>();
      u = next;
      kind = *found;
      if (kind.value >= rival(u) || is_same(kind.value, rival(u))) return std::optional(u);
    }
    return std::optional(u);
  }

  // Evenly in the logarithm of the coordinate.
  double grid(int point) const {
    const double from = std::log(coordinate_of(search_.parameter, search_.from));
    const double to = std::log(end_);
    if (point == kGridPoints) return search_.towards;
    return value_at(search_.parameter, std::exp(from + (to - from) * point / kGridPoints));
  }

  Threshold by_grid() const {
    double lost = search_.from;
    for (int point = 1; point <= kGridPoints; ++point) {
      const double value = grid(point);
      TIDELINE_TRY(const bool won, wins(value));
      if (won) return narrowed(lost, value);
      lost = value;
    }
    return std::optional<double>();
  }

  Threshold narrowed(double lost, double won) const {
    for (int i = 0; i < kBisections && std::abs(won - lost) > 0.2 * kBeside * std::abs(won); ++i) {
      const double middle = (lost + won) / 2;
      TIDELINE_TRY(const bool is_won, wins(middle));
      (is_won ? won : lost) = middle;
    }
    return std::optional(won);
  }

  const Search& search_;
  const double end_;
};

// With so many digits, away from what it is now.
double rounded(double value, int digits, bool up) {
  const double unit = std::pow(10.0, std::floor(std::log10(std::abs(value))) - digits + 1);
  return (up ? std::ceil(value / unit - 1e-6) : std::floor(value / unit + 1e-6)) * unit;
}

bool is_slowdown(const Parameter& parameter) { return parameter.kind == Parameter::Kind::kSlowdown; }

// In words, with the value that people see.
std::string in_words(const Case& problem, const WouldWin& change, double shown, bool is_rounded) {
  const Parameter& parameter = change.parameter;
  const std::string value = (is_rounded ? "" : change.at_least ? "just over " : "just under ") + format_value(parameter, shown);
  const std::string instead = change.now ? " instead of " + format_value(parameter, *change.now) : "";
  switch (parameter.kind) {
    case Parameter::Kind::kBandwidth:
    case Parameter::Kind::kRtt: {
      const auto& [from, to] = problem.names.links[*parameter.index];
      return fmt::format("a link of {}{} from {} to {}", value, instead, problem.names.nodes[from], problem.names.nodes[to]);
    }
    case Parameter::Kind::kSlowdown: {
      const double factor = change.at_least ? shown / *change.now : *change.now / shown;
      return fmt::format("{} {:.3g} times as {}", problem.names.nodes[*parameter.index], factor,
                         change.at_least ? "slow" : "fast");
    }
    case Parameter::Kind::kLoad:
      return fmt::format("a load of {}{} on {}", value, instead, problem.names.nodes[*parameter.index]);
    case Parameter::Kind::kLimit: break;
  }
  if (parameter.limit == Objective::kLatency) return fmt::format("a deadline of {}{}", value, instead);
  return fmt::format("a limit of {}{} on {}", value, instead, to_string(parameter.limit));
}

// How far it is from what is now, for sorting.
double size_of(const Case& problem, const WouldWin& change) {
  const double now = change.now.value_or(problem.chosen_latency_ms);
  const double size = std::abs(std::log(coordinate_of(change.parameter, change.needed) / coordinate_of(change.parameter, now)));
  return std::round(size * 1e6);  // a node's factor and its load are the same change
}

class Run {
 public:
  explicit Run(const Case& problem) : problem_(problem) {}

  Result<WhatIf> all() {
    WhatIf result;
    for (const Case::Entry& entry : problem_.candidates) {
      std::vector<WouldWin>& list = result.changes.emplace_back();
      if (!entry.is_open) continue;
      for (const std::uint32_t link : both(entry.uses.links, problem_.chosen.links))
        TIDELINE_CHECK_OK(both_ways(entry, {.kind = Parameter::Kind::kBandwidth, .index = link}, list));
      for (const std::uint32_t node : both(entry.uses.nodes, problem_.chosen.nodes))
        TIDELINE_CHECK_OK(both_ways(entry, {.kind = Parameter::Kind::kSlowdown, .index = node}, list));
      for (const Objective objective : kObjectives)
        if (problem_.question.limits.of(objective) ||
            (objective == Objective::kLatency && problem_.question.objective != Objective::kLatency))
          TIDELINE_CHECK_OK(both_ways(entry, {.kind = Parameter::Kind::kLimit, .limit = objective}, list));
      std::stable_sort(list.begin(), list.end(), [this](const WouldWin& left, const WouldWin& right) {
        return size_of(problem_, left) < size_of(problem_, right);
      });
    }
    result.is_complete = !is_exhausted_;
    return result;
  }

 private:
  static std::vector<std::uint32_t> both(std::vector<std::uint32_t> left, const std::vector<std::uint32_t>& right) {
    left.insert(left.end(), right.begin(), right.end());
    std::sort(left.begin(), left.end());
    left.erase(std::unique(left.begin(), left.end()), left.end());
    return left;
  }

  Status both_ways(const Case::Entry& entry, const Parameter& parameter, std::vector<WouldWin>& list) {
    const std::optional<double> now = problem_.now(parameter);
    // A deadline that nobody has set is as good as one of what the chosen plan takes.
    const double from = now.value_or(problem_.chosen_latency_ms * (1 + 10 * kBeside));
    if (!(from > 0) || !std::isfinite(from)) return {};
    const bool may_rise = now.has_value();
    double highest = from * kWhatIfFactorMax;
    if (parameter.kind == Parameter::Kind::kLimit && parameter.limit == Objective::kAccuracy) highest = 1;
    if (may_rise && highest > from) TIDELINE_CHECK_OK(one_way(entry, parameter, now, from, highest, list));
    return one_way(entry, parameter, now, from, from / kWhatIfFactorMax, list);
  }

  Plans counted(const std::function<Result<std::optional<Option>>(const Parameter&, double)>& plan, const Parameter& parameter) {
    return [this, &plan, parameter](double value) -> Result<std::optional<Option>> {
      if (plans_ >= problem_.plans_max) {
        is_exhausted_ = true;
        return std::optional<Option>();
      }
      ++plans_;
      return plan(parameter, value);
    };
  }

  Status one_way(const Case::Entry& entry, const Parameter& parameter, std::optional<double> now, double from, double towards,
                 std::vector<WouldWin>& list) {
    const Search search{.parameter = parameter,
                        .from = from,
                        .towards = towards,
                        .is_linear = problem_.is_linear && parameter.kind != Parameter::Kind::kLimit,
                        .best = counted(entry.best, parameter),
                        .of_kind = counted(entry.of_kind, parameter)};
    TIDELINE_TRY(const std::optional<double> needed, first_win(search));
    if (!needed) return {};
    WouldWin change{.parameter = parameter,
                    .now = now,
                    .needed = *needed,
                    .at_least = towards > from,
                    .is_exact = search.is_linear,
                    .name = to_string(parameter, problem_.names)};
    TIDELINE_TRY(const std::optional<double> shown, rounded_win(search, *needed));
    change.text = in_words(problem_, change, shown.value_or(*needed), shown.has_value());
    list.push_back(change);
    if (is_slowdown(parameter)) add_load(change, shown.value_or(*needed), list);
    return {};
  }

  // What a node's factor is as other work on it: now / (1 - load) becomes needed / (1 - load).
  void add_load(const WouldWin& slower, double shown, std::vector<WouldWin>& list) const {
    const std::uint32_t node = *slower.parameter.index;
    const double load = node < problem_.loads.size() ? problem_.loads[node] : 0;
    const auto as_load = [&](double slowdown) { return 1 - (1 - load) * *slower.now / slowdown; };
    const double needed = as_load(slower.needed);
    if (!(needed >= 0 && needed <= kLoadMax)) return;
    WouldWin change = slower;
    change.parameter.kind = Parameter::Kind::kLoad;
    change.now = load;
    change.needed = needed;
    change.name = to_string(change.parameter, problem_.names);
    // Up to what people see of the other; in whole hundredths where that is enough.
    const double limit = std::clamp(as_load(shown), 0.0, kLoadMax);
    const double hundredths = rounded(needed, needed < 0.1 ? 1 : 2, change.at_least);
    const bool is_within =
        change.at_least ? hundredths <= limit && hundredths > needed : hundredths >= limit && hundredths < needed;
    change.text = in_words(problem_, change, is_within ? hundredths : needed, is_within);
    list.push_back(std::move(change));
  }

  const Case& problem_;
  std::size_t plans_ = 0;
  bool is_exhausted_ = false;
};

}  // namespace

Result<std::optional<double>> first_win(const Search& search) { return Finder(search).run(); }

Result<std::optional<double>> rounded_win(const Search& search, double threshold) {
  const Finder finder(search);
  // Of a node people see how many times slower or faster it is.
  const double factor = is_slowdown(search.parameter) ? 1 / search.from : unit_factor(search.parameter);
  const bool is_faster = is_slowdown(search.parameter) && !finder.is_rising();
  for (const int digits : {2, 3}) {
    const double shown = is_faster ? 1 / rounded(1 / (threshold * factor), digits, true) / factor
                                   : rounded(threshold * factor, digits, finder.is_rising()) / factor;
    if (!(shown > 0)) continue;
    TIDELINE_TRY(const bool won, finder.wins(shown));
    if (won) return std::optional(shown);
  }
  return std::optional<double>();
}

Result<WhatIf> run(const Case& problem) { return Run(problem).all(); }

}  // namespace tideline::what_if
