// Streams of requests over engines and links that they share, in virtual time: what nodes and links do to each other's requests,
// without running any.
//
// An engine runs one thing at a time and is not interrupted; of those that wait the one with the earliest deadline goes first, of
// equal ones the one that came first (node/compute_slot.h). One direction of a link carries all streams that have something to
// send at once, each at an equal share of its speed, as TCP connections do; within a stream things go in their order. A request
// goes through its steps one by one. Where edge_queues.h judges a schedule of the abstract problem, this is held against a run of
// the same site on real nodes (fleet/simulate_fleet.h).
//
// A discrete-event simulation; deterministic. Pure function. Not modelled: packets, losses, congestion control, the processors
// that move the bytes.
//
//   const std::vector<StreamOutcome> seen = simulate_site({.engines = 1, .links = {}, .streams = {...}, .duration_s = 60});
#pragma once

#include <cstdint>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"

namespace tideline::sim {

struct SiteStep {
  bool is_link = false;
  std::size_t where = 0;  // which engine, or which direction of a link
  double amount = 0;      // seconds of the engine, or bytes
  double then_s = 0;      // passes afterwards, and takes nothing of anything: propagation
};

// What happens to a request that arises while as many as may be are under way.
enum class SiteDrop : std::uint8_t {
  kNone,    // it waits
  kOldest,  // one may wait: this one, and the one that waited is dropped
  kNewest,  // one may wait: if one does, this one is dropped
};

// Requests that arise every gap_s, from first_s on and before the end.
struct SiteStream {
  double first_s = 0;
  double gap_s = 1;
  double deadline_s = 0;  // of the order in which engines take them
  std::uint32_t in_flight = 1;
  SiteDrop drop = SiteDrop::kNone;
  std::vector<SiteStep> steps;
};

struct SiteQueues {
  std::size_t engines = 0;
  std::vector<double> link_bytes_per_s;  // of each direction; above 0
  std::vector<SiteStream> streams;
  double duration_s = 0;  // no request arises after it; all that have are finished
  CancelToken cancel = {};
};

struct StreamOutcome {
  std::vector<double> latency_s;  // from when it arose; by the order in which they were finished
  std::uint64_t dropped = 0;
};

// One for each stream. kInvalidArgument for numbers that are not finite or negative, steps that are nowhere and more requests
// than limits::kSimulationSamplesMax; kCancelled.
Result<std::vector<StreamOutcome>> simulate_site(const SiteQueues& site);

}  // namespace tideline::sim
