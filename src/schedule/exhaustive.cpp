#include "schedule/exhaustive.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "schedule/dual.h"
#include "schedule/price.h"
#include "schedule/room.h"

namespace tideline::schedule {
namespace {

constexpr std::uint64_t kNodesPerLook = 4096;
// The losses are sums of rounded numbers: a branch dies only when it is over its budget by more than this.
constexpr double kLossTolerance = 1e-6;

class Branching {
 public:
  Branching(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers, const Placement& start,
            const BranchLimits& limits)
      : instance_(instance), cuts_(cuts), multipliers_(multipliers), limits_(limits), room_(instance), best_(start) {
    const PriceList list(instance, multipliers);
    for (std::size_t i = 0; i < instance.servers.size(); ++i) bound_ += multipliers.bandwidth[i] + multipliers.compute[i];
    for (std::uint32_t j = 0; j < instance.tasks.size(); ++j) {
      decisions_.push_back(decision_of(j, list.of(instance, instance.tasks[j])));
      bound_ += decisions_.back().worth;
    }
    std::stable_sort(decisions_.begin(), decisions_.end(),
                     [](const Decision& a, const Decision& b) { return a.weight > b.weight; });
    sum_up_demands();
    now_.assign(instance.tasks.size(), kOut);
    best_count_ =
        static_cast<std::uint32_t>(best_.size() - static_cast<std::size_t>(std::count(best_.begin(), best_.end(), kOut)));
  }

  BranchResult run() {
    descend(0, 0, 0);
    return {.placement = std::move(best_), .ended = !stopped_};
  }

 private:
  struct Option {
    std::uint16_t cut;
    double loss;
  };
  struct Decision {
    std::uint32_t task;
    double worth;                 // the task's term of U
    double weight;                // what the second-best option loses
    std::vector<Option> options;  // by rising loss
  };

  Decision decision_of(std::uint32_t j, const TaskPrices& prices) const {
    const auto cuts = cuts_.of(instance_.tasks[j]);
    const double cheapest = prices.cost(cuts[PriceList::cheapest(prices, cuts)]);
    const double worth = std::max(0.0, 1 - cheapest);
    Decision decision{.task = j, .worth = worth, .weight = 0, .options = {{kOut, worth}}};
    for (std::uint16_t c = 0; c < cuts.size(); ++c) decision.options.push_back({c, prices.cost(cuts[c]) - 1 + worth});
    std::stable_sort(decision.options.begin(), decision.options.end(),
                     [](const Option& a, const Option& b) { return a.loss < b.loss; });
    decision.weight = decision.options[1].loss;
    return decision;
  }

  // demand_[d]: what the tasks from decision d on could use at most, per server, so that room beyond it is lost for certain.
  void sum_up_demands() {
    demand_.assign(decisions_.size() + 1, std::vector<Room::Left>(instance_.servers.size()));
    for (std::size_t d = decisions_.size(); d-- > 0;) {
      demand_[d] = demand_[d + 1];
      const Task& task = instance_.tasks[decisions_[d].task];
      const auto cuts = cuts_.of(task);
      for (const Touch& touch : instance_.touches_of(task)) {
        demand_[d][touch.server].bandwidth_mbit_s += touch.data_mb_s * 8 * cuts.front().ratio / task.latency_s;
        demand_[d][touch.server].compute_gflop_s += touch.data_mb_s * cuts.back().gflop_per_mb;
      }
    }
  }

  double price_of_lost_room(std::size_t depth) const {
    double lost = 0;
    for (std::uint32_t i = 0; i < instance_.servers.size(); ++i) {
      const Room::Left& left = room_.left(i);
      const Room::Left& demand = demand_[depth][i];
      lost += multipliers_.bandwidth[i] * std::max(0.0, left.bandwidth_mbit_s - demand.bandwidth_mbit_s) /
              (instance_.bandwidth_share * instance_.servers[i].bandwidth_mbit_s);
      lost += multipliers_.compute[i] * std::max(0.0, left.compute_gflop_s - demand.compute_gflop_s) /
              instance_.servers[i].capacity_gflop_s;
    }
    return lost;
  }

  double budget() const { return bound_ - (best_count_ + 1) + kLossTolerance; }

  void descend(std::size_t depth, double loss, std::uint32_t count) {
    if (++nodes_ > limits_.nodes) stopped_ = true;
    if (nodes_ % kNodesPerLook == 0 && (limits_.cancel.cancelled() || std::chrono::steady_clock::now() > limits_.deadline))
      stopped_ = true;
    if (stopped_ || loss > budget() || loss + price_of_lost_room(depth) > budget()) return;
    if (depth == decisions_.size()) {
      if (count <= best_count_) return;
      best_count_ = count;
      best_ = now_;
      return;
    }
    const Decision& decision = decisions_[depth];
    const Task& task = instance_.tasks[decision.task];
    for (const Option& option : decision.options) {
      if (loss + option.loss > budget()) return;  // the later options lose more
      if (option.cut == kOut) {
        descend(depth + 1, loss + option.loss, count);
        continue;
      }
      const Cut& cut = cuts_.of(task)[option.cut];
      if (!room_.fits(task, cut)) continue;
      room_.take(task, cut);
      now_[decision.task] = option.cut;
      descend(depth + 1, loss + option.loss, count + 1);
      now_[decision.task] = kOut;
      room_.give_back(task, cut);
    }
  }

  const Instance& instance_;
  const CutTable& cuts_;
  const Multipliers& multipliers_;
  const BranchLimits& limits_;
  Room room_;
  double bound_ = 0;
  std::vector<Decision> decisions_;
  std::vector<std::vector<Room::Left>> demand_;
  Placement now_, best_;
  std::uint32_t best_count_ = 0;
  std::uint64_t nodes_ = 0;
  bool stopped_ = false;
};

}  // namespace

BranchResult branch_and_bound(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers,
                              const Placement& start, const BranchLimits& limits) {
  return Branching(instance, cuts, multipliers, start, limits).run();
}

Result<Schedule> run_exhaustive(const Instance& instance, std::string_view, const PolicyOptions& options) {
  if (instance.tasks.size() > kExhaustiveTasksMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[schedule] exhaustive takes at most {} tasks, this instance has {}; use --policy price",
                             kExhaustiveTasksMax, instance.tasks.size())};
  const CutTable cuts(instance);
  const DualResult dual = solve_dual(instance, cuts, {.threads = 1});
  const BranchLimits limits{.deadline = std::chrono::steady_clock::now() + options.time_limit, .cancel = options.cancel};
  const BranchResult result =
      branch_and_bound(instance, cuts, dual.multipliers, round_by_price(instance, cuts, dual.multipliers), limits);
  if (!result.ended) {
    if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[schedule] interrupted"};
    return Error{ErrorCode::kUnsupported,
                 "[schedule] exhaustive has not ended within its time; raise --time-limit or use --policy price"};
  }
  Schedule schedule;
  schedule.layers.resize(instance.tasks.size());
  for (std::size_t j = 0; j < schedule.layers.size(); ++j) {
    const std::uint16_t cut = result.placement[j];
    schedule.layers[j] = cut == kOut ? 0 : cuts.of(instance.tasks[j])[cut].layers;
  }
  return schedule;
}

}  // namespace tideline::schedule
