// Labels: every walk from the start to a state (blocks done, station) that no other walk to it beats, layer by layer. A layer's
// labels make hops within it until nothing new is worth keeping, then compute the next block.
//
// A label is worth keeping unless another at its state is no worse in everything that can matter: the amounts that are minimised,
// those that are limited, each device's and link direction's load when there is a limit on the period, each device's memory when
// that is limited - and, where those to be minimised are equal, comes first by the tie rule. Whatever continues the one continues
// the other, at the same cost: so nothing that is thrown away was part of an answer that is kept, and the search is exact.
//
// Bounds (ToGo: the least that is still to come, of each amount alone) cut off what cannot keep a limit or, with one thing to
// minimise, cannot beat a walk that is already known. Loads and memory that can break no limit any more count as nothing. Neither
// changes the answer.
#include "planner/search_labels.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/check.h"

namespace tideline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kSlack = 2e-9;
constexpr std::uint32_t kNone = 0xffffffffu;
// Computing devices so far: none, one, or more.
constexpr std::uint32_t kMixed = 0xfffffffeu;
// 600 MB of numbers in one layer.
constexpr std::size_t kNumbersMax = 75'000'000;

double above(double limit) { return limit + kSlack * std::abs(limit); }

// What is kept of every label: how it came to be.
struct Origin {
  std::uint32_t parent = kNone;
  std::uint32_t step = kComputes;
  std::uint32_t computed = kNone;  // the label after whose step the last block was done
  std::uint32_t device = 0;        // of that block
};

struct Label {
  std::uint32_t origin = 0;
  std::uint32_t only = kNone;  // the one device that has computed, kNone or kMixed; where it matters
  std::uint64_t seen = 0;      // devices visited, where none may be visited twice
  bool dead = false;
};

// The labels of a layer, station by station; numbers lie in rows.
struct Layer {
  explicit Layer(std::size_t stations) : at(stations) {}
  void clear() {
    for (auto& list : at) list.clear();
    labels.clear();
    numbers.clear();
    station.clear();
    todo = 0;
    order.clear();
  }
  std::vector<std::vector<std::uint32_t>> at;
  std::vector<Label> labels;
  std::vector<double> numbers;
  std::vector<std::uint32_t> station;
  std::vector<std::uint32_t> order;  // to be looked at
  std::size_t todo = 0;
};

class LabelSearch {
 public:
  LabelSearch(const WalkProblem& problem, const LabelQuestion& question) : problem_(problem), question_(question) {
    choose_amounts();
    choose_loads();
    choose_memory();
    width_ = memory_from_ + memory_of_.size() + (carries_need_ ? 1 : 0);
    row_.resize(width_);
    next_row_.resize(width_);
  }

  Result<std::vector<FoundWalk>> solve(const CancelToken& cancel) {
    set_bounds();
    set_known();
    Layer now(problem_.stations.size());
    Layer next(problem_.stations.size());
    homes_.assign(problem_.leaves.size(), Layer(problem_.stations.size()));
    std::fill(row_.begin(), row_.end(), 0.0);
    keep(now, problem_.start, row_, {}, kNone, question_.no_return ? bit(problem_.stations[problem_.start].device) : 0);
    for (std::size_t block = 0; block < problem_.blocks; ++block) {
      if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      make_hops(now, block, std::nullopt);
      if (too_many_) return Error{ErrorCode::kUnsupported, ""};
      next.clear();
      for (std::uint32_t label = 0; label < now.labels.size(); ++label)
        if (!now.labels[label].dead) compute(now, label, block, next);
      std::swap(now, next);
      if (too_many_) return Error{ErrorCode::kUnsupported, ""};
    }
    return answers();
  }

 private:
  // --- What a row of numbers means: time, then the amounts minimised, then those limited, loads, memory.
  void choose_amounts() {
    amounts_.push_back(kTime);
    for (const std::size_t amount : question_.minimise) amounts_.push_back(amount);
    limited_from_ = amounts_.size();
    for (std::size_t amount = 0; amount < kAmounts; ++amount)
      if (question_.limits[amount]) amounts_.push_back(amount);
    loads_from_ = amounts_.size();
  }

