// Drives an online policy through a list of events and keeps the account: what is deployed, the curve, who was evicted.
//
// The account is made from the policy's answers alone, not from its own state, so that a policy that answers one thing and does
// another is found out by the checker. Events come from a file ({"arrive": j} and {"depart": j}, docs/formats/events.md) or are
// all tasks of the instance in order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schedule/instance.h"
#include "schedule/online/online_policy.h"

namespace tideline::schedule {

struct Event {
  enum class Kind : std::uint8_t { kArrive, kDepart };
  Kind kind = Kind::kArrive;
  std::uint32_t task = 0;
  bool operator==(const Event&) const = default;
};

std::vector<Event> all_arrive(const Instance& instance);
// kInvalidArgument naming the element for a task that the instance does not have, that arrives twice, or that departs before it
// arrives or twice.
Result<std::vector<Event>> parse_events(std::string_view json, std::string_view name, const Instance& instance);
std::string write_events(const std::vector<Event>& events);

struct OnlineRun {
  Schedule schedule;  // policy, layers at the end, curve, evicted, recut, chosen
  std::uint32_t evicted_at_once_max = 0;
  // Time of each decision in nanoseconds; filled when asked for.
  std::vector<std::uint32_t> decision_ns;
};

struct RunOptions {
  bool timed = false;
  // Called after each event with the layers of every task; an error ends the run.
  std::function<Status(const std::vector<std::uint32_t>&)> after_event = {};
  // Called after each event with the number of events so far.
  std::function<void(std::size_t)> progress = {};
};

// kCancelled when request.cancel is set; kInternal when a policy contradicts itself.
Result<OnlineRun> run_online(std::string_view policy, const OnlineRequest& request, const std::vector<Event>& events,
                             const RunOptions& options = {});

// `count` tasks of `instance` from `first`, with its servers and models: a history and what comes after it, from one long
// instance. REQUIRES: first + count <= tasks.size().
Instance slice_tasks(const Instance& instance, std::size_t first, std::size_t count);

}  // namespace tideline::schedule
