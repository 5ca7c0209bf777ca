#include "client/report.h"

#include <algorithm>

namespace tideline {
namespace {

Millis milliseconds(std::uint64_t nanoseconds) { return Millis(static_cast<double>(nanoseconds) * 1e-6); }

}  // namespace

std::vector<StageReport> stage_reports(std::vector<wire::StageTiming> timings, const StageRoots& roots) {
  std::sort(timings.begin(), timings.end(), [](const auto& a, const auto& b) { return a.stage < b.stage; });
  const auto root_of = [&](std::uint32_t stage) { return stage < roots.size() ? roots[stage] : stage; };
  std::vector<StageReport> reports;
  for (std::size_t i = 0; i < timings.size(); ++i) {
    const wire::StageTiming& timing = timings[i];
    StageReport stage;
    stage.node = timing.node;
    stage.stage = timing.stage;
    stage.queue = milliseconds(timing.queue_ns);
    stage.compute = milliseconds(timing.compute_ns);
    stage.bytes = timing.output_bytes;
    stage.receive = milliseconds(timing.receive_ns);
    stage.back = milliseconds(timing.return_ns);
    stage.decode = milliseconds(timing.decode_ns);
    stage.encode = milliseconds(timing.encode_ns);
    const Millis call_total = milliseconds(timing.send_ns + timing.wait_ns + timing.return_ns);
    if (call_total > Millis(0) && i + 1 < timings.size()) {
      // The next node's total begins at its RUN's header; what it spent receiving the payload is the link's time, not its own.
      const wire::StageTiming& next = timings[i + 1];
      stage.send = std::max(Millis(0), call_total - milliseconds(next.total_ns) + milliseconds(next.receive_ns));
    }
    // The total of the first stage of a visit is that of the whole visit.
    if (root_of(timing.stage) == timing.stage) {
      Millis rest = milliseconds(timing.total_ns) - milliseconds(timing.receive_ns);
      for (const wire::StageTiming& other : timings)
        if (root_of(other.stage) == timing.stage)
          rest -= milliseconds(other.queue_ns + other.compute_ns + other.send_ns + other.wait_ns + other.return_ns +
                               other.decode_ns + other.encode_ns);
      stage.overhead = std::max(Millis(0), rest);
    }
    reports.push_back(std::move(stage));
  }
  return reports;
}

Millis inject_time(const CallTiming& call, const std::vector<wire::StageTiming>& timings) {
  if (timings.empty()) return Millis(0);
  const auto first =
      std::min_element(timings.begin(), timings.end(), [](const auto& a, const auto& b) { return a.stage < b.stage; });
  return std::max(Millis(0), Millis(call.total) - milliseconds(first->total_ns) + milliseconds(first->receive_ns));
}

}  // namespace tideline
