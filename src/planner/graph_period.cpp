#include "planner/graph_period.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/limits.h"
#include "planner/graph_reduce.h"

namespace tideline {
namespace {

using SetWords = PartWalker::Words;

// Down-sets, each once.
class SetPool {
 public:
  explicit SetPool(std::size_t words) : words_(words), slots_(1024, kFree) {}
  std::size_t size() const { return words_ == 0 ? 0 : data_.size() / words_; }
  SetWords at(std::uint32_t index) const {
    const auto begin = data_.begin() + static_cast<std::ptrdiff_t>(index * words_);
    return {begin, begin + static_cast<std::ptrdiff_t>(words_)};
  }
  std::uint32_t add(const SetWords& set) {
    if (2 * (size() + 1) > slots_.size()) grow();
    std::size_t slot = hash(set.data()) & (slots_.size() - 1);
    for (; slots_[slot] != kFree; slot = (slot + 1) & (slots_.size() - 1))
      if (std::equal(set.begin(), set.end(), data_.begin() + static_cast<std::ptrdiff_t>(slots_[slot] * words_)))
        return slots_[slot];
    slots_[slot] = static_cast<std::uint32_t>(size());
    data_.insert(data_.end(), set.begin(), set.end());
    return slots_[slot];
  }

 private:
  static constexpr std::uint32_t kFree = 0xffffffffu;
  std::uint64_t hash(const std::uint64_t* set) const {
    std::uint64_t h = 0x9e3779b97f4a7c15u;
    for (std::size_t w = 0; w < words_; ++w) h = std::rotl((h ^ set[w]) * 0xff51afd7ed558ccdu, 31);
    return h ^ (h >> 29);
  }
  void grow() {
    slots_.assign(2 * slots_.size(), kFree);
    for (std::uint32_t i = 0; i < size(); ++i) {
      std::size_t slot = hash(data_.data() + std::size_t{i} * words_) & (slots_.size() - 1);
      while (slots_[slot] != kFree) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = i;
    }
  }
  std::size_t words_;
  std::vector<std::uint64_t> data_;
  std::vector<std::uint32_t> slots_;
};

constexpr std::uint32_t kNobody = 0xffffffffu;

struct PartState {
  std::uint32_t set = 0;
  std::uint64_t used = 0;  // of a pool: how many of each kind, eight bits each
  double worst = 0;
  double open = 0;  // bytes that cross at the set
  std::uint32_t parent = kNobody;
  std::uint32_t kind = 0;
};

struct FoundParts {
  double period = 0;
  std::vector<std::uint32_t> part;
  std::vector<std::uint32_t> kind;
};

// What the two kinds of problems have in common: parts are given out one by one, from the input on.
class PartProblem {
 public:
  virtual ~PartProblem() = default;
  virtual const OpGraph& graph() const = 0;
  virtual std::size_t layers() const = 0;
  // The ways to give out part `layer` from a state: which kind, and within which bounds under this cap.
  struct Way {
    std::uint32_t kind = 0;
    std::uint64_t used = 0;
    PartWalker::Bounds bounds;
    double before = 0;  // a load that is there whatever the part is
  };
  virtual void ways(std::size_t layer, const PartState& state, double cap, std::vector<Way>& ways) const = 0;
  virtual double load(const Way& way, const PartSums& sums) const = 0;
  virtual double lower_bound() const = 0;
};

class PartSearch {
 public:
  enum class End { kFound, kNothing, kTooMuch, kCancelled };

  PartSearch(const PartProblem& problem, PartWalker& walker, const GraphPeriodOptions& options, std::uint64_t& seen)
      : problem_(problem), walker_(walker), options_(options), seen_(seen), pool_(walker.words()) {}