  // Loads, when the period is limited: every device's and every direction's. Where no device is visited twice, one number does
  // for the device under way, and directions count only where what went out and the result could be too much together.
  void choose_loads() {
    has_loads_ = question_.period.has_value();
    memory_from_ = loads_from_;
    if (!has_loads_) return;
    devices_kept_ = question_.no_return ? 1 : problem_.devices;
    result_bytes_ = 0;
    for (const WalkProblem::Leave& leave : problem_.leaves) result_bytes_ = std::max(result_bytes_, leave.bytes);
    most_way_.assign(problem_.ways, 0);
    for (const WalkProblem::Hop& hop : problem_.hops) most_way_[hop.way] = std::max(most_way_[hop.way], hop.way_ms_per_byte);
    way_slot_.assign(problem_.ways, kNone);
    std::uint32_t slot = static_cast<std::uint32_t>(loads_from_ + devices_kept_);
    if (!question_.no_return) {
      for (std::uint32_t& way : way_slot_) way = slot++;
    } else {
      for (const WalkProblem::Hop& hop : problem_.hops)
        for (const double bytes : problem_.cut_bytes) {
          const double load = bytes * hop.way_ms_per_byte;
          const double both = load + result_bytes_ * most_way_[hop.way];
          if (way_slot_[hop.way] == kNone && load <= above(*question_.period) && both > *question_.period)
            way_slot_[hop.way] = slot++;
        }
    }
    memory_from_ = slot;
    set_growth();
    set_relief();
    set_capacity();
  }

