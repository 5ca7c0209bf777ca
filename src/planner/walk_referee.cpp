// Every walk, one after the other: exponential, and so simple that it can be trusted.
#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "planner/table_walks.h"

namespace tideline {
namespace {

class Referee {
 public:
  Referee(const Table& table, std::size_t walks_max, const CancelToken& cancel)
      : table_(table), walks_max_(walks_max), cancel_(cancel) {
    walk_.route = {table.source};
  }

  Result<std::vector<WalkPlan>> run() {
    std::vector<bool> seen(table_.devices.size());
    seen[table_.source] = true;
    TIDELINE_CHECK_OK(go_on(seen));
    return std::move(walks_);
  }

 private:
  // The ops of the walk so far are done, and the devices of `seen` were visited since the last one.
  Status go_on(std::vector<bool>& seen) {
    TIDELINE_CHECK_OK(compute());
    for (std::uint32_t codec = 0; codec <= table_.codecs.size(); ++codec)
      TIDELINE_CHECK_OK(cross(codec, seen, [&](std::vector<bool>& now) { return go_on(now); }));
    return {};
  }

  Status compute() {
    const std::uint32_t at = walk_.route.back();
    if (walk_.devices.size() < table_.keep_on_source && at != table_.source) return {};
    const std::uint32_t op = table_.order[walk_.devices.size()];
    walk_.devices.push_back(at);
    walk_.at.push_back(static_cast<std::uint32_t>(walk_.route.size() - 1));
    std::vector<bool> seen(table_.devices.size());
    seen[at] = true;
    for (std::uint32_t exit = 0; exit < table_.exits.size(); ++exit) {
      if (table_.exits[exit].after_op != op) continue;
      walk_.exit = exit;
      TIDELINE_CHECK_OK(go_home(seen));
      walk_.exit.reset();
    }
    TIDELINE_CHECK_OK(walk_.devices.size() == table_.order.size() ? go_home(seen) : go_on(seen));
    walk_.devices.pop_back();
    walk_.at.pop_back();
    return {};
  }

  Status go_home(std::vector<bool>& seen) {
    if (walk_.route.back() == table_.source) return judge();
    return cross(kRawCodec, seen, [&](std::vector<bool>& now) { return go_home(now); });
  }

  template <typename Then>
  Status cross(std::uint32_t codec, std::vector<bool>& seen, const Then& then) {
    const std::uint32_t at = walk_.route.back();
    for (std::uint32_t i = 0; i < table_.links.size(); ++i) {
      const TableLink& link = table_.links[i];
      if (link.from != at && link.to != at) continue;
      const std::uint32_t to = link.from == at ? link.to : link.from;
      if (seen[to]) continue;
      seen[to] = true;
      walk_.route.push_back(to);
      walk_.links.push_back(i);
      walk_.codecs.push_back(codec);
      TIDELINE_CHECK_OK(then(seen));
      walk_.route.pop_back();
      walk_.links.pop_back();
      walk_.codecs.pop_back();
      seen[to] = false;
    }
    return {};
  }

  Status judge() {
    if (walks_.size() >= walks_max_)
      return Error{ErrorCode::kUnsupported,
                   fmt::format("[plan] exhaustive tries at most {} walks, and there are more: use --planner labels", walks_max_)};
    if (walks_.size() % 1024 == 0 && cancel_.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    TIDELINE_TRY(WalkValue value, walk_value(table_, walk_));
    walks_.push_back({.planner = "exhaustive", .walk = walk_, .value = std::move(value), .note = ""});
    return {};
  }

  const Table& table_;
  const std::size_t walks_max_;
  const CancelToken& cancel_;
  TableWalk walk_;
  std::vector<WalkPlan> walks_;
};

bool is_allowed(const Table& table, const Question& question, const WalkPlan& plan) {
  if (!question.may_lose_accuracy()) {
    for (const std::uint32_t codec : plan.walk.codecs)
      if (codec != kRawCodec && table.codecs[codec - 1].accuracy_loss > 0) return false;
    if (plan.walk.exit && table.exits[*plan.walk.exit].accuracy < table.accuracy) return false;
  }
  for (const Objective objective : kObjectives)
    if (const auto limit = question.limits.of(objective); limit && !keeps(objective, plan.value.total.of(objective), *limit))
      return false;
  for (std::size_t device = 0; question.limits.memory && device < table.devices.size(); ++device)
    if (table.device_memory_bytes[device] && plan.value.memory_bytes[device] > *table.device_memory_bytes[device]) return false;
  return true;
}

// The tie rule behind the objective.
bool is_preferred(const WalkPlan& left, const WalkPlan& right) {
  if (left.value.total.latency_ms != right.value.total.latency_ms)
    return left.value.total.latency_ms < right.value.total.latency_ms;
  const auto leave = [](const WalkPlan& plan) { return plan.walk.exit ? *plan.walk.exit + 1 : 0; };
  if (leave(left) != leave(right)) return leave(left) < leave(right);
  const auto& a = left.walk.devices;
  const auto& b = right.walk.devices;
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

}  // namespace

Result<std::vector<WalkPlan>> all_walks(const Table& table, std::size_t walks_max, const CancelToken& cancel) {
  if (table.op_count() > limits::kRefereeOpsMax)
    return Error{ErrorCode::kUnsupported, fmt::format("[plan] exhaustive takes at most {} ops: use --planner labels for {}",
                                                      limits::kRefereeOpsMax, table.op_count())};
  return Referee(table, walks_max, cancel).run();
}

Result<std::vector<WalkPlan>> exhaustive_walks(const Table& table, const Question& question, const CancelToken& cancel) {
  TIDELINE_TRY(std::vector<WalkPlan> plans, all_walks(table, limits::kRefereeWalksMax, cancel));
  std::erase_if(plans, [&](const WalkPlan& plan) { return !is_allowed(table, question, plan); });
  if (plans.empty()) return Error{ErrorCode::kInfeasible, "[plan] no plan keeps all limits"};
  const double sign = question.objective == Objective::kAccuracy ? -1 : 1;
  const auto goal = [&](const WalkPlan& plan) { return sign * plan.value.total.of(question.objective); };
  std::stable_sort(plans.begin(), plans.end(), [&](const WalkPlan& left, const WalkPlan& right) {
    return goal(left) != goal(right) ? goal(left) < goal(right) : is_preferred(left, right);
  });
  return plans;
}

}  // namespace tideline
