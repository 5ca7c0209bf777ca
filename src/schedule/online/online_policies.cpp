// The list of online policies.
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "schedule/online/families.h"

namespace tideline::schedule {
namespace {

constexpr bool kHistory = true;
constexpr bool kEvicts = true;
constexpr bool kNot = false;

constexpr std::array<OnlinePolicyEntry, 15> kPolicies{{
    {"li2018-online", "the paper's rule exactly as printed (turns everything away)", kHistory, kNot, make_li2018_online},
    {"li2018-theta", "the printed threshold on the remaining fraction, against the task's own demand", kHistory, kNot,
     make_li2018_theta},
    {"zcl", "the threshold it seems to mean, on every server and both resources", kHistory, kNot, make_zcl},
    {"fifo", "evicts the oldest until the newcomer fits", kNot, kEvicts, make_fifo_until},
    {"fifo:relevant", "evicts the oldest on the full servers", kNot, kEvicts, make_fifo_relevant},
    {"lbf", "evicts the task with the largest bandwidth until the newcomer fits (same as lbf:until)", kNot, kEvicts,
     make_lbf_until},
    {"lbf:nw", "as lbf, but turns the newcomer away when it is the largest", kNot, kEvicts, make_lbf_nw},
    {"lbf:relevant", "evicts the largest on the full servers", kNot, kEvicts, make_lbf_relevant},
    {"first-fit", "takes whatever fits with the paper's k or the nearest other", kNot, kNot, make_first_fit},
    {"balanced-online", "takes whatever fits with the k that fills the fullest server least", kNot, kNot, make_balanced},
    {"price-history", "admits what costs at most 1 at prices learned from the history", kHistory, kNot, make_price_history},
    {"price-relearn", "as price-history, learned again ten times on the way for what is left", kNot, kNot, make_price_relearn},
    {"price-swap", "takes what fits, else trades places one for one with a dearer task", kNot, kEvicts, make_price_swap},
    {"price-recut", "as price-swap, after trying to change the k of one deployed task", kNot, kEvicts, make_price_recut},
    {"auto", "simulates the others on the history and takes the best; price-recut when there is none", kNot, kEvicts, make_auto},
}};

}  // namespace

std::span<const OnlinePolicyEntry> online_policies() { return kPolicies; }

const OnlinePolicyEntry* find_online_policy(std::string_view name) {
  // What the plain names mean, spelled out.
  if (name == "lbf:until") name = "lbf";
  if (name == "fifo:until") name = "fifo";
  for (const OnlinePolicyEntry& entry : kPolicies)
    if (entry.name == name) return &entry;
  return nullptr;
}

Result<std::unique_ptr<OnlinePolicy>> make_online_policy(std::string_view name, const OnlineRequest& request) {
  const OnlinePolicyEntry* entry = find_online_policy(name);
  if (entry == nullptr) {
    std::vector<std::string_view> names;
    for (const OnlinePolicyEntry& known : kPolicies) names.push_back(known.name);
    const std::string_view meant = nearest(name, names);
    return Error{ErrorCode::kNotFound, fmt::format("[schedule] no online policy is called '{}'{}", printable(name),
                                                   meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant))};
  }
  OnlineRequest checked = request;
  const bool has_history = request.history != nullptr && !request.history->tasks.empty();
  if (!has_history) {
    if (entry->needs_history)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[schedule] policy '{}' learns from tasks seen before: give them with --history FILE", name)};
  } else {
    if (request.history->servers.size() != request.instance.servers.size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[schedule] the history has {} servers and the instance {}: they must be the same servers",
                               request.history->servers.size(), request.instance.servers.size())};
    if (checked.horizon == 0) checked.horizon = static_cast<std::uint32_t>(request.history->tasks.size());
  }
  return entry->make(checked);
}

}  // namespace tideline::schedule
