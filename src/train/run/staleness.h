// StalenessGate: which gradient may be used now, so that none is ever older than a bound.
//
// The age of a gradient is how many others were used since its worker was given the model. Using one makes all others under way
// older, so one that comes early may have to wait: it is used only if those under way, oldest first, could still all be used in
// time. With a bound of at least (workers - 1) the oldest one always may, so nobody waits for ever. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace tideline::train {

class StalenessGate {
 public:
  explicit StalenessGate(std::uint64_t bound) : bound_(bound) {}

  void hand_out(std::uint32_t worker) { ages_[worker] = 0; }
  void forget(std::uint32_t worker) { ages_.erase(worker); }
  bool is_under_way(std::uint32_t worker) const { return ages_.contains(worker); }

  // REQUIRES: is_under_way(worker).
  bool may_use(std::uint32_t worker) const {
    std::vector<std::uint64_t> others;
    for (const auto& [other, age] : ages_)
      if (other != worker) others.push_back(age + 1);
    std::sort(others.begin(), others.end(), std::greater<>());
    for (std::size_t i = 0; i < others.size(); ++i)
      if (others[i] + i > bound_) return false;
    return true;
  }
  // Its age. REQUIRES: may_use(worker).
  std::uint64_t use(std::uint32_t worker) {
    const std::uint64_t age = ages_.at(worker);
    ages_.erase(worker);
    for (auto& [other, other_age] : ages_) ++other_age;
    return age;
  }

 private:
  std::uint64_t bound_;
  std::map<std::uint32_t, std::uint64_t> ages_;
};

}  // namespace tideline::train
