#include "schedule/search.h"

#include <algorithm>
#include <cmath>

#include "schedule/parallel.h"

namespace tideline::schedule {
namespace {

// All of these were set on seeds 101-104 of c2 and real; the result depends little on them.
constexpr std::uint32_t kRuinMax = 12;
// How far to both sides of the edge between in and out a step looks in its server's list.
constexpr std::uint32_t kWindow = 200;
constexpr double kSkip = 0.1;
constexpr double kLossProbability = 0.02;
// Of the priced use that an equal number of tasks may cost more: a tenth of a task.
constexpr double kUseTemperature = 0.1;
// Adding and subtracting loses a digit now and then: the room is summed up anew after so many steps.
constexpr std::uint64_t kRefreshSteps = 1 << 16;
// U is a sum of thousands of rounded terms: this much below a whole number is that number.
constexpr double kWholeTolerance = 1e-6;

}  // namespace

SearchSpace::SearchSpace(const Instance& of_instance, const CutTable& of_cuts, const Multipliers& multipliers, unsigned threads)
    : instance(of_instance),
      cuts(of_cuts),
      parts(find_parts(instance)),
      prices(instance.tasks.size()),
      cost(instance.tasks.size()),
      first(instance.servers.size() + 1, 0),
      edge(instance.servers.size()) {
  const PriceList list(instance, multipliers);
  parallel_for(threads, instance.tasks.size(), [&](unsigned, std::size_t begin, std::size_t end) {
    for (std::size_t j = begin; j < end; ++j) {
      prices[j] = list.of(instance, instance.tasks[j]);
      const auto of_task = cuts.of(instance.tasks[j]);
      cost[j] = prices[j].cost(of_task[PriceList::cheapest(prices[j], of_task)]);
    }
  });

  std::vector<double> bound(parts.count, 0);
  for (std::size_t i = 0; i < instance.servers.size(); ++i)
    bound[parts.of_server[i]] += multipliers.bandwidth[i] + multipliers.compute[i];
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) bound[part_of(instance.tasks[j])] += std::max(0.0, 1 - cost[j]);
  for (const double value : bound) {
    part_max.push_back(static_cast<std::uint32_t>(std::min(value + kWholeTolerance, 4e9)));
    tasks_max += part_max.back();
  }

  for (const Task& task : instance.tasks)
    for (const Touch& touch : instance.touches_of(task)) ++first[touch.server + 1];
  for (std::size_t i = 0; i < instance.servers.size(); ++i) first[i + 1] += first[i];
  tasks.resize(first.back());
  std::vector<std::uint64_t> next(first.begin(), first.end() - 1);
  for (std::uint32_t j = 0; j < instance.tasks.size(); ++j)
    for (const Touch& touch : instance.touches_of(instance.tasks[j])) tasks[next[touch.server]++] = j;
  parallel_for(threads, instance.servers.size(), [&](unsigned, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::span<std::uint32_t> own(tasks.data() + first[i], first[i + 1] - first[i]);
      std::sort(own.begin(), own.end(),
                [&](std::uint32_t a, std::uint32_t b) { return cost[a] != cost[b] ? cost[a] < cost[b] : a < b; });
      const auto passes = std::partition_point(own.begin(), own.end(), [&](std::uint32_t j) { return cost[j] <= 1; });
      edge[i] = static_cast<std::uint32_t>(passes - own.begin());
    }
  });
}

Search::Search(const SearchSpace& space, std::uint64_t seed)
    : space_(space), random_(seed, 77), room_(space.instance), part_changed_(space.parts.count) {}

void Search::set(const Placement& placement) {
  now_ = best_ = placement;
  part_now_.assign(space_.parts.count, 0);
  best_count_ = 0;
  for (std::size_t j = 0; j < now_.size(); ++j) {
    if (now_[j] == kOut) continue;
    ++part_now_[space_.part_of(space_.instance.tasks[j])];
    ++best_count_;
  }
  part_best_ = part_now_;
  for (auto& changed : part_changed_) changed.clear();
  refresh_room();
  close_proven_parts();
}

void Search::refresh_room() {
  room_ = Room(space_.instance);
  for (std::size_t j = 0; j < now_.size(); ++j)
    if (now_[j] != kOut) room_.take(space_.instance.tasks[j], space_.cuts.of(space_.instance.tasks[j])[now_[j]]);
}

void Search::close_proven_parts() {
  open_servers_.clear();
  for (std::uint32_t i = 0; i < space_.instance.servers.size(); ++i) {
    const std::uint32_t part = space_.parts.of_server[i];
    if (part_best_[part] < space_.part_max[part] && !space_.tasks_of(i).empty()) open_servers_.push_back(i);
  }
}

