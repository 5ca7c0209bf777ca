#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "schedule/queueing/queueing.h"

namespace tideline::schedule {
namespace {

// Service times on the edge that are tried, as parts of the longest possible: twenty-fourths.
constexpr int kServiceParts = 24;
// Four hundred megabytes of choices.
constexpr std::size_t kQueueingChoicesMax = 10'000'000;
// Above so many tasks, amounts of data are rounded up to the next step of one percent where they only decide the time in the
// cloud, so that tasks share their choices.
constexpr std::size_t kExactTasksMax = 10'000;
constexpr double kDataStep = 1.01;

struct QueueingChoice {
  Layer layer;  // in the reduced instance
  Grant grant;
};

double total_data(const Instance& instance, const Task& task) {
  double total = 0;
  for (const Touch& touch : instance.touches_of(task)) total += touch.data_mb_s;
  return total;
}

// Every way to serve the task in time that no other beats in both demands, by rising work; empty: there is none.
std::vector<QueueingChoice> queueing_choices(const TaskModel& model, const Task& task, double data, double cloud_gflop_s,
                                             const WaitTable& waits) {
  const double limit = task.latency_s - task.fixed_s;
  std::vector<QueueingChoice> all;
  const auto add = [&](std::uint32_t k, double work, double output_mbit, double compute_s, double transfer_s) {
    if ((work > 0 && !(compute_s > 0)) || (output_mbit > 0 && !(transfer_s > 0))) return;
    const Grant grant{.admitted = true,
                      .layers = k,
                      .mbit_s_per_mb = output_mbit > 0 ? output_mbit / (task.rate_hz * transfer_s) : 0,
                      .gflop_s_per_mb = work > 0 ? work / (task.rate_hz * compute_s) : 0};
    // No unit of an instance reaches beyond its numbers: what needs that much has no choice.
    if (grant.mbit_s_per_mb > 1e11 || grant.gflop_s_per_mb > 1e11) return;
    all.push_back({{.ratio = grant.mbit_s_per_mb * task.latency_s / 8, .gflop_per_mb = grant.gflop_s_per_mb}, grant});
  };
  for (std::uint32_t k = task.raw_stays ? 1 : 0; k <= model.layers.size(); ++k) {
    const double cloud_s = data * rest_gflop_per_mb(model, k) / (task.rate_hz * cloud_gflop_s);
    if (task.rate_hz * cloud_s > waits.load_max() || !(limit > cloud_s)) continue;
    const double work = k == 0 ? 0 : model.layers[k - 1].gflop_per_mb;
    const double output_mbit = 8 * (k == 0 ? 1 : model.layers[k - 1].ratio);
    const double longest = waits.longest(task.rate_hz, 0, cloud_s, limit);
    if (work == 0 || output_mbit == 0) {
      add(k, work, output_mbit, longest, longest);
      continue;
    }
    for (int part = 1; part <= kServiceParts; ++part) {
      const double compute_s = longest * part / kServiceParts;
      add(k, work, output_mbit, compute_s, waits.longest(task.rate_hz, compute_s, cloud_s, limit));
    }
  }
  // Of equals the shallower stays.
  std::stable_sort(all.begin(), all.end(), [](const QueueingChoice& a, const QueueingChoice& b) {
    return std::tie(a.layer.gflop_per_mb, a.layer.ratio) < std::tie(b.layer.gflop_per_mb, b.layer.ratio);
  });
  std::vector<QueueingChoice> best;
  for (const QueueingChoice& choice : all)
    if (best.empty() || choice.layer.ratio < best.back().layer.ratio) best.push_back(choice);
  return best;
}

}  // namespace

std::string_view to_string(RequestArrivals arrivals) { return arrivals == RequestArrivals::kPeriodic ? "periodic" : "poisson"; }

std::uint32_t QueueingSchedule::admitted() const {
  return static_cast<std::uint32_t>(std::count_if(grants.begin(), grants.end(), [](const Grant& g) { return g.admitted; }));
}

std::uint32_t QueueingSchedule::deployed() const {
  return static_cast<std::uint32_t>(
      std::count_if(grants.begin(), grants.end(), [](const Grant& g) { return g.admitted && g.layers > 0; }));
}

Status check(const QueueingOptions& options) {
  if (!(options.cloud_gflop_s > 0) || !std::isfinite(options.cloud_gflop_s))
    return Error{ErrorCode::kInvalidArgument, "[schedule] the cloud needs a speed above 0 (--cloud-gflops)"};
  if (!(options.late_share >= 1e-6 && options.late_share <= 0.5))
    return Error{ErrorCode::kInvalidArgument,
                 "[schedule] the share of late requests must be from 0.000001 to 0.5 (--late-share)"};
  return {};
}

WaitTable waits_of(const QueueingOptions& options) {
  return options.arrivals == RequestArrivals::kPeriodic ? WaitTable::periodic() : WaitTable::poisson(options.late_share);
}

double cloud_service_s(const Instance& instance, const Task& task, std::uint32_t layers, double cloud_gflop_s) {
  return total_data(instance, task) * rest_gflop_per_mb(instance.model_of(task), layers) / (task.rate_hz * cloud_gflop_s);
}

RequestTimes times_of(const Instance& instance, const Task& task, const Grant& grant, double cloud_gflop_s,
                      const WaitTable& waits) {
  const std::vector<Layer>& layers = instance.model_of(task).layers;
  const double work = grant.layers == 0 ? 0 : layers[grant.layers - 1].gflop_per_mb;
  const double output_mbit = 8 * (grant.layers == 0 ? 1 : layers[grant.layers - 1].ratio);
  RequestTimes times{.fixed_s = task.fixed_s};
  if (work > 0) times.compute_s = work / (task.rate_hz * grant.gflop_s_per_mb);
  if (output_mbit > 0) times.transfer_s = output_mbit / (task.rate_hz * grant.mbit_s_per_mb);
  times.cloud_s = cloud_service_s(instance, task, grant.layers, cloud_gflop_s);
  const double longest = std::max({times.compute_s, times.transfer_s, times.cloud_s});
  times.load = task.rate_hz * longest;
  times.wait_s = longest * waits.wait(std::min(times.load, waits.load_max()));
  return times;
}

Result<QueueingReduction> reduce_queueing(const Instance& instance, const QueueingOptions& options) {
  TIDELINE_CHECK_OK(check(options));
  const WaitTable waits = waits_of(options);
  QueueingReduction reduction;
  reduction.instance.bandwidth_share = instance.bandwidth_share;
  reduction.instance.servers = instance.servers;
  const bool rounds = instance.tasks.size() > kExactTasksMax;
  constexpr std::uint32_t kNoWay = 0xffffffff;
  std::map<std::tuple<std::uint32_t, bool, double, double, double, double>, std::uint32_t> known;
  std::size_t choices = 0;
  for (std::uint32_t j = 0; j < instance.tasks.size(); ++j) {
    Task task = instance.tasks[j];
    double data = total_data(instance, task);
    if (rounds) data = std::pow(kDataStep, std::ceil(std::log(data) / std::log(kDataStep)));
    const auto [entry, is_new] =
        known.try_emplace({task.model, task.raw_stays, task.latency_s, task.rate_hz, task.fixed_s, data}, kNoWay);
    if (is_new) {
      const auto ways = queueing_choices(instance.model_of(task), task, data, options.cloud_gflop_s, waits);
      choices += ways.size();
      if (choices > kQueueingChoicesMax)
        return Error{ErrorCode::kOverloaded,
                     fmt::format("[schedule] the queueing model of this instance has over {} choices: use fewer tasks",
                                 kQueueingChoicesMax)};
      if (!ways.empty()) {
        entry->second = static_cast<std::uint32_t>(reduction.choices.size());
        TaskModel model{.name = fmt::format("{}/{}", instance.model_of(task).name, entry->second), .layers = {}};
        std::vector<Grant>& grants = reduction.choices.emplace_back();
        for (const QueueingChoice& way : ways) {
          model.layers.push_back(way.layer);
          grants.push_back(way.grant);
        }
        reduction.instance.models.push_back(std::move(model));
      }
    }
    if (entry->second == kNoWay) continue;
    const auto touches = instance.touches_of(task);
    task.model = entry->second;
    task.first_touch = reduction.instance.touches.size();
    reduction.instance.touches.insert(reduction.instance.touches.end(), touches.begin(), touches.end());
    reduction.instance.tasks.push_back(task);
    reduction.tasks.push_back(j);
  }
  return reduction;
}

QueueingSchedule QueueingReduction::expand(const Instance& original, const Schedule& reduced,
                                           const QueueingOptions& options) const {
  QueueingSchedule schedule{.policy = reduced.policy,
                            .options = options,
                            .grants = std::vector<Grant>(original.tasks.size()),
                            .curve = reduced.curve,
                            .multipliers = reduced.multipliers,
                            .upper_bound = 0};
  if (!reduced.multipliers.bandwidth.empty()) schedule.upper_bound = bound_queueing(original, reduced.multipliers, options);
  for (std::size_t j = 0; j < tasks.size(); ++j)
    if (reduced.layers[j] > 0) schedule.grants[tasks[j]] = choices[instance.tasks[j].model][reduced.layers[j] - 1];
  return schedule;
}

}  // namespace tideline::schedule
