// 1. Leave out the cuts that another cut of the model dominates: exact. 2. The best multipliers, or nearly so (dual.h). 3.
// Round: tasks by rising cost, each at its cheapest cut that fits; again with every price raised by a share of their mean,
// because prices of 0 rank tasks badly once rounding has filled a resource that was free in the relaxation. 4. Ruin and recreate
// until the time is over or the schedule meets its bound. What carries the result is 2: at the exact multipliers the first
// rounding is already within a few tasks of the bound.
#include "schedule/price.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "schedule/dual.h"
#include "schedule/exhaustive.h"
#include "schedule/greedy.h"
#include "schedule/parallel.h"

namespace tideline::schedule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kRaises{0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0};
// The part of the time that the multipliers may take: on the largest instances they are worth more than any search.
constexpr double kDualShare = 1;
// The searches exchange their best so often per time limit.
constexpr int kEpochs = 20;
// Of branch and bound per small part: about half a second.
constexpr std::uint64_t kPartNodes = 1'000'000;
constexpr std::uint64_t kStepsPerLook = 256;  // at the clock and the cancel token

Multipliers raised(Multipliers multipliers, double share) {
  double mean = 0;
  for (const auto* values : {&multipliers.bandwidth, &multipliers.compute})
    mean += std::accumulate(values->begin(), values->end(), 0.0);
  mean /= static_cast<double>(2 * multipliers.bandwidth.size());
  for (auto* values : {&multipliers.bandwidth, &multipliers.compute})
    for (double& value : *values) value += share * mean;
  return multipliers;
}

Placement balanced_placement(const Instance& instance, const CutTable& cuts) {
  Placement placement(instance.tasks.size(), kOut);
  Room room(instance);
  for (const std::uint32_t j : tasks_by_largest_data(instance)) {
    const auto of_task = cuts.of(instance.tasks[j]);
    const std::uint32_t chosen = balanced_choice(room, instance.tasks[j], of_task);
    if (chosen == of_task.size()) continue;
    room.take(instance.tasks[j], of_task[chosen]);
    placement[j] = static_cast<std::uint16_t>(chosen);
  }
  return placement;
}

std::uint32_t count_of(const Placement& placement) {
  return static_cast<std::uint32_t>(placement.size() -
                                    static_cast<std::size_t>(std::count(placement.begin(), placement.end(), kOut)));
}

// The best of the roundings; of equal ones the first in the list. The first is always made, the others while there is time.
Placement best_rounding(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers, unsigned threads,
                        Clock::time_point deadline) {
  constexpr std::size_t kStarts = kRaises.size() + 1;
  std::array<Placement, kStarts> placements;
  parallel_for(threads, threads, [&](unsigned thread, std::size_t, std::size_t) {
    for (std::size_t s = thread; s < kStarts; s += threads) {
      if (s > 0 && Clock::now() > deadline) continue;
      placements[s] = s < kRaises.size() ? round_by_price(instance, cuts, raised(multipliers, kRaises[s]))
                                         : balanced_placement(instance, cuts);
    }
  });
  std::size_t best = 0;
  for (std::size_t s = 1; s < kStarts; ++s)
    if (!placements[s].empty() && count_of(placements[s]) > count_of(placements[best])) best = s;
  return std::move(placements[best]);
}

// One part as an instance of its own.
struct PartInstance {
  Instance instance;
  Multipliers multipliers;
  std::vector<std::uint32_t> tasks;  // their indices in the whole
};

