// The extended model: what Li, Ota and Dong leave out of theirs (docs/algorithms/extended.md).
//
// Compute time counts towards the latency limit, on the edge and in the cloud; a task that is not deployed on the edge still has
// to send its raw data, which takes bandwidth; so tasks are admitted or refused. With t = D_j (l_N - l_k) / cloud the time in the
// cloud for one second's data D_j of the task, g_ij its slice of server i's processor and b_ij its slice of the uplink, an
// admitted task satisfies on each of its servers
//   d_ij l_k / g_ij + 8 d_ij r_k / b_ij + t <= Q_j,   g_ij >= d_ij l_k,   b_ij >= 8 d_ij r_k,
// and per server  sum g_ij <= c_i,  sum b_ij <= V b_i.  k = 0 is the whole model in the cloud (r_0 = 1, l_0 = 0). The objective
// is the number of admitted tasks.
//
// Splitting the rest Q' = Q - t into the share s for computing and 1 - s for sending gives g_ij = d_ij l_k max(1, 1 / (s Q')) and
// b_ij = 8 d_ij r_k max(1, 1 / ((1 - s) Q')): again a number of the server times a number of the choice (k, s). So the extended
// problem is the paper's problem with more cuts per task, and every policy and every bound works on it (within the shares tried:
// eighths).
//
// Pure functions and values; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schedule/certify.h"
#include "schedule/instance.h"

namespace tideline::schedule {

struct ExtendedOptions {
  // What one task gets in the cloud. The default is the single-precision rate of the paper's workstation card.
  double cloud_gflop_s = 8873;
};

// How one task is served.
struct Grant {
  bool admitted = false;
  std::uint32_t layers = 0;   // on the edge; 0: the whole model in the cloud
  double mbit_s_per_mb = 0;   // b_ij / d_ij
  double gflop_s_per_mb = 0;  // g_ij / d_ij
  bool operator==(const Grant&) const = default;
};

struct ExtendedSchedule {
  std::string policy;
  double cloud_gflop_s = 0;
  std::vector<Grant> grants;         // one per task
  std::vector<std::uint32_t> curve;  // of online policies: admitted after each arrival
  // Of `price`: the prices, and what bound_extended makes of them; 0: none.
  Multipliers multipliers;
  double upper_bound = 0;
  std::uint32_t admitted() const;
  std::uint32_t deployed() const;  // on the edge: layers > 0
};

// The paper's problem that the extended one becomes: the same tasks and servers, other models.
struct Reduction {
  Instance instance;
  std::vector<std::vector<Grant>> choices;  // [reduced model][layers - 1]
  ExtendedSchedule expand(const Instance& original, const Schedule& reduced, const ExtendedOptions& options) const;
};

// kInvalidArgument for a cloud of no speed; kOverloaded when the choices of all tasks would not fit in memory.
// REQUIRES: validate(instance).
Result<Reduction> reduce_extended(const Instance& instance, const ExtendedOptions& options);

// Seconds that one second's data of the task computes in the cloud after `layers` layers on the edge.
double cloud_time_s(const Instance& instance, const Task& task, std::uint32_t layers, double cloud_gflop_s);

struct ExtendedReport {
  std::uint32_t admitted = 0;
  std::uint32_t deployed = 0;
  double bandwidth_utilisation_max = 0;
  double compute_utilisation_max = 0;
  // The largest latency over its limit: at most 1.
  double latency_share_max = 0;
};

// The independent checker: recomputes the three conditions above from the raw instance and the slices alone.
// kInvalidArgument with one sentence naming the first that is broken.
Result<ExtendedReport> check_extended(const Instance& instance, const ExtendedSchedule& schedule);

// No schedule that gives a task slices of one size per MB/s on all of its servers admits more, whatever its k and whatever the
// shares: U(lambda) of docs/algorithms/extended.md, the best share found in closed form. Independent of reduction.cpp.
// REQUIRES: one multiplier of each kind per server, all 0 or more; cloud_gflop_s above 0.
double bound_extended(const Instance& instance, const Multipliers& multipliers, double cloud_gflop_s);

struct ExtendedCertificate {
  ExtendedReport report;
  Bound bound;  // recomputed
};

// kInvalidArgument when the schedule breaks a condition, has no multipliers or bad ones, or states another bound than they prove.
Result<ExtendedCertificate> certify_extended(const Instance& instance, const ExtendedSchedule& schedule);

// What `tideline schedule --model extended -o json` prints and `tideline simulate` reads; docs/formats/extended.md.
std::string write_extended(const ExtendedSchedule& schedule);
Result<ExtendedSchedule> parse_extended(std::string_view json, std::string_view name);
// True when the text is such a result rather than one of the paper's model. False also for text that is neither.
bool is_extended_result(std::string_view json);

}  // namespace tideline::schedule