  // The best answer whose period is at most `cap`.
  End run(double cap, FoundParts& best) {
    const std::uint32_t all = pool_.add(walker_.all());
    layers_.assign(1, {PartState{.set = pool_.add(walker_.none())}});
    best.period = cap;
    std::optional<std::pair<std::size_t, std::uint32_t>> found;
    End end = End::kNothing;
    for (std::size_t layer = 0; layer < problem_.layers(); ++layer) {
      layers_.emplace_back();
      index_.clear();
      for (std::uint32_t s = 0; s < layers_[layer].size(); ++s) {
        const PartState state = layers_[layer][s];
        if (state.set == all || state.worst > best.period) continue;
        ways_.clear();
        problem_.ways(layer, state, best.period, ways_);
        for (const PartProblem::Way& way : ways_) {
          const auto visit = [&](const SetWords& set, const PartSums& sums) {
            if (++seen_ % 4096 == 0 && options_.cancel.cancelled()) end = End::kCancelled;
            if (seen_ > options_.parts_max || pool_.size() > options_.states_max) end = End::kTooMuch;
            if (end != End::kNothing) return false;
            const double worst = std::max({state.worst, way.before, problem_.load(way, sums)});
            if (worst > best.period) return true;
            PartState next{
                .set = pool_.add(set), .used = way.used, .worst = worst, .open = sums.open, .parent = s, .kind = way.kind};
            const std::uint32_t at = keep(layer + 1, next);
            if (next.set == all && at != kNobody && (!found || worst < best.period)) {
              best.period = worst;
              found = {layer + 1, at};
            }
            return true;
          };
          if (!walker_.walk(pool_.at(state.set), way.bounds, visit)) return end;
        }
      }
    }
    if (!found) return End::kNothing;
    trace(found->first, found->second, best);
    return End::kFound;
  }

 private:
  // Where the state is, when it is new or better than the one there was.
  std::uint32_t keep(std::size_t layer, const PartState& state) {
    std::vector<PartState>& states = layers_[layer];
    if (2 * (states.size() + 1) > index_.size()) rehash(states);
    std::size_t slot = slot_of(state);
    for (; index_[slot] != kNobody; slot = (slot + 1) & (index_.size() - 1)) {
      PartState& there = states[index_[slot]];
      if (there.set != state.set || there.used != state.used) continue;
      if (state.worst >= there.worst) return kNobody;
      there = state;
      return index_[slot];
    }
    index_[slot] = static_cast<std::uint32_t>(states.size());
    states.push_back(state);
    return index_[slot];
  }
  std::size_t slot_of(const PartState& state) const {
    std::uint64_t h = (std::uint64_t{state.set} * 0x9e3779b97f4a7c15u) ^ (state.used * 0xff51afd7ed558ccdu);
    h ^= h >> 31;
    return static_cast<std::size_t>(h) & (index_.size() - 1);
  }
  void rehash(const std::vector<PartState>& states) {
    index_.assign(std::max<std::size_t>(1024, std::bit_ceil(4 * (states.size() + 1))), kNobody);
    for (std::uint32_t i = 0; i < states.size(); ++i) {
      std::size_t slot = slot_of(states[i]);
      while (index_[slot] != kNobody) slot = (slot + 1) & (index_.size() - 1);
      index_[slot] = i;
    }
  }
  void trace(std::size_t layer, std::uint32_t at, FoundParts& best) const {
    const std::uint32_t ops = problem_.graph().ops;
    best.part.assign(ops, 0);
    best.kind.assign(layer, 0);
    for (; layer > 0; --layer) {
      const PartState& state = layers_[layer][at];
      const SetWords end = pool_.at(state.set), begin = pool_.at(layers_[layer - 1][state.parent].set);
      for (std::uint32_t op = 0; op < ops; ++op)
        if ((end[op / 64] >> (op % 64) & 1) != 0 && (begin[op / 64] >> (op % 64) & 1) == 0)
          best.part[op] = static_cast<std::uint32_t>(layer - 1);
      best.kind[layer - 1] = state.kind;
      at = state.parent;
    }
  }