PartInstance extract(const SearchSpace& space, std::uint32_t part, std::vector<std::uint32_t> tasks,
                     const Multipliers& multipliers) {
  const Instance& whole = space.instance;
  PartInstance own{.instance = {.bandwidth_share = whole.bandwidth_share, .models = whole.models},
                   .multipliers = {},
                   .tasks = std::move(tasks)};
  std::vector<std::uint32_t> new_index(whole.servers.size(), 0);
  for (std::size_t i = 0; i < whole.servers.size(); ++i) {
    if (space.parts.of_server[i] != part) continue;
    new_index[i] = static_cast<std::uint32_t>(own.instance.servers.size());
    own.instance.servers.push_back(whole.servers[i]);
    own.multipliers.bandwidth.push_back(multipliers.bandwidth[i]);
    own.multipliers.compute.push_back(multipliers.compute[i]);
  }
  for (const std::uint32_t j : own.tasks) {
    Task task = whole.tasks[j];
    task.first_touch = own.instance.touches.size();
    for (const Touch& touch : whole.touches_of(whole.tasks[j]))
      own.instance.touches.push_back({.server = new_index[touch.server], .data_mb_s = touch.data_mb_s});
    own.instance.tasks.push_back(task);
  }
  return own;
}

// Branch and bound on every part with few tasks that the rounding has not solved. Gives up on a part after kPartNodes.
void solve_small_parts(const SearchSpace& space, const Multipliers& multipliers, Placement& placement, unsigned threads,
                       const PolicyOptions& options, Clock::time_point deadline) {
  std::vector<std::vector<std::uint32_t>> tasks(space.parts.count);
  std::vector<std::uint32_t> deployed(space.parts.count, 0);
  for (std::uint32_t j = 0; j < placement.size(); ++j) {
    const std::uint32_t part = space.part_of(space.instance.tasks[j]);
    if (tasks[part].size() <= kExhaustiveTasksMax) tasks[part].push_back(j);
    if (placement[j] != kOut) ++deployed[part];
  }
  parallel_for(threads, threads, [&](unsigned thread, std::size_t, std::size_t) {
    for (std::uint32_t part = thread; part < space.parts.count; part += threads) {
      if (tasks[part].empty() || tasks[part].size() > kExhaustiveTasksMax || deployed[part] >= space.part_max[part]) continue;
      const PartInstance own = extract(space, part, std::move(tasks[part]), multipliers);
      Placement start;
      for (const std::uint32_t j : own.tasks) start.push_back(placement[j]);
      const BranchResult result = branch_and_bound(own.instance, CutTable(own.instance), own.multipliers, start,
                                                   {.nodes = kPartNodes, .deadline = deadline, .cancel = options.cancel});
      for (std::size_t n = 0; n < own.tasks.size(); ++n) placement[own.tasks[n]] = result.placement[n];
    }
  });
}

// Searches on every thread, in epochs: after each one all go on from the best of every part.
class ParallelSearch {
 public:
  ParallelSearch(const SearchSpace& space, const PolicyOptions& options, unsigned threads) : space_(space), options_(options) {
    for (unsigned t = 0; t < threads; ++t) searches_.emplace_back(space, options.seed * 1000 + t);
  }

  Placement run(Placement placement, Clock::time_point begin, Clock::time_point deadline) {
    const std::uint64_t steps = options_.search_steps > 0 ? (options_.search_steps + kEpochs - 1) / kEpochs : ~std::uint64_t{0};
    const auto slice = std::max<Clock::duration>((deadline - Clock::now()) / kEpochs, std::chrono::milliseconds(1));
    for (int epoch = 0; options_.search_steps == 0 || epoch < kEpochs; ++epoch) {
      for (Search& search : searches_) search.set(placement);
      const auto now = Clock::now();
      if (searches_[0].proven() || now >= deadline || options_.cancel.cancelled()) break;
      // With a number of steps the time only ends the whole: a slice would make the result depend on the machine.
      run_epoch(options_.search_steps > 0 ? deadline : std::min(deadline, now + slice), steps);
      placement = merged();
      if (options_.progress)
        options_.progress(count_of(placement),
                          std::chrono::duration<double>(Clock::now() - begin) / std::chrono::duration<double>(deadline - begin));
    }
    return placement;
  }

