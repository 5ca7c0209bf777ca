#include "reproduce/li2018_figures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "schedule/certify.h"
#include "schedule/dual.h"
#include "schedule/generator.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"

namespace tideline::sim {
namespace {

using namespace tideline::schedule;
using report::Emphasis;

constexpr std::string_view kBoundName = "upper-bound";
// Enough for the search of `price` to come within half a percent of the bound, and the same on every machine.
constexpr std::uint64_t kSearchSteps = 20000;
constexpr unsigned kThreads = 2;
constexpr std::uint32_t kFig4bServers = 50;
constexpr std::uint32_t kFig4bStep = 50;

// One task set: a seed of one of the two sets.
struct Run {
  bool held_out = false;
  std::uint64_t seed = 0;
};

std::vector<Run> runs_of(const FigureOptions& options) {
  std::vector<Run> runs;
  for (std::uint32_t i = 0; i < options.tuning_seeds; ++i) runs.push_back({false, kTuningSeedFirst + i});
  for (std::uint32_t i = 0; i < options.held_out_seeds; ++i) runs.push_back({true, kHeldOutSeedFirst + i});
  return runs;
}

std::vector<std::vector<double>>& set_of(FigureSeries& series, bool held_out) {
  return held_out ? series.held_out : series.tuning;
}

Result<Instance> c2(const FigureOptions& options, std::uint32_t servers, std::uint32_t tasks, std::uint64_t seed) {
  return generate_instance(
      {.kind = "c2", .servers = servers, .tasks = tasks, .seed = seed, .profile_seed = options.profile_seed});
}

// U for the best multipliers, recomputed by other code than found them.
double offline_bound(const Instance& instance, const CancelToken& cancel) {
  const DualResult dual = solve_dual(instance, CutTable(instance), {.threads = kThreads, .gap = 1e-5, .cancel = cancel});
  return bound_of(instance, dual.multipliers).upper_bound;
}

const FigureSeries& series_of(const Figure& figure, std::string_view policy) {
  return *std::find_if(figure.series.begin(), figure.series.end(), [&](const FigureSeries& s) { return s.policy == policy; });
}

std::vector<double> held_out_means(const Figure& figure, std::string_view policy) {
  return means(series_of(figure, policy).held_out);
}

std::size_t count_where(std::size_t n, const std::function<bool(std::size_t)>& holds) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += holds(i) ? 1 : 0;
  return count;
}

void add_findings_4a(Figure& figure) {
  const std::size_t points = figure.x.size();
  std::array<std::vector<double>, 5> fixed;
  for (std::size_t k = 0; k < 5; ++k) fixed[k] = held_out_means(figure, fmt::format("fixed:{}", k + 1));
  const std::vector<double> layer = held_out_means(figure, "li2018");
  const std::vector<double> ours = held_out_means(figure, "price");
  const std::vector<double> bound = held_out_means(figure, kBoundName);
  const auto best_fixed = [&](std::size_t i) {
    std::size_t best = 0;
    for (std::size_t k = 1; k < 5; ++k) best = fixed[k][i] > fixed[best][i] ? k : best;
    return best;
  };
  const std::size_t above = count_where(points, [&](std::size_t i) { return layer[i] >= fixed[best_fixed(i)][i]; });
  const std::size_t rising = count_where(points - 1, [&](std::size_t i) { return layer[i + 1] > layer[i]; });
  const std::size_t second = count_where(points, [&](std::size_t i) { return best_fixed(i) == 1; });
  double least_gain = 1e9, most_gain = 0, least_share = 1, margin = 0;
  for (std::size_t i = 0; i < points; ++i) {
    least_gain = std::min(least_gain, ours[i] / layer[i] - 1);
    most_gain = std::max(most_gain, ours[i] / layer[i] - 1);
    least_share = std::min(least_share, ours[i] / bound[i]);
    margin = std::max(margin, layer[i] / fixed[best_fixed(i)][i] - 1);
  }
  figure.findings = {
      {"the paper: layer scheduling outperforms every fixed mode",
       fmt::format("at {} of {} server counts (mean), by at most {:.1f} %", above, points, 100 * margin), above == points},
      {"the paper: with more servers, more tasks", fmt::format("at {} of {} steps", rising, points - 1), rising == points - 1},
      {"the paper: two layers are the best fixed mode", fmt::format("at {} of {} server counts", second, points),
       second == points},
      {"ours: price deploys at least 99 % of what any schedule could",
       fmt::format("at least {:.2f} % of the upper bound", 100 * least_share), least_share >= 0.99},
      {"ours: price deploys more than the paper's algorithm",
       fmt::format("{:+.0f} to {:+.0f} %", 100 * least_gain, 100 * most_gain), least_gain > 0}};
}

// The first x at which `a` is at least `b` after having been below it; 0: never.
double crossing(const Figure& figure, std::string_view a, std::string_view b) {
  const std::vector<double> of_a = held_out_means(figure, a);
  const std::vector<double> of_b = held_out_means(figure, b);
  bool was_below = false;
  for (std::size_t i = 0; i < figure.x.size(); ++i) {
    if (was_below && of_a[i] >= of_b[i]) return figure.x[i];
    was_below = was_below || of_a[i] < of_b[i];
  }
  return 0;
}

void add_findings_4b(Figure& figure) {
  const std::vector<double> fifo = held_out_means(figure, "fifo");
  const std::vector<double> literal = held_out_means(figure, "li2018-online");
  const std::vector<double> recut = held_out_means(figure, "price-recut");
  const std::vector<double> zcl = held_out_means(figure, "zcl");
  const std::vector<double> bound = held_out_means(figure, kBoundName);
  const double plateau = *std::max_element(fifo.begin(), fifo.end());
  const auto near = [](double value, double wanted, double within) { return std::abs(value - wanted) <= within; };
  const auto cross_text = [](double at) { return at > 0 ? fmt::format("near {:.0f} arrivals", at) : std::string("never"); };
  const double over_fifo = crossing(figure, "zcl", "fifo");
  const double over_lbf = crossing(figure, "zcl", "lbf");
  std::size_t ahead = 0;
  double least = 1;
  for (std::size_t i = 0; i < figure.x.size(); ++i) {
    bool leads = true;
    for (const FigureSeries& series : figure.series)
      if (series.policy != kBoundName) leads = leads && recut[i] + 1e-9 >= means(series.held_out)[i];
    ahead += leads ? 1 : 0;
    least = std::min(least, recut[i] / bound[i]);
  }
  figure.findings = {
      {"the paper: its rule, as printed, deploys tasks", fmt::format("{:.1f} of {:.0f}", literal.back(), figure.x.back()),
       literal.back() > 20},
      {"the paper: FIFO saturates at 360", fmt::format("at {:.0f}", plateau), near(plateau, 360, 18)},
      {"the paper: its online algorithm passes FIFO near 600 (here: zcl, the rule it seems to mean)", cross_text(over_fifo),
       near(over_fifo, 600, 100)},
      {"the paper: its online algorithm passes LBF near 800 (here: zcl)", cross_text(over_lbf), near(over_lbf, 800, 100)},
      {"ours: price-recut leads every other online policy all the way", fmt::format("at {} of {} points", ahead, figure.x.size()),
       ahead == figure.x.size()},
      {"ours: price-recut keeps at least 95 % of what any offline schedule could deploy of the tasks so far",
       fmt::format("at least {:.1f} %, {:.1f} % at the end", 100 * least, 100 * recut.back() / bound.back()), least >= 0.95},
      {"ours: price-recut deploys more than zcl at the end", fmt::format("{:+.0f} %", 100 * (recut.back() / zcl.back() - 1)),
       recut.back() > zcl.back()}};
}

Result<Figure> fig4a(const FigureOptions& options) {
  Figure figure{.name = "li2018-fig4a",
                .title = "Deployed tasks by number of edge servers",
                .subtitle = "Li, Ota and Dong 2018, figure 4a, with what is possible beside it",
                .x_label = "edge servers",
                .x = {20, 30, 40, 50, 60, 70, 80, 90},
                .options = options};
  figure.series = {{"upper bound", std::string(kBoundName), Emphasis::kBound, {}, {}},
                   {"price (ours)", "price", Emphasis::kStrong, {}, {}},
                   {"balanced (ours)", "balanced", Emphasis::kNormal, {}, {}},
                   {"layer scheduling", "li2018", Emphasis::kNormal, {}, {}}};
  for (int k = 1; k <= 5; ++k)
    figure.series.push_back(
        {fmt::format("fixed, {} layer{}", k, k == 1 ? "" : "s"), fmt::format("fixed:{}", k), Emphasis::kFaint, {}, {}});
  const std::vector<Run> runs = runs_of(options);
  std::size_t done = 0;
  for (const Run& run : runs) {
    for (FigureSeries& series : figure.series) set_of(series, run.held_out).emplace_back();
    for (const double servers : figure.x) {
      if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[sim] interrupted"};
      TIDELINE_TRY(const Instance instance, c2(options, static_cast<std::uint32_t>(servers), options.tasks, run.seed));
      double bound = 0;
      for (FigureSeries& series : figure.series) {
        double& value = set_of(series, run.held_out).back().emplace_back();
        if (series.policy == kBoundName) continue;
        TIDELINE_TRY(const CheckedSchedule answer,
                     run_policy(series.policy, instance,
                                {.seed = run.seed, .search_steps = kSearchSteps, .threads = kThreads, .cancel = options.cancel}));
        value = answer.schedule.deployed();
        // The bound comes with price's answer; other code recomputes it.
        if (!answer.schedule.multipliers.bandwidth.empty()) bound = bound_of(instance, answer.schedule.multipliers).upper_bound;
      }
      set_of(figure.series.front(), run.held_out).back().back() = bound;
      if (options.progress) options.progress(++done, runs.size() * figure.x.size());
    }
  }
  add_findings_4a(figure);
  return figure;
}

Result<Figure> fig4b(const FigureOptions& options) {
  Figure figure{.name = "li2018-fig4b",
                .title = "Deployed tasks as tasks arrive one by one",
                .subtitle = "Li, Ota and Dong 2018, figure 4b, with what is possible beside it: 50 edge servers",
                .x_label = "tasks that have arrived",
                .options = options};
  for (std::uint32_t n = kFig4bStep; n <= options.tasks; n += kFig4bStep) figure.x.push_back(n);
  figure.series = {{"upper bound (offline)", std::string(kBoundName), Emphasis::kBound, {}, {}},
                   {"price-recut (ours)", "price-recut", Emphasis::kStrong, {}, {}},
                   {"price-relearn (ours)", "price-relearn", Emphasis::kStrong, {}, {}},
                   {"price-swap (ours)", "price-swap", Emphasis::kNormal, {}, {}},
                   {"balanced first fit", "balanced-online", Emphasis::kNormal, {}, {}},
                   {"paper's rule as meant (zcl)", "zcl", Emphasis::kNormal, {}, {}},
                   {"printed threshold, repaired", "li2018-theta", Emphasis::kNormal, {}, {}},
                   {"LBF", "lbf", Emphasis::kFaint, {}, {}},
                   {"FIFO", "fifo", Emphasis::kFaint, {}, {}},
                   {"first fit", "first-fit", Emphasis::kFaint, {}, {}},
                   {"paper's rule as printed", "li2018-online", Emphasis::kFaint, {}, {}}};
  const std::vector<Run> runs = runs_of(options);
  std::size_t done = 0;
  for (const Run& run : runs) {
    // The tasks after the arrivals are the history: same servers, independent tasks.
    TIDELINE_TRY(const Instance both, c2(options, kFig4bServers, 2 * options.tasks, run.seed));
    const Instance instance = slice_tasks(both, 0, options.tasks);
    const Instance history = slice_tasks(both, options.tasks, options.tasks);
    for (FigureSeries& series : figure.series) {
      if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[sim] interrupted"};
      std::vector<double>& values = set_of(series, run.held_out).emplace_back();
      if (series.policy == kBoundName) {
        for (const double n : figure.x)
          values.push_back(offline_bound(slice_tasks(instance, 0, static_cast<std::size_t>(n)), options.cancel));
      } else {
        TIDELINE_TRY(const OnlineRun answer,
                     run_online(series.policy, {.instance = instance, .history = &history, .cancel = options.cancel},
                                all_arrive(instance)));
        TIDELINE_TRY([[maybe_unused]] const CheckReport checked, check_schedule(instance, answer.schedule.layers));
        for (const double n : figure.x) values.push_back(answer.schedule.curve[static_cast<std::size_t>(n) - 1]);
      }
      if (options.progress) options.progress(++done, runs.size() * figure.series.size());
    }
  }
  add_findings_4b(figure);
  return figure;
}

constexpr std::array<FigureEntry, 2> kFigures{{
    {"li2018-fig4a", "deployed tasks by number of edge servers: layer scheduling, fixed modes, ours, upper bound", fig4a},
    {"li2018-fig4b", "deployed tasks as tasks arrive: the online algorithm, FIFO, LBF, ours, upper bound", fig4b},
}};

}  // namespace