  const PartProblem& problem_;
  PartWalker& walker_;
  const GraphPeriodOptions& options_;
  std::uint64_t& seen_;
  SetPool pool_;
  std::vector<std::vector<PartState>> layers_;
  std::vector<std::uint32_t> index_;  // of the layer that grows
  std::vector<PartProblem::Way> ways_;
};

// Sums are added up in other orders on the way.
double with_rounding(double value) { return value * (1 + 1e-12); }

class PoolParts final : public PartProblem {
 public:
  explicit PoolParts(const GraphPool& pool) : pool_(pool) {
    const std::uint32_t ops = pool.graph.ops;
    rest_.assign(ops, 0);
    // In units of the first kind's time; what it cannot run counts nothing.
    for (std::uint32_t op = 0; op < ops; ++op)
      if (std::isfinite(pool.kinds[0].work[op])) rest_[op] = pool.kinds[0].work[op];
    for (const GraphPool::Kind& kind : pool.kinds) {
      layers_ += kind.count;
      double rate = 0;
      for (std::uint32_t op = 0; op < ops; ++op)
        if (rest_[op] > 0 && std::isfinite(kind.work[op]))
          rate = std::max(rate, kind.work[op] > 0 ? rest_[op] / kind.work[op] : std::numeric_limits<double>::infinity());
      rates_.push_back(rate);
    }
    total_ = std::accumulate(rest_.begin(), rest_.end(), 0.0);
  }
  const OpGraph& graph() const override { return pool_.graph; }
  std::size_t layers() const override { return layers_; }

  void ways(std::size_t, const PartState& state, double cap, std::vector<Way>& ways) const override {
    for (std::uint32_t kind = 0; kind < pool_.kinds.size(); ++kind) {
      const GraphPool::Kind& devices = pool_.kinds[kind];
      if (used(state.used, kind) >= devices.count) continue;
      Way way{.kind = kind, .used = state.used + (std::uint64_t{1} << (8 * kind))};
      way.bounds.work = &devices.work;
      way.bounds.work_max = with_rounding(cap);
      way.bounds.transfer = devices.transfer;
      if (devices.size_max && !pool_.size.empty()) {
        way.bounds.size = &pool_.size;
        way.bounds.size_max = *devices.size_max;
      }
      if (!std::isfinite(cap)) {
        ways.push_back(way);
        continue;
      }
      double left = 0;
      for (std::uint32_t other = 0; other < pool_.kinds.size(); ++other)
        if (const std::uint32_t devices_left = pool_.kinds[other].count - used(way.used, other); devices_left > 0)
          left += devices_left * rates_[other] * cap;
      // What is left after this part must fit on the devices that are left.
      way.bounds.rest = &rest_;
      way.bounds.rest_max = with_rounding(left);
      ways.push_back(way);
    }
  }
  double load(const Way& way, const PartSums& sums) const override {
    return sums.work + pool_.kinds[way.kind].transfer * (sums.enter + sums.leave);
  }
  double lower_bound() const override {
    double capacity = 0, largest = 0;
    for (std::size_t kind = 0; kind < pool_.kinds.size(); ++kind) capacity += pool_.kinds[kind].count * rates_[kind];
    for (std::uint32_t op = 0; op < pool_.graph.ops; ++op) {
      double least = std::numeric_limits<double>::infinity();
      for (const GraphPool::Kind& kind : pool_.kinds)
        if (kind.count > 0) least = std::min(least, kind.work[op]);
      largest = std::max(largest, least);
    }
    return std::max(largest, capacity > 0 && std::isfinite(capacity) ? total_ / capacity : 0);
  }

