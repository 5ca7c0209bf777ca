#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "schedule/extended/extended.h"

namespace tideline::schedule {
namespace {

// Shares of the remaining latency for computing: eighths, so that a model has at most eight times its cuts.
constexpr int kShareParts = 8;
// Four hundred megabytes of choices.
constexpr std::size_t kChoicesMax = 10'000'000;

struct Choice {
  Layer layer;  // in the reduced instance
  Grant grant;
};

void add_choice(std::vector<Choice>& choices, const Task& task, const Grant& grant) {
  choices.push_back({{.ratio = grant.mbit_s_per_mb * task.latency_s / 8, .gflop_per_mb = grant.gflop_s_per_mb}, grant});
}

// Every way to serve the task in time that no other beats in both demands, by rising work. Never empty: the whole model on the
// edge needs no time in the cloud.
std::vector<Choice> choices_of(const Instance& instance, const Task& task, double cloud_gflop_s) {
  const std::vector<Layer>& layers = instance.model_of(task).layers;
  std::vector<Choice> all;
  for (std::uint32_t k = task.raw_stays ? 1 : 0; k <= layers.size(); ++k) {
    const double left_s = task.latency_s - cloud_time_s(instance, task, k, cloud_gflop_s);
    if (!(left_s > 0)) continue;
    const double work = k == 0 ? 0 : layers[k - 1].gflop_per_mb;
    const double output_mbit = 8 * (k == 0 ? 1 : layers[k - 1].ratio);
    const auto rate = [left_s](double amount, double share) {
      return amount == 0 ? 0 : amount * std::max(1.0, 1 / (share * left_s));
    };
    const Grant grant{.admitted = true, .layers = k};
    if (work == 0 || output_mbit == 0) {
      Grant whole = grant;
      whole.mbit_s_per_mb = rate(output_mbit, 1);
      whole.gflop_s_per_mb = rate(work, 1);
      add_choice(all, task, whole);
      continue;
    }
    for (int part = 1; part < kShareParts; ++part) {
      const double share = static_cast<double>(part) / kShareParts;
      Grant split = grant;
      split.mbit_s_per_mb = rate(output_mbit, 1 - share);
      split.gflop_s_per_mb = rate(work, share);
      add_choice(all, task, split);
    }
  }
  // Of equals the shallower stays.
  std::stable_sort(all.begin(), all.end(), [](const Choice& a, const Choice& b) {
    return std::tie(a.layer.gflop_per_mb, a.layer.ratio) < std::tie(b.layer.gflop_per_mb, b.layer.ratio);
  });
  std::vector<Choice> best;
  for (const Choice& choice : all)
    if (best.empty() || choice.layer.ratio < best.back().layer.ratio) best.push_back(choice);
  return best;
}

double data_of(const Instance& instance, const Task& task) {
  double total = 0;
  for (const Touch& touch : instance.touches_of(task)) total += touch.data_mb_s;
  return total;
}

}  // namespace

std::uint32_t ExtendedSchedule::admitted() const {
  return static_cast<std::uint32_t>(std::count_if(grants.begin(), grants.end(), [](const Grant& g) { return g.admitted; }));
}

std::uint32_t ExtendedSchedule::deployed() const {
  return static_cast<std::uint32_t>(
      std::count_if(grants.begin(), grants.end(), [](const Grant& g) { return g.admitted && g.layers > 0; }));
}

double cloud_time_s(const Instance& instance, const Task& task, std::uint32_t layers, double cloud_gflop_s) {
  return data_of(instance, task) * rest_gflop_per_mb(instance.model_of(task), layers) / cloud_gflop_s;
}

Result<Reduction> reduce_extended(const Instance& instance, const ExtendedOptions& options) {
  if (!(options.cloud_gflop_s > 0) || !std::isfinite(options.cloud_gflop_s))
    return Error{ErrorCode::kInvalidArgument, "[schedule] the cloud needs a speed above 0 (--cloud-gflops)"};
  Reduction reduction;
  reduction.instance.bandwidth_share = instance.bandwidth_share;
  reduction.instance.servers = instance.servers;
  reduction.instance.touches = instance.touches;
  // Tasks of one model, limit and amount of data share their choices.
  std::map<std::tuple<std::uint32_t, bool, double, double>, std::uint32_t> known;
  std::size_t choices = 0;
  for (std::uint32_t j = 0; j < instance.tasks.size(); ++j) {
    Task task = instance.tasks[j];
    const auto [entry, is_new] = known.try_emplace({task.model, task.raw_stays, task.latency_s, data_of(instance, task)},
                                                   static_cast<std::uint32_t>(reduction.choices.size()));
    if (is_new) {
      TaskModel model{.name = fmt::format("{}/{}", instance.model_of(task).name, reduction.choices.size())};
      std::vector<Grant>& grants = reduction.choices.emplace_back();
      for (const Choice& choice : choices_of(instance, task, options.cloud_gflop_s)) {
        model.layers.push_back(choice.layer);
        grants.push_back(choice.grant);
      }
      choices += grants.size();
      if (choices > kChoicesMax)
        return Error{
            ErrorCode::kOverloaded,
            fmt::format("[schedule] the extended model of this instance has over {} choices: use fewer tasks", kChoicesMax)};
      reduction.instance.models.push_back(std::move(model));
    }
    task.model = entry->second;
    reduction.instance.tasks.push_back(task);
  }
  return reduction;
}

ExtendedSchedule Reduction::expand(const Instance& original, const Schedule& reduced, const ExtendedOptions& options) const {
  ExtendedSchedule schedule{.policy = reduced.policy,
                            .cloud_gflop_s = options.cloud_gflop_s,
                            .grants = std::vector<Grant>(original.tasks.size()),
                            .curve = reduced.curve,
                            .multipliers = reduced.multipliers,
                            .upper_bound = 0};
  if (!reduced.multipliers.bandwidth.empty())
    schedule.upper_bound = bound_extended(original, reduced.multipliers, options.cloud_gflop_s);
  for (std::size_t j = 0; j < instance.tasks.size(); ++j)
    if (reduced.layers[j] > 0) schedule.grants[j] = choices[instance.tasks[j].model][reduced.layers[j] - 1];
  return schedule;
}

}  // namespace tideline::schedule
