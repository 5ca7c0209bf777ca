// Policies for tasks that arrive, and end, one by one: an object that answers each arrival at once.
//
// A policy owns its deployment and applies its own answer to it; whoever drives it keeps the account of what was promised
// (run.h) and has it checked by other code. One decision costs O(servers of the task + layers) unless said otherwise.
// Not thread-safe. The instance and the history given at creation must outlive the policy.
//
//   TIDELINE_TRY(auto policy, make_online_policy("price-swap", {.instance = instance, .history = &history}));
//   const Decision decision = policy->arrive(0);      // decision.layers == 0: not deployed
//   policy->depart(0);
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "schedule/instance.h"

namespace tideline::schedule {

struct Recut {
  std::uint32_t task = 0;
  std::uint32_t layers = 0;  // its new k
  bool operator==(const Recut&) const = default;
};

struct Decision {
  std::uint32_t layers = 0;            // k of the task that arrived; 0: not deployed
  std::vector<std::uint32_t> evicted;  // tasks that lose their place for it
  std::vector<Recut> recut;            // tasks that stay, with another k
};

class OnlinePolicy {
 public:
  OnlinePolicy() = default;
  OnlinePolicy(const OnlinePolicy&) = delete;
  OnlinePolicy& operator=(const OnlinePolicy&) = delete;
  virtual ~OnlinePolicy() = default;

  // REQUIRES: this task has not arrived yet.
  virtual Decision arrive(std::uint32_t task) = 0;
  // The task ended by itself. One that is not deployed (any more) is ignored.
  virtual void depart(std::uint32_t task) = 0;
  // The slow part (learning prices again), called between arrivals so that no arrival waits for it. Most policies have none.
  // Evicts nobody; returns the tasks that changed their k.
  virtual std::vector<Recut> replan() { return {}; }
  // Of `auto`: the name of the policy it became. Empty for the others.
  virtual std::string_view chosen() const { return {}; }
};

inline constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

struct OnlineRequest {
  const Instance& instance;
  // Tasks seen before, on the same servers. Null: none; policies with needs_history refuse.
  const Instance* history = nullptr;
  // How many arrivals to expect; 0: as many as the history has.
  std::uint32_t horizon = 0;
  // The most tasks that may lose their place for one arrival; an arrival that would need more is turned away.
  std::uint32_t evictions_max = kNoLimit;
  CancelToken cancel = {};
};

struct OnlinePolicyEntry {
  std::string_view name;
  std::string_view summary;
  bool needs_history = false;
  bool evicts = false;
  Result<std::unique_ptr<OnlinePolicy>> (*make)(const OnlineRequest&);
};

// The whole list, in the order of the documentation (online_policies.cpp).
std::span<const OnlinePolicyEntry> online_policies();
// Null when there is none of that name.
const OnlinePolicyEntry* find_online_policy(std::string_view name);
// kNotFound for an unknown name; kInvalidArgument when the policy needs a history and none (or one for other servers) is given.
Result<std::unique_ptr<OnlinePolicy>> make_online_policy(std::string_view name, const OnlineRequest& request);

}  // namespace tideline::schedule
