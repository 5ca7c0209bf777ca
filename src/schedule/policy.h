// Policy: a pure function from an instance to a schedule. policies.cpp is the whole list, in one place.
//
// Same instance, argument and options, same schedule, with one exception: a policy that searches until `time_limit` finds as much
// as the machine allows; give `search_steps` for a result that repeats. Ties are broken by the lower index, randomness
// comes only from the seed. Thread-safe.
//
//   TIDELINE_TRY(const CheckedSchedule answer, run_policy("price", instance, {.seed = 7}));
//   answer.schedule.deployed();
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/cancel.h"
#include "base/result.h"
#include "schedule/checker.h"
#include "schedule/instance.h"

namespace tideline::schedule {

struct PolicyOptions {
  std::uint64_t seed = 1;
  // Of the policies that search. They end a little after it: what they have begun (a bound, a rounding) they finish.
  std::chrono::nanoseconds time_limit = std::chrono::seconds(5);
  // Above 0: the search of each thread ends after this many steps, whatever the time.
  std::uint64_t search_steps = 0;
  // 0: as many as the machine has cores.
  unsigned threads = 0;
  CancelToken cancel;
  // Called now and then by a policy that takes long, from one thread at a time: the best number of deployed tasks so far and the
  // part of the time limit that is over. May be empty.
  std::function<void(std::uint32_t deployed, double time_share)> progress;
};

struct Policy {
  std::string_view name;
  // What comes after "name:", in capitals, or empty.
  std::string_view argument;
  std::string_view summary;
  // REQUIRES: validate(instance). `argument` is the text after the colon. kInvalidArgument for a bad argument, kUnsupported for
  // an instance that is too large for the policy, kCancelled.
  Result<Schedule> (*run)(const Instance& instance, std::string_view argument, const PolicyOptions& options);
};

// The visible list.
std::span<const Policy> policies();

struct CheckedSchedule {
  Schedule schedule;
  CheckReport report;
  std::chrono::nanoseconds elapsed{0};
};

// Runs "name" or "name:argument" and puts the answer through the checker. kInvalidArgument with the near names for an unknown
// policy; kInternal when the checker refuses the answer.
Result<CheckedSchedule> run_policy(std::string_view policy, const Instance& instance, const PolicyOptions& options);

}  // namespace tideline::schedule