 private:
  void run_epoch(Clock::time_point end, std::uint64_t steps) {
    parallel_for(static_cast<unsigned>(searches_.size()), searches_.size(), [&](unsigned thread, std::size_t, std::size_t) {
      Search& search = searches_[thread];
      for (std::uint64_t step = 0; step < steps && !search.proven(); ++step) {
        if (step % kStepsPerLook == 0 && (Clock::now() >= end || options_.cancel.cancelled())) break;
        search.step();
      }
    });
  }

  Placement merged() const {
    std::vector<std::size_t> winner(space_.parts.count, 0);
    for (std::size_t s = 1; s < searches_.size(); ++s)
      for (std::size_t p = 0; p < winner.size(); ++p)
        if (searches_[s].best_of_parts()[p] > searches_[winner[p]].best_of_parts()[p]) winner[p] = s;
    Placement placement(space_.instance.tasks.size());
    for (std::size_t j = 0; j < placement.size(); ++j)
      placement[j] = searches_[winner[space_.part_of(space_.instance.tasks[j])]].best()[j];
    return placement;
  }

  const SearchSpace& space_;
  const PolicyOptions& options_;
  std::vector<Search> searches_;
};

}  // namespace

Placement round_by_price(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers) {
  const PriceList list(instance, multipliers);
  const std::size_t tasks = instance.tasks.size();
  std::vector<TaskPrices> prices(tasks);
  std::vector<double> cost(tasks);
  for (std::size_t j = 0; j < tasks; ++j) {
    const auto of_task = cuts.of(instance.tasks[j]);
    prices[j] = list.of(instance, instance.tasks[j]);
    cost[j] = prices[j].cost(of_task[PriceList::cheapest(prices[j], of_task)]);
  }
  std::vector<std::uint32_t> order(tasks);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return cost[a] != cost[b] ? cost[a] < cost[b] : a < b; });
  Placement placement(tasks, kOut);
  Room room(instance);
  for (const std::uint32_t j : order) {
    const auto of_task = cuts.of(instance.tasks[j]);
    const CutRange fitting = room.fitting(instance.tasks[j], of_task);
    if (fitting.empty()) continue;
    const auto among = of_task.subspan(fitting.first, fitting.end - fitting.first);
    const std::uint32_t chosen = fitting.first + PriceList::cheapest(prices[j], among);
    room.take(instance.tasks[j], of_task[chosen]);
    placement[j] = static_cast<std::uint16_t>(chosen);
  }
  return placement;
}

Result<Schedule> run_price(const Instance& instance, std::string_view, const PolicyOptions& options) {
  const auto begin = Clock::now();
  const auto deadline = begin + options.time_limit;
  const unsigned threads = thread_count(options.threads);
  const CutTable cuts(instance);
  DualResult dual =
      solve_dual(instance, cuts,
                 {.threads = threads,
                  .time_limit = std::chrono::duration_cast<std::chrono::nanoseconds>(options.time_limit * kDualShare),
                  .cancel = options.cancel});
  if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[schedule] interrupted before there was a schedule"};
  Placement placement = best_rounding(instance, cuts, dual.multipliers, threads, deadline);
  if (options.progress) options.progress(count_of(placement), 0);

  const SearchSpace space(instance, cuts, dual.multipliers, threads);
  solve_small_parts(space, dual.multipliers, placement, threads, options, deadline);
  placement = ParallelSearch(space, options, threads).run(std::move(placement), begin, deadline);

  Schedule schedule;
  schedule.layers.resize(instance.tasks.size());
  for (std::size_t j = 0; j < placement.size(); ++j)
    schedule.layers[j] = placement[j] == kOut ? 0 : cuts.of(instance.tasks[j])[placement[j]].layers;
  schedule.multipliers = std::move(dual.multipliers);
  schedule.upper_bound = dual.upper_bound;
  schedule.tasks_max = space.tasks_max;
  return schedule;
}

}  // namespace tideline::schedule
