#include "schedule/online/run.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <fmt/format.h>

namespace tideline::schedule {
namespace {

// What was promised to whom, from the answers alone.
class Account {
 public:
  Account(std::string_view policy, std::size_t tasks, std::uint32_t evictions_max) : evictions_max_(evictions_max) {
    run_.schedule.policy = policy;
    run_.schedule.layers.assign(tasks, 0);
  }

  Status arrived(std::uint32_t task, const Decision& decision) {
    if (decision.evicted.size() > evictions_max_)
      return contradiction(fmt::format("evicted {} tasks for one, {} are allowed", decision.evicted.size(), evictions_max_));
    for (const std::uint32_t evicted : decision.evicted) {
      if (run_.schedule.layers[evicted] == 0)
        return contradiction(fmt::format("evicted task {}, which was not deployed", evicted));
      run_.schedule.layers[evicted] = 0;
      --deployed_;
    }
    TIDELINE_CHECK_OK(recut(decision.recut));
    run_.schedule.evicted += decision.evicted.size();
    run_.evicted_at_once_max = std::max(run_.evicted_at_once_max, static_cast<std::uint32_t>(decision.evicted.size()));
    run_.schedule.layers[task] = decision.layers;
    if (decision.layers > 0) ++deployed_;
    run_.schedule.curve.push_back(deployed_);
    return {};
  }

  Status recut(const std::vector<Recut>& recuts) {
    for (const Recut& moved : recuts) {
      if (run_.schedule.layers[moved.task] == 0)
        return contradiction(fmt::format("recut task {}, which was not deployed", moved.task));
      run_.schedule.layers[moved.task] = moved.layers;
    }
    run_.schedule.recut += recuts.size();
    return {};
  }

  void departed(std::uint32_t task) {
    if (run_.schedule.layers[task] == 0) return;
    run_.schedule.layers[task] = 0;
    --deployed_;
  }

  OnlineRun& run() { return run_; }

 private:
  Error contradiction(const std::string& what) const {
    return {ErrorCode::kInternal, fmt::format("[schedule] policy '{}' {}", run_.schedule.policy, what)};
  }

  OnlineRun run_;
  std::uint32_t evictions_max_;
  std::uint32_t deployed_ = 0;
};

}  // namespace

Result<OnlineRun> run_online(std::string_view policy_name, const OnlineRequest& request, const std::vector<Event>& events,
                             const RunOptions& options) {
  TIDELINE_TRY(const std::unique_ptr<OnlinePolicy> policy, make_online_policy(policy_name, request));
  Account account(policy_name, request.instance.tasks.size(), request.evictions_max);
  account.run().schedule.chosen = policy->chosen();
  std::size_t done = 0;
  for (const Event& event : events) {
    if (request.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[schedule] interrupted"};
    if (event.kind == Event::Kind::kArrive) {
      const auto start = std::chrono::steady_clock::now();
      const Decision decision = policy->arrive(event.task);
      if (options.timed)
        account.run().decision_ns.push_back(static_cast<std::uint32_t>(
            std::min<std::int64_t>(UINT32_MAX, (std::chrono::steady_clock::now() - start) / std::chrono::nanoseconds(1))));
      TIDELINE_CHECK_OK(account.arrived(event.task, decision));
      TIDELINE_CHECK_OK(account.recut(policy->replan()));
    } else {
      policy->depart(event.task);
      account.departed(event.task);
    }
    if (options.after_event) TIDELINE_CHECK_OK(options.after_event(account.run().schedule.layers));
    if (options.progress) options.progress(++done);
  }
  return std::move(account.run());
}

Instance slice_tasks(const Instance& instance, std::size_t first, std::size_t count) {
  std::vector<std::uint32_t> tasks(count);
  std::iota(tasks.begin(), tasks.end(), static_cast<std::uint32_t>(first));
  return select_tasks(instance, tasks);
}

}  // namespace tideline::schedule
