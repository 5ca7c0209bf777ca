// What became of a task's requests. Thread-safe: a task's sources write at the same time.
//
//   log.answered(latency);
//   const TaskFigures figures = log.figures();
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "base/units.h"

namespace tideline::fleet {

struct TaskFigures {
  std::uint64_t requests = 0;  // that arose: answered, dropped at the source, and failed
  std::uint64_t answered = 0;
  std::uint64_t late = 0;  // answered after the deadline, or not at all
  std::uint64_t dropped = 0;
  std::uint64_t failed = 0;
  double median_ms = 0;  // of the answered ones, from when the source made the request
  double p95_ms = 0;
  double p99_ms = 0;
  // At least one request, and at most one in a hundred late or dropped.
  bool on_time() const { return requests > 0 && 100 * (late + dropped) <= requests; }
};

class TaskLog {
 public:
  explicit TaskLog(Millis deadline) : deadline_(deadline) {}
  void answered(Millis latency);
  void failed();
  void dropped(std::uint64_t count);
  TaskFigures figures() const;

 private:
  const Millis deadline_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::vector<double> latencies_ms_;
  std::uint64_t late_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace tideline::fleet
