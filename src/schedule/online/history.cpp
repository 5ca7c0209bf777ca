#include "schedule/online/history.h"

#include <algorithm>

#include "schedule/online/prices.h"

namespace tideline::schedule {
namespace {

// Policies that learn again do so ten times on the way to the horizon, and not more often than every hundred arrivals: on a
// thousand servers one run of the dual takes seconds.
constexpr std::uint32_t kPeriodMin = 100;
constexpr std::uint32_t kPeriods = 10;
// Without a history: after a hundred arrivals, then whenever there are half as many again.
constexpr double kGrowth = 1.5;
// Of the arrivals, remembered: older ones say less about what comes.
constexpr std::size_t kLatestMax = 100'000;
// A price of nothing yet: it ranks the k by what they use, and excludes nobody.
constexpr double kNoPrice = 1e-6;

}  // namespace

History::History(const OnlineRequest& request)
    : instance_(request.instance),
      given_(request.history != nullptr && !request.history->tasks.empty() ? request.history : nullptr),
      horizon_(request.horizon) {}

void History::add_arrival(std::uint32_t task) {
  ++arrived_;
  if (given_ != nullptr) return;
  if (latest_.size() < kLatestMax)
    latest_.push_back(task);
  else
    latest_[arrived_ % kLatestMax] = task;
}

bool History::is_due() const {
  if (arrived_ == 0) return false;
  if (given_ != nullptr) return arrived_ % std::max(kPeriodMin, horizon_ / kPeriods) == 0;
  double due = kPeriodMin;
  while (static_cast<std::uint32_t>(due) < arrived_) due *= kGrowth;
  return static_cast<std::uint32_t>(due) == arrived_;
}

std::uint32_t History::to_come() const {
  if (horizon_ > arrived_) return horizon_ - arrived_;
  return given_ != nullptr ? std::max(kPeriodMin, horizon_ / kPeriods) : arrived_;
}

const Instance& History::tasks(Instance& room) const {
  if (given_ != nullptr) return *given_;
  return room = select_tasks(instance_, latest_);
}

Multipliers History::first_prices() const {
  if (given_ != nullptr) return learn_prices(instance_, *given_, horizon_);
  const std::vector<double> equal(instance_.servers.size(), kNoPrice);
  return {.bandwidth = equal, .compute = equal};
}

}  // namespace tideline::schedule