 private:
  static std::uint32_t used(std::uint64_t all, std::uint32_t kind) {
    return static_cast<std::uint32_t>(all >> (8 * kind) & 0xff);
  }
  const GraphPool& pool_;
  std::size_t layers_ = 0;
  std::vector<double> rest_;
  std::vector<double> rates_;  // [kind]: the most of `rest` in a unit of time
  double total_ = 0;
};

class LineParts final : public PartProblem {
 public:
  explicit LineParts(const GraphLine& line) : line_(line) {
    const std::size_t positions = line.work.size();
    // [position]: of each op the least time on any device after it.
    rest_.assign(positions, std::vector<double>(line.graph.ops, 0));
    std::vector<double> least(line.graph.ops, std::numeric_limits<double>::infinity());
    for (std::size_t j = positions; j-- > 0;) {
      for (std::uint32_t op = 0; op < line.graph.ops; ++op)
        // What no later device runs must be in this part or before it: more than any cap.
        rest_[j][op] = std::isfinite(least[op]) ? least[op] : kMuch;
      for (std::uint32_t op = 0; op < line.graph.ops; ++op) least[op] = std::min(least[op], line.work[j][op]);
    }
    for (std::uint32_t op = 0; op < line.graph.ops; ++op) {
      largest_ = std::max(largest_, least[op]);
      total_ += std::isfinite(least[op]) ? least[op] : 0;
    }
  }
  const OpGraph& graph() const override { return line_.graph; }
  std::size_t layers() const override { return line_.work.size(); }
  void ways(std::size_t layer, const PartState& state, double cap, std::vector<Way>& ways) const override {
    Way way;
    // To be beyond a link, all that is read beyond it must have crossed, and the answer comes back.
    if (layer > 0) {
      way.before = std::max(line_.links[layer - 1].per_byte * state.open, line_.links[layer - 1].back);
      if (way.before > cap) return;
    }
    way.bounds.work = &line_.work[layer];
    way.bounds.work_max = with_rounding(cap);
    const std::size_t later = line_.work.size() - layer - 1;
    way.bounds.rest = &rest_[layer];
    way.bounds.rest_max = later == 0 ? 0 : std::min(kMuch / 2, with_rounding(static_cast<double>(later) * cap));
    ways.push_back(way);
  }
  double load(const Way&, const PartSums& sums) const override { return sums.work; }
  double lower_bound() const override { return std::max(largest_, total_ / static_cast<double>(line_.work.size())); }

 private:
  static constexpr double kMuch = 1e300;
  const GraphLine& line_;
  std::vector<std::vector<double>> rest_;
  double total_ = 0;
  double largest_ = 0;
};

Result<GraphPeriod> least_period(const PartProblem& problem, const GraphPeriodOptions& options) {
  if (problem.graph().ops > limits::kGraphPeriodOpsMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] the period of a graph is planned for at most {} ops, this one has {}",
                             limits::kGraphPeriodOpsMax, problem.graph().ops)};
  GraphPeriod answer;
  // Nothing but free ops.
  if (problem.graph().ops == 0 && problem.layers() > 0) {
    answer.kind = {0};
    return answer;
  }
  answer.bound = problem.lower_bound();
  if (!std::isfinite(answer.bound) || answer.bound >= options.below)
    return Error{ErrorCode::kInfeasible, "[plan] no placement has a period that small"};
  // Something to begin with: the best over the prefixes of an order, all of them are few.
  FoundParts best{.period = options.below};
  {
    PartWalker prefixes(problem.graph(), PartWalker::depth_first(problem.graph()));
    GraphPeriodOptions patient = options;
    patient.parts_max = std::numeric_limits<std::uint64_t>::max();
    double cap = answer.bound > 0 ? std::min(options.below, answer.bound * 1.05) : options.below;
    while (true) {
      FoundParts found;
      PartSearch search(problem, prefixes, patient, answer.parts_seen);
      const PartSearch::End end = search.run(cap, found);
      if (end == PartSearch::End::kCancelled) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      if (end == PartSearch::End::kFound && found.period < best.period) best = std::move(found);
      if (end != PartSearch::End::kNothing || cap >= options.below) break;
      cap = std::min(options.below, answer.bound + 2 * (cap - answer.bound));
    }
    answer.parts_seen = 0;
  }
  PartWalker walker(problem.graph());
  double step = 0.0025;
  while (true) {
    if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    // Below what there is, however little: then nothing under the cap means that it is the best.
    const double below = std::nextafter(best.period, 0);
    if (answer.bound >= below) break;
    const double cap = answer.bound > 0 ? std::min(below, answer.bound * (1 + step)) : below;
    step *= 2;
    FoundParts found;
    PartSearch search(problem, walker, options, answer.parts_seen);
    const PartSearch::End end = search.run(cap, found);
    if (end == PartSearch::End::kCancelled) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    if (end == PartSearch::End::kTooMuch) break;
    if (end == PartSearch::End::kNothing) {
      answer.bound = cap;
      continue;
    }
    best = std::move(found);
    answer.bound = best.period;
    break;
  }
  if (answer.bound >= std::nextafter(best.period, 0)) answer.bound = best.period;
  if (best.part.empty() && answer.bound == best.period)
    return Error{ErrorCode::kInfeasible, "[plan] no placement has a period that small"};
  answer.period = best.period;
  answer.part = std::move(best.part);
  answer.kind = std::move(best.kind);
  return answer;
}

