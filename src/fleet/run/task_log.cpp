#include "fleet/run/task_log.h"

#include <algorithm>
#include <cmath>

namespace tideline::fleet {
namespace {

// Nearest rank. REQUIRES: sorted, not empty.
double rank(const std::vector<double>& sorted, double share) {
  const auto at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(at, 1, sorted.size()) - 1];
}

}  // namespace

void TaskLog::answered(Millis latency) {
  const std::lock_guard lock(mutex_);
  latencies_ms_.push_back(latency.count());
  if (latency > deadline_) ++late_;
}

void TaskLog::failed() {
  const std::lock_guard lock(mutex_);
  ++failed_;
}

void TaskLog::dropped(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  dropped_ += count;
}

TaskFigures TaskLog::figures() const {
  const std::lock_guard lock(mutex_);
  TaskFigures figures{.requests = latencies_ms_.size() + failed_ + dropped_,
                      .answered = latencies_ms_.size(),
                      .late = late_ + failed_,
                      .dropped = dropped_,
                      .failed = failed_};
  if (latencies_ms_.empty()) return figures;
  std::vector<double> sorted = latencies_ms_;
  std::sort(sorted.begin(), sorted.end());
  figures.median_ms = rank(sorted, 0.5);
  figures.p95_ms = rank(sorted, 0.95);
  figures.p99_ms = rank(sorted, 0.99);
  return figures;
}

}  // namespace tideline::fleet
