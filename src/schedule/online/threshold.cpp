// Threshold policies: li2018-online, li2018-theta, zcl.
//
// All three take the paper's k (largest r * l) for the test, deploy with it or else with the nearest k that fits, never evict,
// and learn two numbers from the history: the smallest and the largest demand of a task. O(servers + layers) per arrival.
#include "schedule/online/threshold.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "schedule/online/cuts.h"
#include "schedule/online/families.h"

namespace tideline::schedule {

double zcl_threshold(double used_fraction, double w_min, double w_max) {
  return std::pow(w_min / (std::numbers::e * w_max), used_fraction) * (std::numbers::e * w_max);
}

double li2018_threshold(double exponent, double b_min, double b_max) {
  return std::pow(b_min * std::numbers::e / b_max, exponent) * (b_max * std::numbers::e);
}

namespace {

const Touch& largest_touch(const Instance& instance, const Task& task) {
  const auto touches = instance.touches_of(task);
  const Touch* largest = &touches[0];
  for (const Touch& touch : touches)
    if (touch.data_mb_s > largest->data_mb_s) largest = &touch;
  return *largest;
}

struct Extremes {
  double min = std::numeric_limits<double>::infinity();
  double max = 0;
  void add(double value) {
    // A demand of zero would make every threshold zero.
    if (value <= 0) return;
    min = std::min(min, value);
    max = std::max(max, value);
  }
};

// Shared: the paper's cut order and a first fit over it.
class ThresholdPolicy : public OnlinePolicy {
 public:
  ThresholdPolicy(const OnlineRequest& request, const Extremes& extremes)
      : deployment_(request.instance), cuts_(request.instance), extremes_(extremes) {}

  Decision arrive(std::uint32_t task) final {
    if (!admits(task)) return {};
    const std::uint32_t k =
        first_that_fits(deployment_, task, deployment_.room_for(task), cuts_.order(deployment_.instance().tasks[task]));
    if (k > 0) deployment_.place(task, k);
    return {.layers = k};
  }

  void depart(std::uint32_t task) final {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

 protected:
  virtual bool admits(std::uint32_t task) const = 0;

  Deployment deployment_;
  Li2018Cuts cuts_;
  Extremes extremes_;  // over the history
};

// B_min and B_max of the paper: required bandwidth, in Mbit/s, at the server where the task has most data.
Extremes bandwidth_extremes(const Instance& history) {
  const Li2018Cuts cuts(history);
  Extremes extremes;
  for (const Task& task : history.tasks)
    extremes.add(bandwidth_demand_mbit_s(history, task, largest_touch(history, task), cuts.best(task)));
  return extremes;
}

// The rule as printed: the product of what would remain, in Mbit/s and GFLOP/s, against theta of the remaining GFLOP/s. What
// would remain is largest on an empty server, so the rule turns everything away from the start (reading A16).
class Li2018Online final : public ThresholdPolicy {
 public:
  using ThresholdPolicy::ThresholdPolicy;

 private:
  bool admits(std::uint32_t index) const override {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[index];
    const Touch& touch = largest_touch(instance, task);
    const Server& server = instance.servers[touch.server];
    const double bandwidth_left =
        instance.bandwidth_share * server.bandwidth_mbit_s * (1 - deployment_.used_bandwidth(touch.server));
    const double compute_left = server.capacity_gflop_s * (1 - deployment_.used_compute(touch.server));
    const std::uint32_t k = cuts_.best(task);
    const double left_after = (bandwidth_left - bandwidth_demand_mbit_s(instance, task, touch, k)) *
                              (compute_left - compute_demand_gflop_s(instance, task, touch, k));
    return left_after <= li2018_threshold(compute_left, extremes_.min, extremes_.max);
  }
};

// The printed threshold made to work with the least change: the task's own demand on the left, the remaining *fraction* in the
// exponent.
class Li2018Theta final : public ThresholdPolicy {
 public:
  using ThresholdPolicy::ThresholdPolicy;

 private:
  bool admits(std::uint32_t index) const override {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[index];
    const Touch& touch = largest_touch(instance, task);
    return bandwidth_demand_mbit_s(instance, task, touch, cuts_.best(task)) <=
           li2018_threshold(1 - deployment_.used_compute(touch.server), extremes_.min, extremes_.max);
  }
};

// Of the largest share of a capacity that each task asks for.
Extremes utilisation_extremes(const Instance& history) {
  const Li2018Cuts cuts(history);
  const Deployment empty(history);
  Extremes extremes;
  for (std::uint32_t task = 0; task < history.tasks.size(); ++task)
    extremes.add(empty.utilisation_after(task, cuts.best(history.tasks[task])));
  return extremes;
}

// Zhou, Chakrabarty and Lukose's rule on every server of the task and on both resources, demands as fractions of capacities.
class Zcl final : public ThresholdPolicy {
 public:
  using ThresholdPolicy::ThresholdPolicy;

 private:
  bool admits(std::uint32_t index) const override {
    const Instance& instance = deployment_.instance();
    const Task& task = instance.tasks[index];
    const Layer& cut = deployment_.layer(index, cuts_.best(task));
    for (const Touch& touch : instance.touches_of(task)) {
      const UnitDemand unit = deployment_.unit_demand(task, touch);
      const double bandwidth_limit = zcl_threshold(deployment_.used_bandwidth(touch.server), extremes_.min, extremes_.max);
      const double compute_limit = zcl_threshold(deployment_.used_compute(touch.server), extremes_.min, extremes_.max);
      if (unit.bandwidth * cut.ratio > bandwidth_limit || unit.compute * cut.gflop_per_mb > compute_limit) return false;
    }
    return true;
  }
};

}  // namespace

Result<std::unique_ptr<OnlinePolicy>> make_li2018_online(const OnlineRequest& request) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Li2018Online>(request, bandwidth_extremes(*request.history)));
}

Result<std::unique_ptr<OnlinePolicy>> make_li2018_theta(const OnlineRequest& request) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Li2018Theta>(request, bandwidth_extremes(*request.history)));
}

Result<std::unique_ptr<OnlinePolicy>> make_zcl(const OnlineRequest& request) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Zcl>(request, utilisation_extremes(*request.history)));
}

}  // namespace tideline::schedule
