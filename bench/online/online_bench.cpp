// Online policies: what each keeps of the best offline schedule on three families, and how long one decision takes on 1,000
// servers. Prints one JSON object per line: {"name", "value", "unit", "goal", "reference", "ratio"}. Held-out seeds only.
#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "schedule/checker.h"
#include "schedule/generator.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"

namespace tideline::schedule {
namespace {

// Nothing was set on these: constants were chosen on seeds below 105.
constexpr std::uint64_t kSeedFirst = 301;
constexpr int kSeeds = 5;
constexpr std::uint32_t kTasks = 1000;
constexpr std::uint32_t kServers = 50;
constexpr std::uint32_t kManyServers = 1000;
// Until most arrivals find their servers full, which is when a decision is work.
constexpr std::uint32_t kManyTasks = 200'000;
constexpr std::uint32_t kHistory = 100'000;
constexpr double kGoalMicroseconds = 50;

void print(const std::string& name, double value, std::string_view unit, const std::string& goal, double reference) {
  fmt::print(
      "{{\"name\": \"{}\", \"value\": {:.4g}, \"unit\": \"{}\", \"goal\": {}, \"reference\": {:.4g}, \"ratio\": {:.4f}}}\n", name,
      value, unit, goal, reference, value / reference);
  std::fflush(stdout);
}

// Mean deployed tasks after all arrivals, the reference being the best offline schedule of the same tasks.
bool deployed(const std::string& kind) {
  std::map<std::string, double> sums;
  double offline = 0;
  for (int s = 0; s < kSeeds; ++s) {
    const auto both = generate_instance(
        {.kind = kind, .servers = kServers, .tasks = 2 * kTasks, .seed = kSeedFirst + static_cast<std::uint64_t>(s)});
    if (!both) return false;
    const Instance instance = slice_tasks(*both, 0, kTasks);
    const Instance history = slice_tasks(*both, kTasks, kTasks);
    const auto best = run_policy("price", instance, {.time_limit = std::chrono::seconds(3)});
    if (!best) return false;
    offline += best->schedule.deployed() / static_cast<double>(kSeeds);
    for (const OnlinePolicyEntry& entry : online_policies()) {
      const auto run = run_online(entry.name, {.instance = instance, .history = &history}, all_arrive(instance));
      if (!run || !check_schedule(instance, run->schedule.layers)) return false;
      sums[std::string(entry.name)] += run->schedule.curve.back() / static_cast<double>(kSeeds);
      if (entry.needs_history || !entry.name.starts_with("price")) continue;
      const auto first_day = run_online(entry.name, {.instance = instance}, all_arrive(instance));
      if (!first_day) return false;
      sums[std::string(entry.name) + " without a history"] += first_day->schedule.curve.back() / static_cast<double>(kSeeds);
    }
  }
  for (const auto& [name, sum] : sums) print(fmt::format("online/{}/{}", kind, name), sum, "tasks", "null", offline);
  return true;
}

// One decision on 1,000 servers, 25 of them touched, while 200,000 tasks come.
bool decision_time() {
  const auto both = generate_instance({.servers = kManyServers, .tasks = kManyTasks + kHistory, .seed = kSeedFirst});
  if (!both) return false;
  const Instance instance = slice_tasks(*both, 0, kManyTasks);
  const Instance history = slice_tasks(*both, kManyTasks, kHistory);
  for (const std::string_view policy : {"price-history", "price-swap", "price-recut", "zcl", "balanced-online"}) {
    // A horizon so far away that no re-plan falls between the arrivals: the decisions alone are timed.
    auto run = run_online(policy, {.instance = instance, .history = &history, .horizon = 11 * kManyTasks}, all_arrive(instance),
                          {.timed = true});
    if (!run) return false;
    std::vector<std::uint32_t>& times = run->decision_ns;
    std::sort(times.begin(), times.end());
    double mean = 0;
    for (const std::uint32_t time : times) mean += time / 1e3 / static_cast<double>(times.size());
    print(fmt::format("online/decision-mean/{}", policy), mean, "us", "50", kGoalMicroseconds);
    for (const auto& [name, of_1000] : {std::pair{"p99", 990u}, {"p99.9", 999u}})
      print(fmt::format("online/decision-{}/{}", name, policy), times[times.size() * of_1000 / 1000] / 1e3, "us", "50",
            kGoalMicroseconds);
  }
  return true;
}

}  // namespace
}  // namespace tideline::schedule

int main(int argc, char** argv) {
  using namespace tideline::schedule;
  const std::string_view what = argc > 1 ? argv[1] : "all";
  bool ok = what == "all" || what == "deployed" || what == "decisions";
  if (!ok) fmt::print(stderr, "usage: bench_online [deployed|decisions]\n");
  if (what == "all" || what == "deployed")
    for (const char* kind : {"c2", "single-home", "real"}) ok = deployed(kind) && ok;
  if (what == "all" || what == "decisions") ok = decision_time() && ok;
  return ok ? 0 : 1;
}
