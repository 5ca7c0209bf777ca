// T5: what must not change, or only one way, when the instance changes; on random instances, shrunk when one fails. CTest fixes
// the seed; run by hand, every run tries others (RC_PARAMS, which a failure prints).
#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "schedule/dual.h"
#include "schedule/policy.h"
#include "schedule/random.h"
#include "schedule/test_instances.h"

namespace tideline::schedule {
namespace {

// Two solutions of the dual may differ by their gaps.
constexpr double kGapTasks = 3e-4;

std::uint64_t any_seed() { return *rc::gen::inRange<std::uint64_t>(1, 1'000'000); }

Instance any_instance() {
  const auto kind = *rc::gen::element<std::string>("c2", "single-home", "real", "split-all");
  const auto servers = *rc::gen::inRange<std::uint32_t>(1, 12);
  const auto tasks = *rc::gen::inRange<std::uint32_t>(1, 80);
  const auto tightness = *rc::gen::element(0.1, 0.3, 0.5, 1.0, 3.0);
  return tight_instance(kind, servers, tasks, any_seed(), tightness);
}

std::vector<std::uint32_t> layers_by(std::string_view policy, const Instance& instance) {
  const auto answer =
      run_policy(policy, instance, {.seed = 1, .time_limit = std::chrono::seconds(20), .search_steps = 200, .threads = 1});
  RC_ASSERT(answer.has_value());
  return answer->schedule.layers;
}

double bound_on(const Instance& instance) {
  const DualResult dual = solve_dual(instance, CutTable(instance), {.threads = 1});
  RC_ASSERT(dual.converged);
  return dual.upper_bound;
}

std::vector<std::uint32_t> any_order(std::size_t size) {
  std::vector<std::uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0u);
  Random random(any_seed());
  for (std::size_t i = size; i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  return order;
}

RC_GTEST_PROP(Metamorphic, ScalingDataAndCapacitiesTogetherChangesNothing, ()) {
  const Instance before = any_instance();
  // A power of two: no digit is lost.
  const double factor = std::ldexp(1, *rc::gen::inRange(-6, 7));
  Instance after = before;
  for (Touch& touch : after.touches) touch.data_mb_s *= factor;
  for (Server& server : after.servers) {
    server.bandwidth_mbit_s *= factor;
    server.capacity_gflop_s *= factor;
  }
  for (const char* policy : {"li2018", "fixed:2", "balanced", "price"})
    RC_ASSERT(layers_by(policy, after) == layers_by(policy, before));
}

RC_GTEST_PROP(Metamorphic, TheOrderOfTheServersDoesNotMatter, ()) {
  const Instance before = any_instance();
  const std::vector<std::uint32_t> new_index = any_order(before.servers.size());
  Instance after = before;
  for (std::size_t i = 0; i < new_index.size(); ++i) after.servers[new_index[i]] = before.servers[i];
  for (const Task& task : after.tasks) {
    const auto first = after.touches.begin() + static_cast<std::ptrdiff_t>(task.first_touch);
    for (auto touch = first; touch != first + task.touch_count; ++touch) touch->server = new_index[touch->server];
    std::sort(first, first + task.touch_count, [](const Touch& a, const Touch& b) { return a.server < b.server; });
  }
  for (const char* policy : {"li2018", "fixed:2", "balanced"}) RC_ASSERT(layers_by(policy, after) == layers_by(policy, before));
  RC_ASSERT(std::abs(bound_on(after) - bound_on(before)) <= kGapTasks);
}

RC_GTEST_PROP(Metamorphic, TheOrderOfTheTasksDoesNotMatterToTheBound, ()) {
  const Instance before = any_instance();
  const Instance after = select_tasks(before, any_order(before.tasks.size()));
  RC_ASSERT(std::abs(bound_on(after) - bound_on(before)) <= kGapTasks);
}

RC_GTEST_PROP(Metamorphic, GrowingCapacitiesNeverLowersTheBound, ()) {
  const Instance before = any_instance();
  Random random(any_seed());
  Instance after = before;
  for (Server& server : after.servers) {
    server.bandwidth_mbit_s *= random.uniform(1, 2);
    server.capacity_gflop_s *= random.uniform(1, 2);
  }
  RC_ASSERT(bound_on(after) >= bound_on(before) - kGapTasks);
}

RC_GTEST_PROP(Metamorphic, LessTimeNeverRaisesTheBound, ()) {
  const Instance before = any_instance();
  Random random(any_seed());
  Instance after = before;
  for (Task& task : after.tasks) task.latency_s *= random.uniform(0.3, 1);
  RC_ASSERT(bound_on(after) <= bound_on(before) + kGapTasks);
}

RC_GTEST_PROP(Metamorphic, FewerTasksNeverRaiseTheBound, ()) {
  const Instance before = any_instance();
  std::vector<std::uint32_t> some = any_order(before.tasks.size());
  some.resize(*rc::gen::inRange<std::size_t>(1, some.size() + 1));
  RC_ASSERT(bound_on(select_tasks(before, some)) <= bound_on(before) + kGapTasks);
}

}  // namespace
}  // namespace tideline::schedule
