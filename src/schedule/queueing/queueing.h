// The queueing model: a task is admitted with shares of processor, link and cloud with which its requests are in time although
// they wait for each other (docs/algorithms/queueing.md).
//
// A task j sends `rate_hz` requests per second to each of its servers, d_ij / rate_hz megabytes each. With g_ij = d_ij * gamma_j
// its slice of server i's processor and b_ij = d_ij * beta_j its slice of the uplink, a request computes, crosses the link and
// computes in the cloud in
//   S1 = l_k / (rate gamma),   S2 = 8 r_k / (rate beta),   S3 = D_j rest_k / (rate cloud),
// the same on every server. An admitted task keeps  rate * max S <= load_max  and  S1 + S2 + S3 + W + fixed_s <= Q_j  with W the
// wait of wait.h at the longest of the three, and per server  sum g_ij <= c_i,  sum b_ij <= V b_i.  k = 0 is the whole model in
// the cloud (r_0 = 1, l_0 = 0), unless the task's raw data stay where they are. The objective is the number of admitted tasks.
//
// As in the extended model the slices are a number of the server times a number of the choice (k, S1), so that this is the
// paper's problem with more cuts per task, and every policy works on it.
//
// Pure functions and values; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schedule/certify.h"
#include "schedule/extended/extended.h"
#include "schedule/instance.h"
#include "schedule/queueing/wait.h"

namespace tideline::schedule {

enum class RequestArrivals : std::uint8_t { kPoisson, kPeriodic };
std::string_view to_string(RequestArrivals arrivals);

struct QueueingOptions {
  RequestArrivals arrivals = RequestArrivals::kPoisson;
  // What one task has of the cloud for each of its streams. The default is the rate of the paper's workstation card.
  double cloud_gflop_s = ExtendedOptions{}.cloud_gflop_s;
  // Of the requests of a task that may be late, by the formula: below the hundredth that is promised, because what comes in some
  // hundred requests scatters.
  double late_share = 0.008;
};

struct QueueingSchedule {
  std::string policy;
  QueueingOptions options;
  std::vector<Grant> grants;         // one per task
  std::vector<std::uint32_t> curve;  // of online policies: admitted after each arrival
  // Of `price`: the prices, and what bound_queueing makes of them; 0: none.
  Multipliers multipliers;
  double upper_bound = 0;
  std::uint32_t admitted() const;
  std::uint32_t deployed() const;  // on the edge: layers > 0
};

// kInvalidArgument for a cloud of no speed and a share outside (0, 0.5].
Status check(const QueueingOptions& options);
// REQUIRES: check(options).
WaitTable waits_of(const QueueingOptions& options);

// S3 of a request: seconds in the cloud after `layers` layers on the edge.
double cloud_service_s(const Instance& instance, const Task& task, std::uint32_t layers, double cloud_gflop_s);

// What a request of a task with this grant takes when it waits for none, part by part, and the wait that all but late_share of
// them stay below. Of waits.wait() only where the load is one that can be served; `load` says.
struct RequestTimes {
  double compute_s = 0;
  double transfer_s = 0;
  double cloud_s = 0;
  double fixed_s = 0;
  double wait_s = 0;
  double load = 0;  // of the fullest of the three slices
  double alone_s() const { return compute_s + transfer_s + cloud_s + fixed_s; }
  double bound_s() const { return alone_s() + wait_s; }
};
// REQUIRES: an admitted grant whose slices are above 0 where the task has something for them to do.
RequestTimes times_of(const Instance& instance, const Task& task, const Grant& grant, double cloud_gflop_s,
                      const WaitTable& waits);

// The paper's problem that this one becomes: the same tasks and servers, other models.
struct QueueingReduction {
  Instance instance;
  std::vector<std::uint32_t> tasks;         // of the original, in their order: those that can be served at all
  std::vector<std::vector<Grant>> choices;  // [reduced model][layers - 1]
  QueueingSchedule expand(const Instance& original, const Schedule& reduced, const QueueingOptions& options) const;
};

// kInvalidArgument as check(); kOverloaded when the choices of all tasks would not fit in memory. REQUIRES: validate(instance).
Result<QueueingReduction> reduce_queueing(const Instance& instance, const QueueingOptions& options);

// The independent checker: recomputes the conditions above from the raw instance and the slices alone. kInvalidArgument with one
// sentence naming the first that is broken.
Result<ExtendedReport> check_queueing(const Instance& instance, const QueueingSchedule& schedule);

// No schedule that gives a task slices of one size per MB/s on all of its servers admits more, whatever k and slices: U(lambda)
// with a lower bound of each task's cost, found in intervals of S1. Independent of reduction.cpp.
// REQUIRES: one multiplier of each kind per server, all 0 or more; check(options).
double bound_queueing(const Instance& instance, const Multipliers& multipliers, const QueueingOptions& options);

struct QueueingCertificate {
  ExtendedReport report;
  Bound bound;  // recomputed
};

// kInvalidArgument when the schedule breaks a condition, has no multipliers or bad ones, or states another bound than they prove.
Result<QueueingCertificate> certify_queueing(const Instance& instance, const QueueingSchedule& schedule);

// What `tideline schedule --model queueing -o json` prints and `tideline simulate` reads; docs/formats/queueing.md.
std::string write_queueing(const QueueingSchedule& schedule);
Result<QueueingSchedule> parse_queueing(std::string_view json, std::string_view name);
// True when the text is such a result. False also for text that is none at all.
bool is_queueing_result(std::string_view json);

}  // namespace tideline::schedule
