#include "schedule/dual.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "schedule/interior_point.h"
#include "schedule/parallel.h"
#include "schedule/price_list.h"
#include "schedule/random.h"

namespace tideline::schedule {
namespace {

// Tasks of the sample, per server: with fewer its prices are noise, with more it costs as much as what it saves.
constexpr std::size_t kSamplePerServer = 40;
constexpr std::size_t kSampleMin = 4000;
// Sifting pays from so many samples on.
constexpr std::size_t kSiftFrom = 3;
// Prices that fit a sample to the last digit fit its noise.
constexpr double kSampleGap = 0.02;
// How near to the optimum sifting ends. Rounding gives away a hundred times as much.
constexpr double kSiftGap = 1e-5;
// The first part holds this many times the tasks that the sample's prices would deploy. Later prices are much better: what
// costs more than this at them stays out.
constexpr double kFirstPart = 2;
constexpr float kCostMax = 1.05f;

// The dual of a growing part of the tasks. Those that cost too much at the prices so far stay out; one pass tells at which prices
// they would want in after all.
class Sifter {
 public:
  Sifter(const Instance& instance, const CutTable& cuts, const DualOptions& options)
      : instance_(instance),
        cuts_(cuts),
        options_(options),
        threads_(thread_count(options.threads)),
        end_(std::chrono::steady_clock::now() + options.time_limit),
        cost_(instance.tasks.size()),
        is_in_part_(instance.tasks.size(), false) {}

  DualResult run(std::size_t sample_size) {
    result_.upper_bound = std::numeric_limits<double>::infinity();
    price_all(solve_sample(sample_size));
    choose_first(sample_size);
    const double gap = std::max(options_.gap, kSiftGap) / 2;
    while (!over()) {
      const DualResult part = solve(part_, 1, std::max(gap * result_.upper_bound, options_.gap_tasks / 2));
      ++result_.sifts;
      const double bound = price_all(part.multipliers);
      // The part's optimum is a solution of the whole, with everyone else out.
      if (part.converged && bound - part.upper_bound <= std::max(gap * bound, options_.gap_tasks / 2)) {
        result_.converged = true;
        break;
      }
      if (!add_to_part(kCostMax)) break;
    }
    return std::move(result_);
  }

 private:
  bool over() const { return options_.cancel.cancelled() || std::chrono::steady_clock::now() > end_; }

  double left(const std::vector<double>& of, std::size_t server) const { return of.empty() ? 1 : of[server]; }

  // Into cost_ what every task costs at these prices. Returns U, and keeps the prices when theirs is the best so far.
  double price_all(const Multipliers& multipliers) {
    const PriceList list(instance_, multipliers);
    std::vector<double> worth(threads_, 0);
    parallel_for(threads_, instance_.tasks.size(), [&](unsigned thread, std::size_t begin, std::size_t end) {
      for (std::size_t j = begin; j < end; ++j) {
        const auto cuts = cuts_.of(instance_.tasks[j]);
        const TaskPrices prices = list.of(instance_, instance_.tasks[j]);
        const double cost = prices.cost(cuts[PriceList::cheapest(prices, cuts)]);
        cost_[j] = static_cast<float>(cost);
        worth[thread] += std::max(0.0, 1 - cost);
      }
    });
    double bound = std::accumulate(worth.begin(), worth.end(), 0.0);
    for (std::size_t i = 0; i < instance_.servers.size(); ++i)
      bound +=
          multipliers.bandwidth[i] * left(options_.bandwidth_left, i) + multipliers.compute[i] * left(options_.compute_left, i);
    if (bound < result_.upper_bound) {
      result_.upper_bound = bound;
      result_.multipliers = multipliers;
    }
    return bound;
  }

  // The prices of a random sample (always the same one), on as small a share of the servers.
  Multipliers solve_sample(std::size_t size) {
    const double share = static_cast<double>(size) / static_cast<double>(instance_.tasks.size());
    Random random(size);
    std::vector<std::uint32_t> sample;
    for (std::uint32_t j = 0; j < instance_.tasks.size(); ++j)
      if (random.unit() < share) sample.push_back(j);
    if (sample.empty()) sample.push_back(0);
    return solve(sample, share, kSampleGap * static_cast<double>(size)).multipliers;
  }

  void choose_first(std::size_t size_min) {
    const auto affordable = static_cast<double>(std::count_if(cost_.begin(), cost_.end(), [](float cost) { return cost <= 1; }));
    const std::size_t size = std::min(std::max(size_min, static_cast<std::size_t>(kFirstPart * affordable)), cost_.size()) - 1;
    std::vector<float> costs = cost_;
    std::nth_element(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(size), costs.end());
    (void)add_to_part(costs[size]);
  }

  // False: there is none to add.
  bool add_to_part(float cost_max) {
    const std::size_t before = part_.size();
    for (std::uint32_t j = 0; j < cost_.size(); ++j) {
      if (is_in_part_[j] || cost_[j] > cost_max) continue;
      is_in_part_[j] = true;
      part_.push_back(j);
    }
    return part_.size() > before;
  }

  // These tasks alone, on `share` of what is left.
  DualResult solve(std::span<const std::uint32_t> tasks, double share, double gap_tasks) {
    const Instance part = select_tasks(instance_, tasks);
    DualOptions options{.threads = options_.threads,
                        .time_limit = end_ - std::chrono::steady_clock::now(),
                        .gap = 0,
                        .gap_tasks = gap_tasks,
                        .cancel = options_.cancel};
    for (std::size_t i = 0; i < instance_.servers.size(); ++i) {
      options.bandwidth_left.push_back(share * left(options_.bandwidth_left, i));
      options.compute_left.push_back(share * left(options_.compute_left, i));
    }
    DualResult solved = solve_interior_point(part, cuts_, options);
    result_.iterations += solved.iterations;
    return solved;
  }

  const Instance& instance_;
  const CutTable& cuts_;
  const DualOptions& options_;
  const unsigned threads_;
  const std::chrono::steady_clock::time_point end_;
  std::vector<float> cost_;
  std::vector<std::uint32_t> part_;
  std::vector<bool> is_in_part_;
  DualResult result_;
};

}  // namespace

DualResult solve_dual(const Instance& instance, const CutTable& cuts, const DualOptions& options) {
  if (instance.tasks.empty()) {
    DualResult nothing;
    nothing.multipliers.bandwidth.assign(instance.servers.size(), 0);
    nothing.multipliers.compute.assign(instance.servers.size(), 0);
    nothing.converged = true;
    return nothing;
  }
  const std::size_t sample =
      options.sample_size > 0 ? options.sample_size : std::max(kSampleMin, kSamplePerServer * instance.servers.size());
  if (instance.tasks.size() < kSiftFrom * sample) return solve_interior_point(instance, cuts, options);
  return Sifter(instance, cuts, options).run(sample);
}

}  // namespace tideline::schedule
