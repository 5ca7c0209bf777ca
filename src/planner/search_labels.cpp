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
#include "base/limits.h"
#include "planner/label_loads.h"

namespace tideline {
namespace {

constexpr std::uint32_t kNone = 0xffffffffu;
// Computing devices so far: none, one, or more.
constexpr std::uint32_t kMixed = 0xfffffffeu;

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
    if (question.period) loads_.emplace(problem, *question.period, question.no_return, loads_from_);
    memory_from_ = loads_ ? loads_->end() : loads_from_;
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
    if (to_go_[goal]->best() == kEndless) return;
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
      if (rest == kEndless) return true;
      // At its end a walk keeps the limit itself: the slack is for bounds, which are added up in another order.
      const bool is_over = leave != nullptr && rest == 0;
      if (i >= limited_from_ && row[i] + rest > (is_over ? *question_.limits[amount] : with_slack(*question_.limits[amount])))
        return true;
      if (i == 1 && i < limited_from_ && known_ < kEndless && row[i] + rest > with_slack(known_)) return true;
    }
    if (loads_from_ == 1)
      return (leave != nullptr ? to_go_[kTime]->home(*leave, station) : to_go_[kTime]->at(cut, station)) == kEndless;
    return false;
  }

  // False when a load or a memory is over its limit. What can break none any more becomes nothing.
  bool clamp(double* row, std::size_t cut, std::size_t station, bool is_going_home, std::uint64_t seen) const {
    if (loads_ && !loads_->clamp(row, cut, station, is_going_home, seen)) return false;
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
    if (origins_.size() > question_.labels_max || layer.numbers.size() > limits::kLabelNumbersMax ||
        comparisons_ > question_.comparisons_max)
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
    if (loads_) loads_->run(row, device, ms);
  }

  static std::uint64_t bit(std::size_t device) { return std::uint64_t{1} << device; }
  std::uint64_t seen_with(std::size_t device, bool is_going_home) const {
    return question_.no_return && !is_going_home ? bit(device) : 0;
  }

  const double* row_of(const Layer& layer, std::uint32_t label) const { return &layer.numbers[label * width_]; }

  void make_hops(Layer& layer, std::size_t cut, std::optional<std::uint32_t> leave) {
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
        const double bytes = leave ? problem_.leaves[*leave].bytes : problem_.bytes_of(hop, cut);
        const double encode = leave ? 0 : problem_.encode(hop, cut);
        if (encode == kEndless) continue;
        double* const row = next_row_.data();
        for (std::size_t i = 0; i < loads_from_; ++i) {
          const std::size_t amount = amounts_[i];
          row[i] += hop.fixed[amount] + bytes / 1e6 * hop.per_mb[amount] + bytes * hop.per_byte[amount];
        }
        if (loads_ && !loads_->send(row, hop, bytes)) continue;
        if (!leave && problem_.is_running(hop.from)) {
          const std::size_t device = problem_.stations[hop.from].device;
          if (const double end = problem_.end(cut, device); end != 0) run(row, device, end);
        }
        if (hop.encodes && !leave) {
          run(row, problem_.stations[hop.from].device, encode);
          Amounts lost{};
          problem_.add_losses(hop, cut, lost);
          add(row, lost);
        }
        if (loads_ && !loads_->arrive(row, hop, bytes)) continue;
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
    const double decode = problem_.decode(station, block);
    if (decode == kEndless) return;
    const std::uint32_t runs = problem_.stations[station].runs;
    std::copy_n(row_of(layer, label), width_, row_.begin());
    run(row_.data(), device,
        problem_.time_of(block, device) + (problem_.is_running(station) ? 0 : problem_.begin(block, device)) + decode);
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
  std::optional<LabelLoads> loads_;  // when the period is limited
  bool carries_need_ = false;
  std::vector<std::uint32_t> memory_of_;  // devices whose memory can be too little, ascending
  std::vector<double> held_;              // [cut * devices + device]: the most that the blocks from there on hold
  std::vector<std::unique_ptr<ToGo>> to_go_;
  double known_ = kEndless;
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
