// auto: simulates every other policy on the history and becomes the one that deploys most at its end.
//
// The candidates learn from every second task of the history and are simulated on all of it, so that a policy that only remembers
// what it has seen gains little by it. Ties go to the larger mean of the curve, then to the order of the list.
// Costs one run of every policy before the first arrival; a decision costs what the chosen policy's does. Loses when the
// history is unlike what comes.
#include <numeric>

#include "schedule/online/families.h"
#include "schedule/online/run.h"

namespace tideline::schedule {
namespace {

// Nothing to simulate on: the one that is the best, or within a percent of it, on every family of instances.
constexpr std::string_view kWithoutHistory = "price-recut";

class Auto final : public OnlinePolicy {
 public:
  Auto(std::unique_ptr<OnlinePolicy> chosen, std::string_view name) : chosen_(std::move(chosen)), name_(name) {}

  Decision arrive(std::uint32_t task) override { return chosen_->arrive(task); }
  void depart(std::uint32_t task) override { chosen_->depart(task); }
  std::vector<Recut> replan() override { return chosen_->replan(); }
  std::string_view chosen() const override { return name_; }

 private:
  std::unique_ptr<OnlinePolicy> chosen_;
  std::string_view name_;
};

Instance every_second_task(const Instance& history) {
  std::vector<std::uint32_t> tasks;
  for (std::uint32_t j = 0; j < history.tasks.size(); j += 2) tasks.push_back(j);
  return select_tasks(history, tasks);
}

}  // namespace

MadePolicy make_auto(const OnlineRequest& request) {
  if (request.history == nullptr || request.history->tasks.empty()) {
    TIDELINE_TRY(std::unique_ptr<OnlinePolicy> chosen, make_online_policy(kWithoutHistory, request));
    return std::unique_ptr<OnlinePolicy>(std::make_unique<Auto>(std::move(chosen), kWithoutHistory));
  }
  // The history may have been written down with other capacities; what counts is the servers at hand.
  Instance past = *request.history;
  past.servers = request.instance.servers;
  past.bandwidth_share = request.instance.bandwidth_share;
  const Instance half = every_second_task(past);
  const OnlineRequest rehearsal{.instance = past,
                                .history = &half,
                                .horizon = static_cast<std::uint32_t>(past.tasks.size()),
                                .evictions_max = request.evictions_max,
                                .cancel = request.cancel};
  const std::vector<Event> events = all_arrive(past);
  std::string_view best;
  std::pair<std::uint32_t, std::uint64_t> most{0, 0};
  for (const OnlinePolicyEntry& entry : online_policies()) {
    if (entry.make == make_auto) continue;
    TIDELINE_TRY(const OnlineRun run, run_online(entry.name, rehearsal, events));
    const auto& curve = run.schedule.curve;
    const std::pair<std::uint32_t, std::uint64_t> score{curve.back(),
                                                        std::accumulate(curve.begin(), curve.end(), std::uint64_t{0})};
    if (best.empty() || score > most) {
      best = entry.name;
      most = score;
    }
  }
  TIDELINE_TRY(std::unique_ptr<OnlinePolicy> chosen, make_online_policy(best, request));
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Auto>(std::move(chosen), best));
}

}  // namespace tideline::schedule
