// The benchmark of the offline policies, as markdown tables.
//   bench_schedule quality [SECONDS] [SEEDS]   deployed over the upper bound for price, and the gain over the paper's algorithm
//   bench_schedule scale [small|large|huge]    time and memory of generator, balanced and price, up to that size
// Counts and ratios repeat on any machine (the seeds are held out: nothing was set on them); times are of this one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "schedule/dual.h"
#include "schedule/generator.h"
#include "schedule/policy.h"
#include "schedule/price.h"

namespace {

using namespace tideline::schedule;
using Clock = std::chrono::steady_clock;

// Everything that was set by trial was set on seeds up to 104.
constexpr std::uint64_t kFirstHeldOutSeed = 201;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// The largest resident memory so far, from the kernel; 0 where it does not say.
double peak_memory_gb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1e6;
  return 0;
}

struct Row {
  double paper = 0, balanced = 0, price = 0, bound = 0, tasks_max = 0, seconds = 0;
  double worst = 1, worst_whole = 1;
  int proven = 0;
};

bool add_seed(Row& row, const Instance& instance, double seconds) {
  const PolicyOptions options{.time_limit = std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9))};
  const auto paper = run_policy("li2018", instance, options);
  const auto balanced = run_policy("balanced", instance, options);
  const auto price = run_policy("price", instance, options);
  if (!paper || !balanced || !price) return false;
  const Schedule& best = price->schedule;
  row.paper += paper->schedule.deployed();
  row.balanced += balanced->schedule.deployed();
  row.price += best.deployed();
  row.bound += best.upper_bound;
  row.tasks_max += static_cast<double>(best.tasks_max);
  row.seconds += std::chrono::duration<double>(price->elapsed).count();
  row.worst = std::min(row.worst, best.deployed() / best.upper_bound);
  row.worst_whole = std::min(row.worst_whole, best.deployed() / static_cast<double>(best.tasks_max));
  row.proven += best.deployed() == best.tasks_max ? 1 : 0;
  return true;
}

int quality(double seconds, int seeds) {
  fmt::print(
      "1000 tasks, seeds {} to {}, price with {} s. U is the bound U(lambda); \"whole\" is it in whole tasks, rounded down per "
      "part.\n\n",
      kFirstHeldOutSeed, kFirstHeldOutSeed + static_cast<std::uint64_t>(seeds) - 1, seconds);
  fmt::print(
      "| kind | servers | paper/U | balanced/U | price/U | worst price/U | price/whole | proven optimal | gain over paper | "
      "seconds |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|\n");
  for (const char* kind : {"c2", "single-home", "real"}) {
    for (std::uint32_t servers = 20; servers <= 90; servers += 10) {
      Row row;
      for (int s = 0; s < seeds; ++s) {
        const auto instance = generate_instance(
            {.kind = kind, .servers = servers, .tasks = 1000, .seed = kFirstHeldOutSeed + static_cast<std::uint64_t>(s)});
        if (!instance || !add_seed(row, *instance, seconds)) return 1;
      }
      fmt::print("| {} | {} | {:.3f} | {:.3f} | {:.4f} | {:.4f} | {:.4f} | {}/{} | {:+.1f} % | {:.2f} |\n", kind, servers,
                 row.paper / row.bound, row.balanced / row.bound, row.price / row.bound, row.worst, row.price / row.tasks_max,
                 row.proven, seeds, 100 * (row.price / row.paper - 1), row.seconds / seeds);
      std::fflush(stdout);
    }
  }
  return 0;
}

int scale(std::string_view up_to) {
  struct Size {
    std::uint32_t tasks, servers;
    double price_seconds;
  };
  std::vector<Size> sizes{{1000, 90, 5}, {10000, 200, 10}};
  if (up_to != "small") sizes.push_back({100'000, 500, 30});
  if (up_to == "huge") sizes.push_back({1'000'000, 1000, 120});
  fmt::print("c2, 25 servers per task, every policy on all cores; memory is the peak of the process up to there.\n\n");
  fmt::print(
      "| tasks | servers | generate s | balanced s | dual s | Newton steps | first rounding s | first rounding/U | price s | "
      "price/U | balanced/U | peak GB |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const auto [tasks, servers, price_seconds] : sizes) {
    auto begin = Clock::now();
    const auto instance = generate_instance({.kind = "c2", .servers = servers, .tasks = tasks, .seed = kFirstHeldOutSeed});
    if (!instance) return 1;
    const double generate_s = seconds_since(begin);
    const auto balanced = run_policy("balanced", *instance, {});
    begin = Clock::now();
    const CutTable cuts(*instance);
    const DualResult dual = solve_dual(*instance, cuts, {});
    const double dual_s = seconds_since(begin);
    begin = Clock::now();
    const Placement rounded = round_by_price(*instance, cuts, dual.multipliers);
    const double round_s = seconds_since(begin);
    const auto rounded_count = tasks - static_cast<std::uint32_t>(std::count(rounded.begin(), rounded.end(), kOut));
    const auto price =
        run_policy("price", *instance, {.time_limit = std::chrono::nanoseconds(static_cast<std::int64_t>(price_seconds * 1e9))});
    if (!balanced || !price) return 1;
    fmt::print("| {} | {} | {:.3f} | {:.3f} | {:.2f} | {} | {:.3f} | {:.5f} | {:.1f} | {:.5f} | {:.3f} | {:.2f} |\n", tasks,
               servers, generate_s, std::chrono::duration<double>(balanced->elapsed).count(), dual_s, dual.iterations, round_s,
               rounded_count / dual.upper_bound, std::chrono::duration<double>(price->elapsed).count(),
               price->schedule.deployed() / dual.upper_bound, balanced->schedule.deployed() / dual.upper_bound, peak_memory_gb());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "quality";
  if (what == "quality") return quality(argc > 2 ? std::atof(argv[2]) : 5, argc > 3 ? std::atoi(argv[3]) : 5);
  if (what == "scale") return scale(argc > 2 ? argv[2] : "large");
  fmt::print(stderr, "usage: bench_schedule quality [SECONDS] [SEEDS] | scale [small|large|huge]\n");
  return 2;
}
