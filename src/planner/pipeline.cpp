// Decisions "is there a route with at most T?" halve what lies between a bound and the best route known. With T given, how many
// blocks a device takes is a window: from the cut at which the request came to it, as far as its time allows. So the cuts at
// which a set of devices can hand over are a set of bits; a hop keeps those whose bytes are quick enough on the link. O(2^m m (n
// + m n/64)) for m devices and n blocks; then one pass of the same kind with latencies in place of bits.
#include "planner/pipeline.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

constexpr double kRelativeGap = 1e-9;
// Periods are sums of few numbers: so near to the best there is seldom another.
constexpr double kBracket = 1e-3;

class Pipeline {
 public:
  explicit Pipeline(const WalkProblem& problem)
      : problem_(problem),
        m_(problem.devices),
        n_(problem.blocks),
        words_(n_ / 64 + 1),
        before_(m_, std::vector<double>(n_ + 1, 0)),
        links_(m_ * m_) {
    for (std::size_t device = 0; device < m_; ++device)
      for (std::size_t block = 0; block < n_; ++block)
        before_[device][block + 1] = before_[device][block] + problem.time_of(block, device);
    for (std::uint32_t i = 0; i < problem.hops.size(); ++i) links_[problem.hops[i].from * m_ + problem.hops[i].to].push_back(i);
  }

  // A walk with at most this period, by what counts here.
  std::optional<Steps> decide(double period) {
    set_limit(period);
    arrivals_.assign((std::size_t{1} << m_) * m_ * words_, 0);
    arrivals(bit(problem_.source), problem_.source)[0] = 1;
    std::vector<std::uint64_t> leaving(words_);
    for (std::size_t seen = 0; seen < std::size_t{1} << m_; ++seen)
      for (std::size_t device = 0; device < m_; ++device) {
        if ((seen >> device & 1) == 0) continue;
        const std::uint64_t* const here = arrivals(seen, device);
        if (std::all_of(here, here + words_, [](std::uint64_t word) { return word == 0; })) continue;
        for (std::uint32_t leave = 0; leave < problem_.leaves.size(); ++leave)
          if (const auto first = first_block(here, device, leave)) return trace(seen, device, *first, leave);
        set_leaving(here, device, leaving);
        for (std::size_t next = 0; next < m_; ++next) {
          if ((seen >> next & 1) != 0 || links_[device * m_ + next].empty()) continue;
          std::uint64_t* const there = arrivals(seen | bit(next), next);
          const std::uint64_t* const quick = &quick_[(device * m_ + next) * words_];
          for (std::size_t word = 0; word < words_; ++word) there[word] |= leaving[word] & quick[word];
        }
      }
    return std::nullopt;
  }

  // Of the walks with at most this period, the one with the least latency.
  std::optional<Steps> shortest(double period) {
    set_limit(period);
    latency_.assign((std::size_t{1} << m_) * m_ * (n_ + 1), kEndless);
    latencies(bit(problem_.source), problem_.source)[0] = 0;
    set_hops();
    End best;
    std::vector<double> leaving(n_ + 1);
    for (std::size_t seen = 0; seen < std::size_t{1} << m_; ++seen)
      for (std::size_t device = 0; device < m_; ++device) {
        if ((seen >> device & 1) == 0) continue;
        const double* const here = latencies(seen, device);
        if (std::all_of(here, here + n_ + 1, [](double ms) { return ms == kEndless; })) continue;
        for (std::uint32_t leave = 0; leave < problem_.leaves.size(); ++leave) try_end(here, seen, device, leave, best);
        set_leaving(here, device, leaving);
        for (std::size_t next = 0; next < m_; ++next) {
          if ((seen >> next & 1) != 0) continue;
          if (links_[device * m_ + next].empty()) continue;
          double* const there = latencies(seen | bit(next), next);
          const double* const hop = &hop_ms_[(device * m_ + next) * n_];
          for (std::size_t cut = 0; cut < n_; ++cut) there[cut] = std::min(there[cut], leaving[cut] + hop[cut]);
        }
      }
    if (best.ms == kEndless) return std::nullopt;
    return trace(best);
  }

 private:
  struct End {
    double ms = kEndless;
    std::size_t seen = 0;
    std::size_t device = 0;
    std::size_t first = 0;
    std::uint32_t leave = 0;
  };

