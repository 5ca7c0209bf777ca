// A schedule of the many-tasks problem in virtual time: requests arrive, queue for compute and for the uplink, and complete.
//
// The analytic problem (schedule/instance.h) promises that each batch crosses the link within Q_j. It leaves out compute time and
// all queueing. Here every deployed task sends one batch per period to each of its servers (`data_mb_s * period` megabytes; a
// task with a rate of its own sends rate_hz of them per period, each so much smaller); a batch waits for the server's processor
// (first come, first served, at c_i), is computed (l_k), waits for the uplink, crosses it (r_k), and is finished in the cloud.
// What a task really sees is the distribution of those times over all its batches and servers.
//
// A discrete-event simulation, one server at a time, since servers share nothing. Deterministic for a seed. Pure function.
// Checked against the closed forms of M/M/1, M/D/1 and M/G/1 with processor sharing (edge_queues_test.cpp, load_test.cpp). Not
// modelled: propagation, packet overheads, the clients' own radio, losses.
//
//   TIDELINE_TRY(const SimulatedLatencies seen, simulate_edge(instance, schedule.layers, {.seed = 7}));
//   seen.over_limit_share;
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "schedule/instance.h"

namespace tideline::sim {

enum class Arrivals : std::uint8_t {
  kPoisson,   // exponential gaps with mean `period_s`
  kPeriodic,  // every `period_s`, each stream with a random phase
};
enum class Sizes : std::uint8_t {
  kFixed,        // every batch has data_mb_s * period_s megabytes
  kExponential,  // that is their mean
};
enum class Share : std::uint8_t {
  kShared,    // one queue per server at full speed, first come, first served
  kReserved,  // every task has a slice of its own and queues only behind its own batches
  kEqual,     // of processors: all batches there are computed at once, each at an equal share, as processes of one host are
};

// In place of a number of layers: the task is served, all of it in the cloud, and sends its raw data.
inline constexpr std::uint32_t kAllInCloud = 0xffffffff;

// What a task has for itself per MB/s of data, when a resource is reserved; and the fixed time of its batches in the cloud.
struct Reservation {
  double bandwidth_mbit_s = 0;
  double compute_gflop_s = 0;
  double cloud_s = 0;
  // The time in the cloud is a slice there: a batch waits for the task's batches before it. Otherwise none ever waits.
  bool cloud_queues = false;
};

struct SimulateOptions {
  std::uint64_t seed = 1;
  Arrivals arrivals = Arrivals::kPoisson;
  Sizes sizes = Sizes::kFixed;
  Share link = Share::kShared;
  Share compute = Share::kShared;
  double period_s = 1;
  // Batches per task and server that count, after `warm_up` of them that do not.
  std::uint32_t requests = 200;
  std::uint32_t warm_up = 20;
  // Tasks that are not deployed send their raw data over the (shared) link: what the paper leaves out. They are not reported.
  bool undeployed_upload = false;
  // One per task; empty: the paper's own slice, b_ij = 8 d r / Q, for a reserved link. Needed for reserved compute.
  std::vector<Reservation> reservations;
  CancelToken cancel;
  std::function<void(std::size_t)> progress;  // servers done
};

struct TaskLatency {
  std::uint32_t task = 0;
  std::uint32_t layers = 0;
  double limit_s = 0;
  std::uint64_t requests = 0;
  double median_s = 0;
  double p99_s = 0;
  double mean_s = 0;
  // Requests slower than limit_s.
  double over_limit_share = 0;
  // Means of the parts; they add up to mean_s.
  double compute_wait_s = 0;
  double compute_s = 0;
  double link_wait_s = 0;
  double transfer_s = 0;
  double cloud_s = 0;  // its wait there and the fixed part (fixed_s) included
};

struct SimulatedLatencies {
  std::vector<TaskLatency> tasks;  // the deployed ones (and kAllInCloud), by rising index
  std::uint32_t requests = 0;      // per task and server; fewer than asked for when samples would not fit in memory
  std::uint64_t samples = 0;
  // Over all requests.
  double median_s = 0;
  double p99_s = 0;
  double over_limit_share = 0;
  // Tasks with more than one request in a hundred over their limit.
  std::uint32_t tasks_over_limit = 0;
  // Offered load over capacity, of the fullest server. At 1 or more its queue grows without end.
  double compute_load_max = 0;
  double link_load_max = 0;
};

// kInvalidArgument for numbers out of range and for `layers` that do not belong to the instance; kCancelled.
Result<SimulatedLatencies> simulate_edge(const schedule::Instance& instance, const std::vector<std::uint32_t>& layers,
                                         const SimulateOptions& options);

}  // namespace tideline::sim