std::span<const FigureEntry> figures() { return kFigures; }

std::vector<double> means(const std::vector<std::vector<double>>& by_seed) {
  if (by_seed.empty()) return {};
  std::vector<double> mean(by_seed.front().size());
  for (const std::vector<double>& values : by_seed)
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / static_cast<double>(by_seed.size());
  return mean;
}

Result<Figure> reproduce_figure(std::string_view name, const FigureOptions& options) {
  const auto entry = std::find_if(kFigures.begin(), kFigures.end(), [&](const FigureEntry& f) { return f.name == name; });
  if (entry == kFigures.end()) {
    std::vector<std::string_view> names;
    for (const FigureEntry& known : kFigures) names.push_back(known.name);
    const std::string_view meant = nearest(name, names);
    return Error{ErrorCode::kNotFound,
                 fmt::format("[sim] no figure is called '{}'; there are {} and {}{}", printable(name), names[0], names[1],
                             meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant))};
  }
  if (options.held_out_seeds == 0 || options.held_out_seeds > kHeldOutSeedsMax || options.tuning_seeds > kTuningSeedsMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[sim] there are 1 to {} held-out seeds and 0 to {} tuning seeds",
                                                          kHeldOutSeedsMax, kTuningSeedsMax)};
  if (options.tasks < kFig4bStep)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[sim] at least {} tasks are needed", kFig4bStep)};
  return entry->reproduce(options);
}

}  // namespace tideline::sim
