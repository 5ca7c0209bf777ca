// The plan of a fleet: which tasks run, where each is cut, what each has of links and processors, and what holds the others back.
//
// `price` and every other policy of schedule/ decide on the instance of site.h, in the model that the fleet names. With the
// queueing model the plan also keeps what shares alone do not say on real nodes: a run that has begun is not interrupted, so a
// request may find one run of another task before it on its gateway; and the cloud is one queue for all, in which a request
// waits as in M/D/1 of the longest run at the cloud's load. Both are assumed, the plan is made under them, and they hold in it.
//
// Pure functions; thread-safe.
//
//   TIDELINE_TRY(const FleetPlan plan, plan_fleet(fleet, profiles, {.policy = fleet.policy, .model = fleet.model}));
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "fleet/fleet.h"
#include "fleet/profiles.h"
#include "fleet/site.h"
#include "schedule/extended/extended.h"

namespace tideline::fleet {

// Two policies that no schedule has, to compare with: every task is let in, with all it has on its gateway, or all in the cloud
// (but for the blocks that it keeps). They have no bound, and what they reserve is the mean of what they need.
inline constexpr std::string_view kAllEdge = "all-edge";
inline constexpr std::string_view kAllCloud = "all-cloud";

struct FleetPlanOptions {
  std::string policy = "price";
  FleetModelKind model = FleetModelKind::kQueueing;
  std::uint64_t seed = 1;
  // Of one run of a policy that searches; a plan takes up to 26 of them where nothing is proven optimal.
  std::chrono::nanoseconds time_limit = std::chrono::milliseconds(500);
  std::uint64_t search_steps = 0;
  unsigned threads = 0;
  CancelToken cancel;
};

// What a task has of one gateway and its uplink.
struct FleetShare {
  std::size_t gateway = 0;  // node
  std::size_t uplink = 0;   // link
  double mbit_s = 0;
  double cores = 0;
};

// What a task that was refused lacks.
struct FleetNeed {
  std::string what;  // "gw1 -> cloud", "gw1"
  std::string unit;  // "Mbit/s", "cores"
  double needs = 0;
  double free = 0;
};

struct FleetTaskPlan {
  bool admitted = false;
  std::uint32_t blocks = 0;         // on the gateway
  std::string cut;                  // cut_name()
  std::vector<std::size_t> nodes;   // that compute, gateways first
  std::vector<FleetShare> shares;   // by source
  std::optional<Millis> predicted;  // of a request that meets no other: cost/cost.h, of the source where it is longest
  std::optional<Millis> bound;      // with the wait; queueing model
  double cloud_cores = 0;           // mean
  std::string why;                  // it was refused
  std::vector<FleetNeed> needs;
};

struct FleetResource {
  bool is_link = false;
  std::size_t index = 0;  // link or node
  std::string name;       // "gw1 -> cloud", "gw1"
  double capacity = 0;    // Mbit/s or cores
  double reserved = 0;    // the same
  double price = 0;       // tasks that one more Mbit/s or core would bring, by the dual; 0 for the cloud
};

struct FleetPlan {
  std::string policy;
  FleetModelKind model = FleetModelKind::kQueueing;
  std::vector<FleetTaskPlan> tasks;      // one per task of the fleet
  std::vector<FleetResource> resources;  // links, gateways, clouds
  std::optional<double> upper_bound;     // no schedule of this model admits more
  SiteWaits waits;                       // that the plan counts on
  std::uint32_t admitted() const;
};

// Errors as of site_instance() and run_policy().
Result<FleetPlan> plan_fleet(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlanOptions& options);

// Where each task of a fleet is: so many blocks on its gateway; nothing: it does not run.
using Placement = std::vector<std::optional<std::uint32_t>>;
Placement placement_of(const FleetPlan& plan);

// The plan that a placement is, in the queueing model: shares, bounds and waits of exactly the tasks that run. Nothing: they do
// not fit together. Without an upper bound; `why` of the others says what they would need. REQUIRES: one entry per task.
Result<std::optional<FleetPlan>> plan_as(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                         const FleetPlanOptions& options);
// A placement in which what runs goes on as it does but for the tasks of `open`, all of which run, cut wherever there is room for
// them. Nothing: none was found.
Result<std::optional<Placement>> place(const Fleet& fleet, const FleetProfiles& profiles, const Placement& placement,
                                       const std::vector<std::size_t>& open, const FleetPlanOptions& options);

// What `needs` says in one sentence.
std::string why_refused(const std::vector<FleetNeed>& needs, const std::string& cut);

// A scheduled instance: what each task was given, in the paper's units.
struct SiteSchedule {
  std::vector<schedule::Grant> grants;
  std::vector<std::vector<schedule::Grant>> choices;  // by task: all that would do, if there were room
  schedule::Multipliers multipliers;
  double upper_bound = 0;
};

// The fewest of what is free that the task lacks, over all of its choices; empty when it has none.
struct Shortage {
  std::vector<FleetNeed> needs;
  std::uint32_t blocks = 0;
};
Shortage shortage_of(const Fleet& fleet, const SiteInstance& site, const SiteSchedule& schedule, std::size_t task);

}  // namespace tideline::fleet
