// What the price policies learn from: tasks seen before when there are any, else those that have arrived so far.
//
// Without a history nothing is known at first, and the prices of nothing are equal for all resources; they are learned after the
// first hundred arrivals and then whenever half as many again have come, for as many tasks as have come already unless
// a horizon was given. Not thread-safe. Keeps references to what the request refers to.
#pragma once

#include <cstdint>
#include <vector>

#include "schedule/instance.h"
#include "schedule/online/online_policy.h"

namespace tideline::schedule {

class History {
 public:
  explicit History(const OnlineRequest& request);

  bool is_given() const { return given_ != nullptr; }
  void add_arrival(std::uint32_t task);
  std::uint32_t arrived() const { return arrived_; }
  // Whether prices should be learned again now, after the latest arrival.
  bool is_due() const;
  // How many tasks are still to be expected.
  std::uint32_t to_come() const;
  // What has been seen: the history that was given, or the latest arrivals, which `room` then holds.
  const Instance& tasks(Instance& room) const;
  // At the start: from the history, or equal prices so low that nothing costs too much.
  Multipliers first_prices() const;

 private:
  const Instance& instance_;
  const Instance* given_;
  std::uint32_t horizon_;
  std::uint32_t arrived_ = 0;
  std::vector<std::uint32_t> latest_;  // without a history; a ring once it is full
};

}  // namespace tideline::schedule
