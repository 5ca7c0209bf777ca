#include "planner/label_loads.h"

#include <algorithm>
#include <cmath>

namespace tideline {
namespace {

constexpr std::uint32_t kNoSlot = 0xffffffffu;

}  // namespace

LabelLoads::LabelLoads(const WalkProblem& problem, double period, bool no_return, std::size_t from)
    : problem_(problem), period_(period), no_return_(no_return), from_(from) {
  devices_kept_ = no_return_ ? 1 : problem_.devices;
  result_bytes_ = 0;
  for (const WalkProblem::Leave& leave : problem_.leaves) result_bytes_ = std::max(result_bytes_, leave.bytes);
  most_way_.assign(problem_.ways, 0);
  for (const WalkProblem::Hop& hop : problem_.hops) most_way_[hop.way] = std::max(most_way_[hop.way], hop.way_ms_per_byte);
  way_slot_.assign(problem_.ways, kNoSlot);
  std::uint32_t slot = static_cast<std::uint32_t>(from_ + devices_kept_);
  if (!no_return_) {
    for (std::uint32_t& way : way_slot_) way = slot++;
  } else {
    for (const WalkProblem::Hop& hop : problem_.hops)
      for (std::size_t cut = 0; cut < problem_.cut_bytes.size(); ++cut) {
        const double load = problem_.bytes_of(hop, cut) * hop.way_ms_per_byte;
        const double both = load + result_bytes_ * most_way_[hop.way];
        if (way_slot_[hop.way] == kNoSlot && load <= with_slack(period_) && both > period_) way_slot_[hop.way] = slot++;
      }
  }
  end_ = slot;
  set_growth();
  set_relief();
  set_capacity();
}

// Decoding and encoding by a model's codec, at the cut.
double LabelLoads::most_coding(std::size_t cut, std::size_t device) const {
  double encode = 0;
  double decode = 0;
  const std::size_t i = cut * problem_.devices + device;
  for (const WalkProblem::Code& code : problem_.codes) {
    if (code.encode[i] != kEndless) encode = std::max(encode, code.encode[i]);
    if (code.decode[i] != kEndless) decode = std::max(decode, code.decode[i]);
  }
  return encode + decode;
}

// What each load can still grow by with a cut to be carried on: along a simple path, so it passes a device and a direction
// once.
void LabelLoads::set_growth() {
  std::vector<double> most_code(problem_.devices);
  std::vector<double> most_decode(problem_.devices);
  for (const WalkProblem::Hop& hop : problem_.hops) {
    double& encode = most_code[problem_.stations[hop.from].device];
    double& decode = most_decode[problem_.stations[hop.to].device];
    encode = std::max(encode, hop.encode_ms_per_mb);
    decode = std::max(decode, hop.decode_ms_per_mb);
  }
  for (std::size_t device = 0; device < problem_.devices; ++device) most_code[device] += most_decode[device];
  device_growth_.assign((problem_.blocks + 1) * problem_.devices, 0);
  bytes_left_.assign(problem_.blocks + 1, result_bytes_);
  for (std::size_t cut = problem_.blocks; cut-- > 0;) {
    double most_bytes = problem_.cut_bytes[cut];
    for (const WalkProblem::Code& code : problem_.codes) most_bytes = std::max(most_bytes, code.bytes[cut]);
    bytes_left_[cut] = bytes_left_[cut + 1] + most_bytes;
    for (std::size_t device = 0; device < problem_.devices; ++device) {
      double& growth = device_growth_[cut * problem_.devices + device];
      growth = device_growth_[(cut + 1) * problem_.devices + device] + problem_.time_of(cut, device) +
               problem_.cut_bytes[cut] / 1e6 * most_code[device] + std::abs(problem_.begin(cut, device)) +
               std::abs(problem_.end(cut + 1, device));
      double head = 0;
      for (const WalkProblem::Leave& leave : problem_.leaves)
        if (leave.after == cut + 1 && !leave.head_ms.empty()) head = std::max(head, leave.head_ms[device]);
      growth += head + most_coding(cut, device);
    }
  }
}

// Corrections may be negative: a load can still shrink by these.
void LabelLoads::set_relief() {
  if (problem_.begins.empty()) return;
  relief_.assign((problem_.blocks + 1) * problem_.devices, 0);
  for (std::size_t cut = problem_.blocks; cut-- > 0;)
    for (std::size_t device = 0; device < problem_.devices; ++device)
      relief_[cut * problem_.devices + device] = relief_[(cut + 1) * problem_.devices + device] +
                                                 std::max(0.0, -problem_.begin(cut, device)) +
                                                 std::max(0.0, -problem_.end(cut, device));
}

// The blocks that are left, each at its quickest, must go into what the devices have left: a device that is never less than r
// times slower than the quickest does 1/r of that work in its time.
void LabelLoads::set_capacity() {
  rest_.assign(problem_.blocks + 1, 0);
  speed_.assign(problem_.devices, 1);
  if (!problem_.begins.empty()) return;  // corrections may be negative
  std::vector<double> slowest(problem_.devices, kEndless);
  for (std::size_t block = problem_.blocks; block-- > 0;) {
    double quickest = kEndless;
    for (std::size_t device = 0; device < problem_.devices; ++device)
      if (problem_.may_run(block, device)) quickest = std::min(quickest, problem_.time_of(block, device));
    const bool may_leave = std::any_of(problem_.leaves.begin(), problem_.leaves.end(),
                                       [&](const WalkProblem::Leave& leave) { return leave.after == block + 1; });
    rest_[block] = quickest + (may_leave ? 0 : rest_[block + 1]);
    for (std::size_t device = 0; device < problem_.devices; ++device)
      if (problem_.may_run(block, device) && quickest > 0)
        slowest[device] = std::min(slowest[device], problem_.time_of(block, device) / quickest);
  }
  for (std::size_t device = 0; device < problem_.devices; ++device)
    speed_[device] = slowest[device] == kEndless ? 1 : 1 / slowest[device];
}

bool LabelLoads::has_room(const double* row, std::size_t cut, std::size_t device, std::uint64_t seen) const {
  if (rest_[cut] == 0) return true;
  const double limit = with_slack(period_);
  double room = 0;
  if (no_return_) {
    room = (limit - row[from_]) * speed_[device];
    for (std::size_t other = 0; other < problem_.devices; ++other)
      if ((seen >> other & 1) == 0) room += limit * speed_[other];
  } else {
    for (std::size_t other = 0; other < problem_.devices; ++other) room += (limit - row[from_ + other]) * speed_[other];
  }
  return room >= rest_[cut] * (1 - 2e-9);
}

bool LabelLoads::clamp(double* row, std::size_t cut, std::size_t station, bool is_going_home, std::uint64_t seen) const {
  const double limit = with_slack(period_);
  const std::size_t at = problem_.stations[station].device;
  for (std::size_t i = 0; i < devices_kept_; ++i) {
    double& load = row[from_ + i];
    const double relief = relief_.empty() ? 0 : relief_[cut * problem_.devices + (no_return_ ? at : i)];
    if (load - relief > limit) return false;
    const double growth = is_going_home ? 0 : device_growth_[cut * problem_.devices + (no_return_ ? at : i)];
    if (load + growth <= period_) load = 0;
  }
  for (std::size_t way = 0; way < problem_.ways; ++way) {
    if (way_slot_[way] == kNoSlot) continue;
    double& load = row[way_slot_[way]];
    if (load > limit) return false;
    const double left = no_return_ || is_going_home ? result_bytes_ : bytes_left_[cut];
    if (load + left * most_way_[way] <= period_) load = 0;
  }
  return is_going_home || has_room(row, cut, at, seen);
}

// A hop's loads. False when one that is not kept is over the limit.
bool LabelLoads::send(double* row, const WalkProblem::Hop& hop, double bytes) const {
  const double way_ms = bytes * hop.way_ms_per_byte;
  if (way_slot_[hop.way] != kNoSlot) row[way_slot_[hop.way]] += way_ms;
  if (way_ms > with_slack(period_)) return false;
  if (no_return_) {
    row[from_] += bytes / 1e6 * hop.encode_ms_per_mb;
    return true;
  }
  row[from_ + problem_.stations[hop.from].device] += bytes / 1e6 * hop.encode_ms_per_mb;
  row[from_ + problem_.stations[hop.to].device] += bytes / 1e6 * hop.decode_ms_per_mb;
  return true;
}

// The device that is left is done, and the next one begins.
bool LabelLoads::arrive(double* row, const WalkProblem::Hop& hop, double bytes) const {
  if (!no_return_) return true;
  double& load = row[from_];
  if (load > with_slack(period_)) return false;
  load = bytes / 1e6 * hop.decode_ms_per_mb;
  return true;
}

}  // namespace tideline
