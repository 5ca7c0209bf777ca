// The loads of labels when the period is limited: what each device has computed, encoded and decoded, and how long the bytes on
// each direction of each link take. Part of search_labels(); numbers lie in its rows.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/walk_problem.h"

namespace tideline {

// Limits of a search are a little wider than those that are promised: sums come in another order.
inline double with_slack(double limit) { return limit + 2e-9 * (limit < 0 ? -limit : limit); }

class LabelLoads {
 public:
  // Numbers from `from` on. Where no device is visited twice, one does for the device under way, and directions count only where
  // what went out and the result could be too much together. `problem` must outlive this.
  LabelLoads(const WalkProblem& problem, double period, bool no_return, std::size_t from);
  std::size_t end() const { return end_; }

  void run(double* row, std::size_t device, double ms) const { row[from_ + (no_return_ ? 0 : device)] += ms; }
  // A hop's loads, before the segment ends at its beginning and after. False when one that is not kept is over the limit.
  bool send(double* row, const WalkProblem::Hop& hop, double bytes) const;
  bool arrive(double* row, const WalkProblem::Hop& hop, double bytes) const;
  // False when a load is over the limit, or what is left to compute has no room. What can break the limit no more becomes
  // nothing. `seen`: the devices visited, where that counts.
  bool clamp(double* row, std::size_t cut, std::size_t station, bool is_going_home, std::uint64_t seen) const;

 private:
  double most_coding(std::size_t cut, std::size_t device) const;
  void set_growth();
  void set_relief();
  void set_capacity();
  bool has_room(const double* row, std::size_t cut, std::size_t device, std::uint64_t seen) const;

  const WalkProblem& problem_;
  const double period_;
  const bool no_return_;
  const std::size_t from_;
  std::size_t end_ = 0;
  std::size_t devices_kept_ = 0;
  double result_bytes_ = 0;              // the most that any leave has
  std::vector<std::uint32_t> way_slot_;  // [way]: its number in a row
  std::vector<double> most_way_;         // [way], ms per byte
  std::vector<double> device_growth_;    // [cut * devices + device]
  std::vector<double> relief_;           // [cut * devices + device]; empty: none
  std::vector<double> bytes_left_;       // [cut]: of all cuts from there on and the result
  std::vector<double> rest_;             // [cut]: the least work from there on
  std::vector<double> speed_;            // [device]: how much of the least work it can do in its time
};

}  // namespace tideline