std::vector<double> grouped(const ReducedGraph& reduced, const std::vector<double>& of_ops) {
  std::vector<double> sums(reduced.graph.ops, 0);
  for (std::size_t op = 0; op < of_ops.size(); ++op)
    if (reduced.group[op] != OpGraph::kOutside) sums[reduced.group[op]] += of_ops[op];
  return sums;
}

std::vector<std::uint32_t> of_ops(const ReducedGraph& reduced, const std::vector<std::uint32_t>& of_groups) {
  std::vector<std::uint32_t> parts;
  for (const std::uint32_t group : reduced.group) parts.push_back(group == OpGraph::kOutside ? 0 : of_groups[group]);
  return parts;
}

bool fits(const GraphPool& pool, const GraphPeriod& answer) {
  std::vector<double> sizes(answer.kind.size(), 0);
  for (std::size_t op = 0; op < answer.part.size(); ++op) sizes[answer.part[op]] += pool.size[op];
  for (std::size_t part = 0; part < sizes.size(); ++part)
    if (const auto& most = pool.kinds[answer.kind[part]].size_max; most && sizes[part] > *most) return false;
  return true;
}

}  // namespace

Result<GraphPeriod> pool_period(const GraphPool& pool, const GraphPeriodOptions& options) {
  // Without the sizes more ops are free. An answer that keeps them is the best one with them too.
  if (!pool.size.empty()) {
    GraphPool unlimited = pool;
    unlimited.size.clear();
    Result<GraphPeriod> answer = pool_period(unlimited, options);
    if (!answer || answer->part.empty() || fits(pool, *answer)) return answer;
  }
  std::vector<bool> is_free(pool.graph.ops);
  for (std::uint32_t op = 0; op < pool.graph.ops; ++op)
    is_free[op] = (pool.size.empty() || pool.size[op] == 0) &&
                  std::all_of(pool.kinds.begin(), pool.kinds.end(), [&](const auto& kind) { return kind.work[op] == 0; });
  const ReducedGraph reduced = without_free_ops(pool.graph, is_free);
  GraphPool small{.graph = reduced.graph, .kinds = pool.kinds};
  if (!pool.size.empty()) small.size = grouped(reduced, pool.size);
  for (GraphPool::Kind& kind : small.kinds) kind.work = grouped(reduced, kind.work);
  TIDELINE_TRY(GraphPeriod answer, least_period(PoolParts(small), options));
  if (reduced.graph.ops == 0 || !answer.part.empty()) answer.part = of_ops(reduced, answer.part);
  return answer;
}

Result<GraphPeriod> line_period(const GraphLine& line, const GraphPeriodOptions& options) {
  std::vector<bool> is_free(line.graph.ops);
  for (std::uint32_t op = 0; op < line.graph.ops; ++op)
    is_free[op] = std::all_of(line.work.begin(), line.work.end(), [&](const auto& work) { return work[op] == 0; });
  const ReducedGraph reduced = without_free_ops(line.graph, is_free);
  GraphLine small{.graph = reduced.graph, .work = line.work, .links = line.links};
  for (auto& work : small.work) work = grouped(reduced, work);
  TIDELINE_TRY(GraphPeriod answer, least_period(LineParts(small), options));
  if (reduced.graph.ops == 0 || !answer.part.empty()) answer.part = of_ops(reduced, answer.part);
  return answer;
}

}  // namespace tideline