  static std::size_t bit(std::size_t device) { return std::size_t{1} << device; }
  std::uint64_t* arrivals(std::size_t seen, std::size_t device) { return &arrivals_[(seen * m_ + device) * words_]; }
  double* latencies(std::size_t seen, std::size_t device) { return &latency_[(seen * m_ + device) * (n_ + 1)]; }
  bool is_quick(std::uint32_t hop, double bytes) const { return bytes * problem_.hops[hop].way_ms_per_byte <= period_; }
  double hop_ms(std::uint32_t hop, std::size_t cut) const {
    return problem_.hops[hop].fixed[kTime] + problem_.cut_bytes[cut] * problem_.hops[hop].per_byte[kTime];
  }

  // Windows and links at this period.
  void set_limit(double period) {
    period_ = period;
    until_.assign(m_, std::vector<std::size_t>(n_ + 1, 0));
    for (std::size_t device = 0; device < m_; ++device) {
      std::size_t end = 0;
      for (std::size_t cut = 0; cut <= n_; ++cut) {
        end = std::max(end, cut);
        while (end < n_ && before_[device][end + 1] - before_[device][cut] <= period_) ++end;
        until_[device][cut] = cut < problem_.keep && device != problem_.source ? cut : end;
      }
    }
    quick_.assign(m_ * m_ * words_, 0);
    for (std::uint32_t hop = 0; hop < problem_.hops.size(); ++hop)
      for (std::size_t cut = 0; cut < n_; ++cut)
        if (is_quick(hop, problem_.cut_bytes[cut]))
          quick_[(problem_.hops[hop].from * m_ + problem_.hops[hop].to) * words_ + cut / 64] |= std::uint64_t{1} << (cut % 64);
    set_ways_home();
  }

  // The time of each cut over the quickest link that is quick enough.
  void set_hops() {
    hop_ms_.assign(m_ * m_ * n_, kEndless);
    for (std::uint32_t i = 0; i < problem_.hops.size(); ++i)
      for (std::size_t cut = 0; cut < n_; ++cut) {
        double& ms = hop_ms_[(problem_.hops[i].from * m_ + problem_.hops[i].to) * n_ + cut];
        if (is_quick(i, problem_.cut_bytes[cut])) ms = std::min(ms, hop_ms(i, cut));
      }
  }

  // The quickest way home of each leave's result over links that are quick enough.
  void set_ways_home() {
    home_ms_.assign(problem_.leaves.size(), std::vector<double>(m_, kEndless));
    home_hop_.assign(problem_.leaves.size(), std::vector<std::uint32_t>(m_, 0));
    for (std::size_t leave = 0; leave < problem_.leaves.size(); ++leave) {
      const double bytes = problem_.leaves[leave].bytes;
      home_ms_[leave][problem_.source] = 0;
      for (bool better = true; better;) {
        better = false;
        for (std::uint32_t i = 0; i < problem_.hops.size(); ++i) {
          const WalkProblem::Hop& hop = problem_.hops[i];
          const double ms = home_ms_[leave][hop.to] + hop.fixed[kTime] + bytes * hop.per_byte[kTime];
          if (!is_quick(i, bytes) || ms >= home_ms_[leave][hop.from]) continue;
          home_ms_[leave][hop.from] = ms;
          home_hop_[leave][hop.from] = i;
          better = true;
        }
      }
    }
  }

  // Whether the device can go on from the cut to the leave, head included.
  bool can_end(std::size_t cut, std::size_t device, std::uint32_t leave) const {
    const WalkProblem::Leave& end = problem_.leaves[leave];
    if (cut >= end.after || until_[device][cut] < end.after || home_ms_[leave][device] == kEndless) return false;
    const double head = end.head_ms.empty() ? 0 : end.head_ms[device];
    return before_[device][end.after] - before_[device][cut] + head <= period_;
  }

  // The latest cut before the leave leaves the least to do.
  std::optional<std::size_t> first_block(const std::uint64_t* here, std::size_t device, std::uint32_t leave) const {
    for (std::size_t cut = problem_.leaves[leave].after; cut-- > 0;) {
      if ((here[cut / 64] >> (cut % 64) & 1) == 0) continue;
      if (can_end(cut, device, leave)) return cut;
      return std::nullopt;
    }
    return std::nullopt;
  }

  void set_leaving(const std::uint64_t* here, std::size_t device, std::vector<std::uint64_t>& leaving) const {
    std::fill(leaving.begin(), leaving.end(), 0);
    std::size_t filled = 0;  // all cuts below are set or can never be
    for (std::size_t word = 0; word < words_; ++word)
      for (std::uint64_t bits = here[word]; bits != 0; bits &= bits - 1) {
        const std::size_t cut = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        for (filled = std::max(filled, cut); filled <= until_[device][cut]; ++filled)
          leaving[filled / 64] |= std::uint64_t{1} << (filled % 64);
      }
  }

