// Any text as each file of `tideline schedule`; what reads as a small instance is also scheduled, because numbers that are
// allowed one by one (1e-300 here, 1e300 there) must not bring a policy down together.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "schedule/certify.h"
#include "schedule/extended/extended.h"
#include "schedule/generator.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"
#include "schedule/queueing/queueing.h"
#include "schedule/result_file.h"

using namespace tideline;
using namespace tideline::schedule;

namespace {

constexpr std::size_t kTasksMax = 12, kServersMax = 6, kLayersMax = 40;

bool is_small(const Instance& instance) {
  std::size_t layers = 0;
  for (const TaskModel& model : instance.models) layers += model.layers.size();
  return instance.tasks.size() <= kTasksMax && instance.servers.size() <= kServersMax && layers <= kLayersMax;
}

void expect_no_internal_error(const Error& error) {
  if (error.code == ErrorCode::kInternal) std::abort();
}

void schedule_it(const Instance& instance) {
  for (const char* policy : {"li2018", "balanced", "price", "exhaustive"}) {
    const auto answer = run_policy(policy, instance, {.time_limit = std::chrono::seconds(1), .search_steps = 20, .threads = 1});
    if (!answer) expect_no_internal_error(answer.error());
  }
  for (const char* policy : {"price-recut", "lbf:relevant"}) {
    const auto run = run_online(policy, {.instance = instance}, all_arrive(instance));
    if (!run) expect_no_internal_error(run.error());
  }
  if (const auto reduction = reduce_extended(instance, {})) {
    const auto answer = run_policy("balanced", reduction->instance, {.threads = 1});
    if (!answer) expect_no_internal_error(answer.error());
  }
  const QueueingOptions periodic{.arrivals = RequestArrivals::kPeriodic};
  if (const auto reduction = reduce_queueing(instance, periodic); reduction && !reduction->tasks.empty()) {
    const auto answer = run_policy("balanced", reduction->instance, {.threads = 1});
    if (!answer)
      expect_no_internal_error(answer.error());
    else
      (void)check_queueing(instance, reduction->expand(instance, answer->schedule, periodic));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const Instance city = *generate_instance({.servers = 4, .tasks = 6, .servers_per_task = 2});
  if (const auto instance = parse_instance(text, "i.json")) {
    const auto again = parse_instance(write_instance(*instance), "again");
    if (!again || *again != *instance) std::abort();
    if (is_small(*instance)) schedule_it(*instance);
  }
  if (const auto result = parse_result(text, "r.json")) {
    if (!parse_result(write_result(*result), "again")) std::abort();
    (void)certify(city, *result);
  }
  if (const auto result = parse_extended(text, "e.json")) {
    if (!parse_extended(write_extended(*result), "again")) std::abort();
    (void)certify_extended(city, *result);
  }
  if (const auto result = parse_queueing(text, "q.json")) {
    if (!parse_queueing(write_queueing(*result), "again")) std::abort();
    (void)certify_queueing(city, *result);
  }
  if (const auto events = parse_events(text, "v.json", city)) {
    const auto again = parse_events(write_events(*events), "again", city);
    if (!again || *again != *events) std::abort();
  }
  (void)parse_inspected_model(text, "m.json", 40);
  return 0;
}