  // What each load can still grow by with a cut to be carried on: along a simple path, so it passes a device and a direction
  // once.
  void set_growth() {
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
      bytes_left_[cut] = bytes_left_[cut + 1] + problem_.cut_bytes[cut];
      for (std::size_t device = 0; device < problem_.devices; ++device) {
        double& growth = device_growth_[cut * problem_.devices + device];
        growth = device_growth_[(cut + 1) * problem_.devices + device] + problem_.time_of(cut, device) +
                 problem_.cut_bytes[cut] / 1e6 * most_code[device] + std::abs(problem_.begin(cut, device)) +
                 std::abs(problem_.end(cut + 1, device));
        double head = 0;
        for (const WalkProblem::Leave& leave : problem_.leaves)
          if (leave.after == cut + 1 && !leave.head_ms.empty()) head = std::max(head, leave.head_ms[device]);
        growth += head;
      }
    }
  }

  // Corrections may be negative: a load can still shrink by these.
  void set_relief() {
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
  void set_capacity() {
    rest_.assign(problem_.blocks + 1, 0);
    speed_.assign(problem_.devices, 1);
    if (!problem_.begins.empty()) return;  // corrections may be negative
    std::vector<double> slowest(problem_.devices, kNever);
    for (std::size_t block = problem_.blocks; block-- > 0;) {
      double quickest = kNever;
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
      speed_[device] = slowest[device] == kNever ? 1 : 1 / slowest[device];
  }

  bool has_room(const double* row, std::size_t cut, std::size_t device, std::uint64_t seen) const {
    if (rest_[cut] == 0) return true;
    const double limit = above(*question_.period);
    double room = 0;
    if (question_.no_return) {
      room = (limit - row[loads_from_]) * speed_[device];
      for (std::size_t other = 0; other < problem_.devices; ++other)
        if ((seen >> other & 1) == 0) room += limit * speed_[other];
    } else {
      for (std::size_t other = 0; other < problem_.devices; ++other) room += (limit - row[loads_from_ + other]) * speed_[other];
    }
    return room >= rest_[cut] * (1 - kSlack);
  }

  void choose_memory() {
    if (problem_.memory.empty()) return;
    held_.assign((problem_.blocks + 1) * problem_.devices, 0);
    for (std::size_t block = problem_.blocks; block-- > 0;)
      for (std::size_t device = 0; device < problem_.devices; ++device) {
        const std::size_t i = block * problem_.devices + device;
        held_[i] = held_[i + problem_.devices] + problem_.holds[i] + (problem_.needs.empty() ? 0 : problem_.needs[i]);
      }
    for (std::uint32_t device = 0; device < problem_.devices; ++device)
      if (problem_.memory[device] && held_[device] > *problem_.memory[device]) memory_of_.push_back(device);
    carries_need_ = !memory_of_.empty() && !problem_.needs.empty();
  }

  // --- Bounds.
  void set_bounds() {
    to_go_.resize(kAmounts);
    std::vector<std::size_t> wanted(amounts_.begin() + 1, amounts_.end());
    if (wanted.empty()) wanted.push_back(kTime);  // what cannot come home at all
    for (const std::size_t amount : wanted) {
      if (to_go_[amount]) continue;
      Amounts weights{};
      weights[amount] = 1;
      to_go_[amount] = std::make_unique<ToGo>(problem_, weights);
    }
  }

  bool is_within(const WalkAmounts& amounts) const {
    for (std::size_t amount = 0; amount < kAmounts; ++amount)
      if (question_.limits[amount] && amounts.sums[amount] > *question_.limits[amount]) return false;
    if (question_.period && amounts.period > *question_.period) return false;
    if (question_.no_return && amounts.returns) return false;
    for (const std::uint32_t device : memory_of_)
      if (amounts.memory[device] > *problem_.memory[device]) return false;
    return !question_.two_devices;
  }

  // A walk within the limits: the best for one amount, or for a mix of what is minimised and what is limited.
  void set_known() {
    if (question_.minimise.size() != 1) return;
    const std::size_t goal = question_.minimise[0];
    const auto try_walk = [&](const ToGo& to_go) -> WalkAmounts {
      const Steps steps = to_go.walk();
      WalkAmounts amounts = measure(problem_, steps);
      if (!steps.empty() && is_within(amounts)) known_ = std::min(known_, amounts.sums[goal]);
      return amounts;
    };
    if (to_go_[goal]->best() == kNever) return;
    const WalkAmounts free = try_walk(*to_go_[goal]);
    for (std::size_t i = limited_from_; i < loads_from_; ++i) {
      const std::size_t amount = amounts_[i];
      if (amount == goal) continue;
      const WalkAmounts tight = try_walk(*to_go_[amount]);
      // Lagrange: the price of the limited amount at which its limit is just kept.
      double low = 0;
      double high = (tight.sums[goal] - free.sums[goal]) / std::max(1e-300, free.sums[amount] - tight.sums[amount]);
      if (!(high > 0) || !std::isfinite(high)) continue;
      high *= 4;
      for (int round = 0; round < 12; ++round) {
        Amounts weights{};
        weights[goal] = 1;
        weights[amount] = (low + high) / 2;
        const WalkAmounts mixed = try_walk(ToGo(problem_, weights));
        (mixed.sums[amount] > *question_.limits[amount] ? low : high) = weights[amount];
      }
    }
  }

  bool is_hopeless(const double* row, std::size_t cut, std::size_t station, const std::uint32_t* leave) const {
    for (std::size_t i = 1; i < loads_from_; ++i) {
      const std::size_t amount = amounts_[i];
      const double rest = leave != nullptr ? to_go_[amount]->home(*leave, station) : to_go_[amount]->at(cut, station);
      if (rest == kNever) return true;
      if (i >= limited_from_ && row[i] + rest > above(*question_.limits[amount])) return true;
      if (i == 1 && i < limited_from_ && known_ < kNever && row[i] + rest > above(known_)) return true;
    }
    if (loads_from_ == 1)
      return (leave != nullptr ? to_go_[kTime]->home(*leave, station) : to_go_[kTime]->at(cut, station)) == kNever;
    return false;
  }

  // False when a load or a memory is over its limit. What can break none any more becomes nothing.
  bool clamp(double* row, std::size_t cut, std::size_t station, bool is_going_home, std::uint64_t seen) const {
    if (has_loads_) {
      const double limit = above(*question_.period);
      const std::size_t at = problem_.stations[station].device;
      for (std::size_t i = 0; i < devices_kept_; ++i) {
        double& load = row[loads_from_ + i];
        const double relief = relief_.empty() ? 0 : relief_[cut * problem_.devices + (question_.no_return ? at : i)];
        if (load - relief > limit) return false;
        const double growth = is_going_home ? 0 : device_growth_[cut * problem_.devices + (question_.no_return ? at : i)];
        if (load + growth <= *question_.period) load = 0;
      }
      for (std::size_t way = 0; way < problem_.ways; ++way) {
        if (way_slot_[way] == kNone) continue;
        double& load = row[way_slot_[way]];
        if (load > limit) return false;
        const double left = question_.no_return || is_going_home ? result_bytes_ : bytes_left_[cut];
        if (load + left * most_way_[way] <= *question_.period) load = 0;
      }
      if (!is_going_home && !has_room(row, cut, at, seen)) return false;
    }
    for (std::size_t i = 0; i < memory_of_.size(); ++i) {
      double& used = row[memory_from_ + i];
      const double limit = *problem_.memory[memory_of_[i]];
      if (used > limit) return false;
      if (is_going_home || used + held_[cut * problem_.devices + memory_of_[i]] <= limit) used = 0;
    }
    return true;
  }

  // --- Who beats whom.
  // Below, equal or above 0: the last block's device, then the one before it, and so on.
  int compare_devices(std::uint32_t left, std::uint32_t right) const {
    left = origins_[left].computed;
    right = origins_[right].computed;
    while (left != right) {
      if (origins_[left].device != origins_[right].device) return origins_[left].device < origins_[right].device ? -1 : 1;
      left = origins_[origins_[left].parent].computed;
      right = origins_[origins_[right].parent].computed;
    }
    return 0;
  }

  bool beats(const Layer& layer, std::uint32_t left, const double* right, std::uint32_t right_origin, std::uint32_t right_only,
             std::uint64_t right_seen) const {
    if ((layer.labels[left].seen & ~right_seen) != 0) return false;
    if (question_.two_devices && layer.labels[left].only != kMixed && layer.labels[left].only != right_only) return false;
    const double* const row = &layer.numbers[left * width_];
    bool is_equal = true;
    for (std::size_t i = 1; i < width_; ++i) {
      if (row[i] > right[i]) return false;
      if (i < limited_from_ && row[i] < right[i]) is_equal = false;
    }
    if (!is_equal || question_.minimise.empty()) return true;
    if (row[0] != right[0]) return row[0] < right[0];
    return compare_devices(layer.labels[left].origin, right_origin) <= 0;
  }

  // --- Labels.
  // REQUIRES: `row` clamped.
  bool keep(Layer& layer, std::uint32_t station, const std::vector<double>& row, const Origin& origin, std::uint32_t only,
            std::uint64_t seen) {
    const auto number = static_cast<std::uint32_t>(origins_.size());
    std::vector<std::uint32_t>& list = layer.at[station];
    origins_.push_back(origin);
    if (origin.step == kComputes) origins_.back().computed = number;
    comparisons_ += list.size();
    for (const std::uint32_t other : list)
      if (beats(layer, other, row.data(), number, only, seen)) {
        origins_.pop_back();
        return false;
      }
    const auto label = static_cast<std::uint32_t>(layer.labels.size());
    layer.labels.push_back({.origin = number, .only = only, .seen = seen});
    layer.station.push_back(station);
    layer.numbers.insert(layer.numbers.end(), row.begin(), row.end());
    std::erase_if(list, [&](std::uint32_t other) {
      const bool beaten = beats(layer, label, &layer.numbers[other * width_], layer.labels[other].origin,
                                layer.labels[other].only, layer.labels[other].seen);
      layer.labels[other].dead = layer.labels[other].dead || beaten;
      return beaten;
    });
    list.push_back(label);
    layer.order.push_back(label);
    if (origins_.size() > question_.labels_max || layer.numbers.size() > kNumbersMax || comparisons_ > question_.comparisons_max)
      too_many_ = true;
    return true;
  }

  void add(double* row, const Amounts& amounts) const {
    for (std::size_t i = 0; i < loads_from_; ++i) row[i] += amounts[amounts_[i]];
  }

  void run(double* row, std::size_t device, double ms) const {
    Amounts amounts{};
    amounts[kTime] = ms;
    amounts[kEnergy] = ms * problem_.millijoules_per_ms[device];
    add(row, amounts);
    if (has_loads_) row[loads_from_ + (question_.no_return ? 0 : device)] += ms;
  }

  static std::uint64_t bit(std::size_t device) { return std::uint64_t{1} << device; }
  std::uint64_t seen_with(std::size_t device, bool is_going_home) const {
    return question_.no_return && !is_going_home ? bit(device) : 0;
  }

  // A hop's loads. False when one that is not kept is over the limit.
  bool load(double* row, const WalkProblem::Hop& hop, double bytes) const {
    const double way_ms = bytes * hop.way_ms_per_byte;
    if (way_slot_[hop.way] != kNone) row[way_slot_[hop.way]] += way_ms;
    if (way_ms > above(*question_.period)) return false;
    if (question_.no_return) {
      row[loads_from_] += bytes / 1e6 * hop.encode_ms_per_mb;
      return true;
    }
    row[loads_from_ + problem_.stations[hop.from].device] += bytes / 1e6 * hop.encode_ms_per_mb;
    row[loads_from_ + problem_.stations[hop.to].device] += bytes / 1e6 * hop.decode_ms_per_mb;
    return true;
  }

  // The device that is left is done, and the next one begins.
  bool arrive(double* row, const WalkProblem::Hop& hop, double bytes) const {
    double& load = row[loads_from_];
    if (load > above(*question_.period)) return false;
    load = bytes / 1e6 * hop.decode_ms_per_mb;
    return true;
  }

  const double* row_of(const Layer& layer, std::uint32_t label) const { return &layer.numbers[label * width_]; }

  void make_hops(Layer& layer, std::size_t cut, std::optional<std::uint32_t> leave) {
    const double bytes = leave ? problem_.leaves[*leave].bytes : problem_.cut_bytes[cut];
    const std::uint32_t* const home = leave ? &*leave : nullptr;
    for (; layer.todo < layer.order.size() && !too_many_; ++layer.todo) {
      const std::uint32_t label = layer.order[layer.todo];
      if (layer.labels[label].dead) continue;
      for (const std::uint32_t number : problem_.hops_from[layer.station[label]]) {
        const WalkProblem::Hop& hop = problem_.hops[number];
        const std::size_t to = problem_.stations[hop.to].device;
        if (leave && hop.codec != kRawCodec) continue;
        if (!leave && question_.no_return && (layer.labels[label].seen >> to & 1) != 0) continue;
        std::copy_n(row_of(layer, label), width_, next_row_.begin());
        double* const row = next_row_.data();
        for (std::size_t i = 0; i < loads_from_; ++i) {
          const std::size_t amount = amounts_[i];
          row[i] += hop.fixed[amount] + bytes / 1e6 * hop.per_mb[amount] + bytes * hop.per_byte[amount];
        }
        if (has_loads_ && !load(row, hop, bytes)) continue;
        if (!leave && problem_.is_running(hop.from)) {
          const std::size_t device = problem_.stations[hop.from].device;
          if (const double end = problem_.end(cut, device); end != 0) run(row, device, end);
        }
        if (has_loads_ && question_.no_return && !arrive(row, hop, bytes)) continue;
        if (carries_need_) row[width_ - 1] = 0;
        if (is_hopeless(row, cut, hop.to, home) ||
            !clamp(row, cut, hop.to, leave.has_value(), layer.labels[label].seen | seen_with(to, leave.has_value())))
          continue;
        Origin origin = origins_[layer.labels[label].origin];
        origin.parent = layer.labels[label].origin;
        origin.step = number;
        keep(layer, hop.to, next_row_, origin, layer.labels[label].only,
             layer.labels[label].seen | seen_with(to, leave.has_value()));
      }
    }
  }

  // The memory of one more block. `row`'s last number is minus the most that the segment under way needs, so that less is better.
  void hold(double* row, std::size_t block, std::size_t device, bool goes_on) const {
    const auto found = std::lower_bound(memory_of_.begin(), memory_of_.end(), device);
    const bool counts = found != memory_of_.end() && *found == device;
    const double needs = problem_.needs.empty() ? 0 : problem_.needs[block * problem_.devices + device];
    const double before = carries_need_ && goes_on ? -row[width_ - 1] : 0;
    if (counts)
      row[memory_from_ + static_cast<std::size_t>(found - memory_of_.begin())] +=
          problem_.holds[block * problem_.devices + device] + std::max(0.0, needs - before);
    if (carries_need_) row[width_ - 1] = counts ? -std::max(before, needs) : 0;
  }

  void compute(const Layer& layer, std::uint32_t label, std::size_t block, Layer& next) {
    const std::uint32_t station = layer.station[label];
    const std::uint32_t device = problem_.stations[station].device;
    if (!problem_.may_run(block, device)) return;
    const std::uint32_t runs = problem_.stations[station].runs;
    std::copy_n(row_of(layer, label), width_, row_.begin());
    run(row_.data(), device,
        problem_.time_of(block, device) + (problem_.is_running(station) ? 0 : problem_.begin(block, device)));
    if (!memory_of_.empty()) hold(row_.data(), block, device, problem_.is_running(station) && block > 0);
    std::uint32_t only = layer.labels[label].only;
    only = only == kNone || only == device ? device : kMixed;
    Origin origin{.parent = layer.labels[label].origin, .step = kComputes, .computed = kNone, .device = device};
    for (std::uint32_t i = 0; i < problem_.leaves.size(); ++i)
      if (problem_.leaves[i].after == block + 1) leave(i, block + 1, runs, row_, origin, only);
    if (block + 1 == problem_.blocks || is_hopeless(row_.data(), block + 1, runs, nullptr)) return;
    if (!clamp(row_.data(), block + 1, runs, false, layer.labels[label].seen)) return;
    keep(next, runs, row_, origin, only, layer.labels[label].seen);
  }

  void leave(std::uint32_t number, std::size_t cut, std::uint32_t station, const std::vector<double>& row, const Origin& computed,
             std::uint32_t only) {
    if (question_.two_devices && only != kMixed) return;
    const WalkProblem::Leave& leave = problem_.leaves[number];
    const std::uint32_t device = problem_.stations[station].device;
    next_row_ = row;
    run(next_row_.data(), device, (leave.head_ms.empty() ? 0 : leave.head_ms[device]) + problem_.end(cut, device));
    Amounts lost{};
    lost[kLoss] = leave.loss;
    add(next_row_.data(), lost);
    if (carries_need_) next_row_[width_ - 1] = 0;
    if (is_hopeless(next_row_.data(), cut, station, &number) || !clamp(next_row_.data(), cut, station, true, 0)) return;
    // Two origins: the block, and the leave behind it.
    const auto block = static_cast<std::uint32_t>(origins_.size());
    origins_.push_back(computed);
    origins_.back().computed = block;
    if (!keep(homes_[number], station, next_row_, {block, kLeaves | number, block, computed.device}, only, 0))
      origins_.pop_back();
  }

  // --- The end.
  Steps steps_of(std::uint32_t origin) const {
    Steps steps;
    for (; origins_[origin].parent != kNone; origin = origins_[origin].parent) steps.push_back(origins_[origin].step);
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  struct End {
    std::uint32_t leave;
    std::uint32_t label;
  };

  // Whether `left` comes before `right` where what is minimised is equal.
  bool is_preferred(const End& left, const End& right) const {
    const double left_ms = row_of(homes_[left.leave], left.label)[0];
    const double right_ms = row_of(homes_[right.leave], right.label)[0];
    if (left_ms != right_ms) return left_ms < right_ms;
    if (left.leave != right.leave) return left.leave < right.leave;
    return compare_devices(homes_[left.leave].labels[left.label].origin, homes_[right.leave].labels[right.label].origin) < 0;
  }

  Result<std::vector<FoundWalk>> answers() {
    std::vector<End> ends;
    for (std::uint32_t leave = 0; leave < homes_.size(); ++leave) {
      make_hops(homes_[leave], problem_.leaves[leave].after, leave);
      if (too_many_) return Error{ErrorCode::kUnsupported, ""};
      for (std::size_t station = 0; station < problem_.stations.size(); ++station)
        if (problem_.stations[station].is_home)
          for (const std::uint32_t label : homes_[leave].at[station]) ends.push_back({leave, label});
    }
    if (ends.empty()) return Error{ErrorCode::kInfeasible, ""};
    const bool is_front = question_.minimise.size() > 1;
    std::vector<FoundWalk> found;
    if (is_front) {
      for (const End& end : ends) found.push_back(walk_of(end));
      return found;
    }
    const auto goal = [&](const End& end) { return question_.minimise.empty() ? 0.0 : row_of(homes_[end.leave], end.label)[1]; };
    const auto best = std::min_element(ends.begin(), ends.end(), [&](const End& left, const End& right) {
      return goal(left) != goal(right) ? goal(left) < goal(right) : is_preferred(left, right);
    });
    found.push_back(walk_of(*best));
    return found;
  }

  FoundWalk walk_of(const End& end) const {
    FoundWalk walk{.steps = steps_of(homes_[end.leave].labels[end.label].origin), .leave = end.leave};
    const WalkAmounts amounts = measure(problem_, walk.steps);
    walk.sums = amounts.sums;
    walk.period = amounts.period;
    return walk;
  }

  const WalkProblem& problem_;
  const LabelQuestion& question_;
  std::vector<std::size_t> amounts_;  // of the first numbers of a row
  std::size_t limited_from_ = 0;
  std::size_t loads_from_ = 0;
  std::size_t memory_from_ = 0;
  std::size_t width_ = 0;
  bool has_loads_ = false;
  bool carries_need_ = false;
  std::vector<std::uint32_t> memory_of_;  // devices whose memory can be too little, ascending
  std::size_t devices_kept_ = 0;
  double result_bytes_ = 0;              // the most that any leave has
  std::vector<std::uint32_t> way_slot_;  // [way]: its number in a row
  std::vector<double> most_way_;         // [way], ms per byte
  std::vector<double> device_growth_;    // [cut * devices + device]
  std::vector<double> relief_;           // [cut * devices + device]; empty: none
  std::vector<double> bytes_left_;       // [cut]: of all cuts from there on and the result
  std::vector<double> rest_;             // [cut]: the least work from there on
  std::vector<double> speed_;            // [device]: how much of the least work it can do in its time
  std::vector<double> held_;             // [cut * devices + device]: the most that the blocks from there on hold
  std::vector<std::unique_ptr<ToGo>> to_go_;
  double known_ = kNever;
  std::vector<Origin> origins_;
  std::vector<Layer> homes_;  // [leave]
  std::vector<double> row_;
  std::vector<double> next_row_;
  std::uint64_t comparisons_ = 0;
  bool too_many_ = false;
};

}  // namespace

Result<std::vector<FoundWalk>> search_labels(const WalkProblem& problem, const LabelQuestion& question,
                                             const CancelToken& cancel) {
  TIDELINE_CHECK(!problem.leaves.empty() && problem.blocks > 0);
  if (question.no_return && problem.devices > 64) return Error{ErrorCode::kUnsupported, ""};
  return LabelSearch(problem, question).solve(cancel);
}

}  // namespace tideline
