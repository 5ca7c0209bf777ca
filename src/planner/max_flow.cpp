#include "planner/max_flow.h"

#include <algorithm>
#include <limits>

namespace tideline {

std::size_t MaxFlow::add_vertex() {
  first_.push_back(kNone);
  return first_.size() - 1;
}

void MaxFlow::add_edge(std::size_t from, std::size_t to, double capacity) {
  if (!(capacity > 0)) return;
  edges_.push_back({static_cast<std::uint32_t>(to), first_[from], capacity});
  first_[from] = static_cast<std::uint32_t>(edges_.size() - 1);
  edges_.push_back({static_cast<std::uint32_t>(from), first_[to], 0});
  first_[to] = static_cast<std::uint32_t>(edges_.size() - 1);
}

// Distances from the source along edges with capacity left.
bool MaxFlow::find_levels(std::size_t source, std::size_t sink) {
  level_.assign(first_.size(), kNone);
  level_[source] = 0;
  std::vector<std::uint32_t> queue{static_cast<std::uint32_t>(source)};
  for (std::size_t head = 0; head < queue.size(); ++head)
    for (std::uint32_t e = first_[queue[head]]; e != kNone; e = edges_[e].next) {
      if (edges_[e].left <= 0 || level_[edges_[e].to] != kNone) continue;
      level_[edges_[e].to] = level_[queue[head]] + 1;
      queue.push_back(edges_[e].to);
    }
  return level_[sink] != kNone;
}

// One augmenting path along rising levels, dead ends left behind for good. 0 when there is none.
double MaxFlow::push_one(std::size_t source, std::size_t sink) {
  path_.clear();
  std::size_t at = source;
  while (at != sink) {
    std::uint32_t& e = current_[at];
    while (e != kNone && (edges_[e].left <= 0 || level_[edges_[e].to] != level_[at] + 1)) e = edges_[e].next;
    if (e != kNone) {
      path_.push_back(e);
      at = edges_[e].to;
      continue;
    }
    if (path_.empty()) return 0;
    at = edges_[path_.back() ^ 1].to;
    path_.pop_back();
    current_[at] = edges_[current_[at]].next;
  }
  double amount = std::numeric_limits<double>::infinity();
  for (const std::uint32_t e : path_) amount = std::min(amount, edges_[e].left);
  for (const std::uint32_t e : path_) {
    edges_[e].left -= amount;  // exactly 0 at the narrowest edge
    edges_[e ^ 1].left += amount;
  }
  return amount;
}

double MaxFlow::run(std::size_t source, std::size_t sink) {
  double flow = 0;
  while (find_levels(source, sink)) {
    current_ = first_;
    for (double amount = push_one(source, sink); amount > 0; amount = push_one(source, sink)) flow += amount;
  }
  return flow;
}

std::vector<bool> MaxFlow::sink_side(std::size_t sink) const {
  std::vector<bool> reaches(first_.size(), false);
  std::vector<std::size_t> open{sink};
  reaches[sink] = true;
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    for (std::uint32_t e = first_[at]; e != kNone; e = edges_[e].next) {
      const std::uint32_t other = edges_[e].to;
      if (reaches[other] || edges_[e ^ 1].left <= 0) continue;
      reaches[other] = true;
      open.push_back(other);
    }
  }
  return reaches;
}

}  // namespace tideline