  // The least latency at which each cut can leave the device: the least of a window that only moves on.
  void set_leaving(const double* here, std::size_t device, std::vector<double>& leaving) {
    std::vector<std::size_t>& window = window_;  // cuts by rising begin, from `front` on
    window.clear();
    std::size_t front = 0;
    const std::vector<double>& before = before_[device];
    const auto begin = [&](std::size_t cut) { return here[cut] - before[cut]; };
    for (std::size_t cut = 0; cut <= n_; ++cut) {
      while (front < window.size() && until_[device][window[front]] < cut) ++front;
      if (here[cut] != kEndless) {
        while (front < window.size() && begin(window.back()) >= begin(cut)) window.pop_back();
        window.push_back(cut);
      }
      leaving[cut] = front == window.size() ? kEndless : begin(window[front]) + before[cut];
    }
  }

  void try_end(const double* here, std::size_t seen, std::size_t device, std::uint32_t leave, End& best) const {
    const WalkProblem::Leave& end = problem_.leaves[leave];
    const double head = end.head_ms.empty() ? 0 : end.head_ms[device];
    for (std::size_t cut = end.after; cut-- > 0;) {
      if (before_[device][end.after] - before_[device][cut] > period_) return;
      if (here[cut] == kEndless || !can_end(cut, device, leave)) continue;
      const double ms = here[cut] + before_[device][end.after] - before_[device][cut] + head + home_ms_[leave][device];
      if (ms < best.ms) best = {ms, seen, device, cut, leave};
    }
  }

