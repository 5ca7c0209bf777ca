#include "schedule/room.h"

#include <algorithm>

namespace tideline::schedule {

std::vector<Cut> pareto_cuts(const TaskModel& model) {
  std::vector<Cut> cuts;
  for (std::uint32_t k = 1; k <= model.layers.size(); ++k) cuts.push_back(cut_at(model, k));
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) {
    return a.gflop_per_mb != b.gflop_per_mb ? a.gflop_per_mb < b.gflop_per_mb : a.ratio < b.ratio;
  });
  std::size_t kept = 0;
  for (const Cut& cut : cuts)
    if (kept == 0 || cut.ratio < cuts[kept - 1].ratio) cuts[kept++] = cut;
  cuts.resize(kept);
  return cuts;
}

CutTable::CutTable(const Instance& instance) : first_{0} {
  for (const TaskModel& model : instance.models) {
    const auto cuts = pareto_cuts(model);
    cuts_.insert(cuts_.end(), cuts.begin(), cuts.end());
    first_.push_back(cuts_.size());
    cuts_max_ = std::max(cuts_max_, cuts.size());
  }
}

Room::Room(const Instance& instance) : instance_(&instance) {
  left_.reserve(instance.servers.size());
  for (const Server& server : instance.servers)
    left_.push_back({.bandwidth_mbit_s = server.bandwidth_mbit_s * instance.bandwidth_share * (1 + kFitTolerance),
                     .compute_gflop_s = server.capacity_gflop_s * (1 + kFitTolerance)});
}

CutRange Room::fitting(const Task& task, std::span<const Cut> cuts) const {
  CutRange range{0, static_cast<std::uint32_t>(cuts.size())};
  const double mbit_factor = 8 / task.latency_s;
  for (const Touch& touch : instance_->touches_of(task)) {
    const Left& left = left_[touch.server];
    const double mbit = touch.data_mb_s * mbit_factor;
    while (range.first < range.end && mbit * cuts[range.first].ratio > left.bandwidth_mbit_s) ++range.first;
    while (range.first < range.end && touch.data_mb_s * cuts[range.end - 1].gflop_per_mb > left.compute_gflop_s) --range.end;
    if (range.empty()) break;
  }
  return range;
}

}  // namespace tideline::schedule