void Search::put(std::uint32_t j, std::uint16_t cut) {
  const Task& task = space_.instance.tasks[j];
  room_.take(task, space_.cuts.of(task)[cut]);
  moves_.push_back({j, now_[j]});
  now_[j] = cut;
  ++gain_;
  extra_use_ += space_.prices[j].cost(space_.cuts.of(task)[cut]);
}

void Search::take_off(std::uint32_t j) {
  const Task& task = space_.instance.tasks[j];
  const Cut& cut = space_.cuts.of(task)[now_[j]];
  room_.give_back(task, cut);
  moves_.push_back({j, now_[j]});
  now_[j] = kOut;
  --gain_;
  extra_use_ -= space_.prices[j].cost(cut);
}

void Search::undo() {
  for (; !moves_.empty(); moves_.pop_back()) {
    const auto [j, before] = moves_.back();
    const Task& task = space_.instance.tasks[j];
    if (now_[j] != kOut) room_.give_back(task, space_.cuts.of(task)[now_[j]]);
    if (before != kOut) room_.take(task, space_.cuts.of(task)[before]);
    now_[j] = before;
  }
}

Search::Window Search::window_of(std::uint32_t server) const {
  const auto size = static_cast<std::uint32_t>(space_.tasks_of(server).size());
  const std::uint32_t edge = space_.edge[server];
  return {edge > kWindow ? edge - kWindow : 0, std::min(size, edge + kWindow)};
}

void Search::ruin(std::span<const std::uint32_t> tasks) {
  const auto size = static_cast<std::uint32_t>(tasks.size());
  const std::uint32_t wanted = 1 + random_.below(kRuinMax);
  std::uint32_t taken = 0;
  for (std::uint32_t attempt = 0; attempt < 8 * wanted && taken < wanted; ++attempt) {
    // The later of two draws: dear tasks go more often.
    const std::uint32_t a = random_.below(size), b = random_.below(size);
    const std::uint32_t j = tasks[std::max(a, b)];
    if (now_[j] == kOut) continue;
    take_off(j);
    ++taken;
  }
}

void Search::recreate(std::span<const std::uint32_t> tasks) {
  for (const std::uint32_t j : tasks) {
    if (now_[j] != kOut || random_.unit() < kSkip) continue;
    const auto cuts = space_.cuts.of(space_.instance.tasks[j]);
    const CutRange fitting = room_.fitting(space_.instance.tasks[j], cuts);
    if (fitting.empty()) continue;
    const auto among = cuts.subspan(fitting.first, fitting.end - fitting.first);
    put(j, static_cast<std::uint16_t>(fitting.first + PriceList::cheapest(space_.prices[j], among)));
  }
}

bool Search::accepts(int gain, double extra_use) {
  if (gain > 0) return true;
  if (gain < 0) return gain == -1 && random_.unit() < kLossProbability;
  return extra_use <= 0 || random_.unit() < std::exp(-extra_use / kUseTemperature);
}

void Search::keep_best(std::uint32_t part) {
  best_count_ += part_now_[part] - part_best_[part];
  part_best_[part] = part_now_[part];
  for (const std::uint32_t j : part_changed_[part]) best_[j] = now_[j];
  part_changed_[part].clear();
  if (part_best_[part] >= space_.part_max[part]) close_proven_parts();
}

void Search::step() {
  if (open_servers_.empty()) return;
  if (++steps_ % kRefreshSteps == 0) refresh_room();
  const std::uint32_t server = open_servers_[random_.below(static_cast<std::uint32_t>(open_servers_.size()))];
  const std::uint32_t part = space_.parts.of_server[server];
  const Window window = window_of(server);
  const auto tasks = space_.tasks_of(server).subspan(window.begin, window.end - window.begin);
  moves_.clear();
  gain_ = 0;
  extra_use_ = 0;
  ruin(tasks);
  recreate(tasks);
  if (!accepts(gain_, extra_use_)) {
    undo();
    return;
  }
  part_now_[part] = static_cast<std::uint32_t>(static_cast<int>(part_now_[part]) + gain_);
  auto& changed = part_changed_[part];
  for (const Move& move : moves_) changed.push_back(move.task);
  if (part_now_[part] > part_best_[part]) {
    keep_best(part);
  } else if (changed.size() > 4 * space_.instance.tasks.size() + 1000) {
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  }
}

}  // namespace tideline::schedule