  // The steps behind the cut at which the last device began, then those before it, in turn.
  Steps from_the_end(std::size_t device, std::size_t first, std::uint32_t leave) const {
    Steps steps(problem_.leaves[leave].after - first, kComputes);
    steps.push_back(kLeaves | leave);
    for (std::size_t at = device; at != problem_.source; at = problem_.hops[home_hop_[leave][at]].to)
      steps.push_back(home_hop_[leave][at]);
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  Steps trace(std::size_t seen, std::size_t device, std::size_t cut, std::uint32_t leave) {
    Steps steps = from_the_end(device, cut, leave);
    while (seen != bit(problem_.source)) {
      const std::size_t rest = seen & ~bit(device);
      const auto [from, first] = sender(rest, device, cut);
      steps.push_back(quickest(from, device, cut));
      steps.insert(steps.end(), cut - first, kComputes);
      seen = rest;
      device = from;
      cut = first;
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  std::uint32_t quickest(std::size_t from, std::size_t to, std::size_t cut) const {
    const auto& list = links_[from * m_ + to];
    return *std::min_element(list.begin(), list.end(), [&](std::uint32_t left, std::uint32_t right) {
      const auto rank = [&](std::uint32_t hop) { return std::pair(!is_quick(hop, problem_.cut_bytes[cut]), hop_ms(hop, cut)); };
      return rank(left) < rank(right);
    });
  }

  // Who handed the cut over, and at which cut it had begun.
  std::pair<std::size_t, std::size_t> sender(std::size_t seen, std::size_t device, std::size_t cut) {
    for (std::size_t from = 0; from < m_; ++from) {
      if ((seen >> from & 1) == 0 || (quick_[(from * m_ + device) * words_ + cut / 64] >> (cut % 64) & 1) == 0) continue;
      const std::uint64_t* const there = arrivals(seen, from);
      for (std::size_t first = cut + 1; first-- > 0;)
        if ((there[first / 64] >> (first % 64) & 1) != 0 && until_[from][first] >= cut) return {from, first};
    }
    return {problem_.source, cut};
  }

  Steps trace(const End& end) {
    Steps steps = from_the_end(end.device, end.first, end.leave);
    std::size_t seen = end.seen;
    std::size_t device = end.device;
    std::size_t cut = end.first;
    while (seen != bit(problem_.source)) {
      const std::size_t rest = seen & ~bit(device);
      const double wanted = latencies(seen, device)[cut];
      for (std::size_t from = 0; from < m_; ++from) {
        if ((rest >> from & 1) == 0) continue;
        std::vector<double> leaving(n_ + 1);
        const double* const there = latencies(rest, from);
        set_leaving(there, from, leaving);
        const auto& list = links_[from * m_ + device];
        const auto hop = std::find_if(list.begin(), list.end(), [&](std::uint32_t one) {
          return is_quick(one, problem_.cut_bytes[cut]) && leaving[cut] + hop_ms(one, cut) == wanted;
        });
        if (hop == list.end() || leaving[cut] == kEndless) continue;
        std::size_t first = cut;
        while (there[first] == kEndless || until_[from][first] < cut ||
               there[first] - before_[from][first] + before_[from][cut] != leaving[cut])
          --first;
        steps.push_back(*hop);
        steps.insert(steps.end(), cut - first, kComputes);
        device = from;
        cut = first;
        break;
      }
      seen = rest;
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  const WalkProblem& problem_;
  const std::size_t m_;
  const std::size_t n_;
  const std::size_t words_;
  std::vector<std::vector<double>> before_;        // [device][cut]: its time of the blocks before the cut
  std::vector<std::vector<std::uint32_t>> links_;  // [from * m + to]: hops
  double period_ = 0;
  std::vector<std::vector<std::size_t>> until_;  // [device][cut]: how far it gets from there
  std::vector<std::uint64_t> quick_;             // [from * m + to][word]: cuts that are quick enough on some link
  std::vector<std::vector<double>> home_ms_;     // [leave][device]
  std::vector<std::vector<std::uint32_t>> home_hop_;
  std::vector<std::uint64_t> arrivals_;  // [seen][device][word]
  std::vector<double> hop_ms_;           // [(from * m + to) * n + cut]
  std::vector<std::size_t> window_;
  std::vector<double> latency_;  // [seen][device][cut], of arrivals
};

FoundWalk measured(const WalkProblem& problem, Steps steps) {
  const WalkAmounts amounts = measure(problem, steps);
  std::uint32_t leave = 0;
  for (const std::uint32_t step : steps)
    if (step != kComputes && (step & kLeaves) != 0) leave = step & ~kLeaves;
  return {.steps = std::move(steps), .sums = amounts.sums, .period = amounts.period, .leave = leave};
}

Error carries_both() {
  return Error{ErrorCode::kUnsupported, "[plan] a link would carry both what goes out and a result that matters"};
}

}  // namespace

bool is_pipeline(const WalkProblem& problem, const LabelQuestion& question) {
  const bool is_limited = std::any_of(question.limits.begin(), question.limits.end(), [](const auto& limit) { return limit; });
  const bool has_codecs =
      std::any_of(problem.hops.begin(), problem.hops.end(), [](const WalkProblem::Hop& hop) { return hop.codec != kRawCodec; });
  return problem.stations.size() == problem.devices && problem.devices <= limits::kPipelineDevicesMax && problem.begins.empty() &&
         problem.memory.empty() && !is_limited && !has_codecs && !question.two_devices &&
         (std::size_t{1} << problem.devices) * problem.devices * (problem.blocks + 1) <= limits::kPipelineStatesMax;
}

Result<FoundWalk> shortest_pipeline(const WalkProblem& problem, double period) {
  std::optional<Steps> steps = Pipeline(problem).shortest(period);
  if (!steps) return Error{ErrorCode::kInfeasible, ""};
  FoundWalk found = measured(problem, std::move(*steps));
  if (found.period > period * (1 + 1e-12)) return carries_both();
  return found;
}

Result<FoundWalk> least_period_pipeline(const WalkProblem& problem, const CancelToken& cancel) {
  Pipeline pipeline(problem);
  Amounts weights{};
  weights[kTime] = 1;
  FoundWalk best = measured(problem, ToGo(problem, weights).walk());
  double low = 0;
  while (best.period > 0) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    const bool is_last = best.period - low <= best.period * kBracket;
    const double goal = is_last ? best.period * (1 - kRelativeGap) : (low + best.period) / 2;
    std::optional<Steps> steps = pipeline.decide(goal);
    if (!steps && is_last) break;
    if (!steps) {
      low = goal;
      continue;
    }
    FoundWalk better = measured(problem, std::move(*steps));
    if (better.period > goal * (1 + 1e-12)) return carries_both();
    best = std::move(better);
  }
  const double limit = best.period * (1 + kRelativeGap);
  if (std::optional<Steps> steps = pipeline.shortest(limit)) {
    FoundWalk shortest = measured(problem, std::move(*steps));
    if (shortest.period > limit * (1 + 1e-12)) return carries_both();
    best = std::move(shortest);
  }
  return best;
}

}  // namespace tideline
