// Against others: a plain enumeration, and the solver CBC (run as a process on an LP file), whose optimum of the integer
// programme and of its relaxation ours must meet. Without `cbc` on the path those tests are skipped.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "schedule/checker.h"
#include "schedule/dual.h"
#include "schedule/policy.h"
#include "schedule/test_instances.h"

namespace tideline::schedule {
namespace {

// T2: (N + 1)^T schedules, each put through the checker.
std::uint32_t best_by_enumeration(const Instance& instance) {
  std::vector<std::uint32_t> layers(instance.tasks.size(), 0);
  std::uint32_t best = 0;
  for (;;) {
    const auto count =
        static_cast<std::uint32_t>(layers.size() - static_cast<std::size_t>(std::count(layers.begin(), layers.end(), 0u)));
    if (count > best && check_schedule(instance, layers)) best = count;
    std::size_t j = 0;
    while (j < layers.size() && layers[j] == instance.model_of(instance.tasks[j]).layers.size()) layers[j++] = 0;
    if (j == layers.size()) return best;
    ++layers[j];
  }
}

TEST(Oracle, PriceAndExhaustiveMeetPlainEnumeration) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const char* kinds[] = {"c2", "single-home", "real", "literal"};
    Instance instance = tight_instance(kinds[seed % 4], 1 + static_cast<std::uint32_t>(seed % 3), 5, seed, 0.3);
    for (TaskModel& model : instance.models) model.layers.resize(std::min<std::size_t>(model.layers.size(), 4));
    const std::uint32_t best = best_by_enumeration(instance);
    const auto exact = run_policy("exhaustive", instance, {.time_limit = std::chrono::seconds(20)});
    ASSERT_TRUE(exact) << exact.error().message;
    EXPECT_EQ(exact->schedule.deployed(), best) << "seed " << seed;
    const auto price = run_policy("price", instance, {.time_limit = std::chrono::seconds(20), .search_steps = 200});
    ASSERT_TRUE(price) << price.error().message;
    EXPECT_EQ(price->schedule.deployed(), best) << "seed " << seed;
    EXPECT_GE(price->schedule.tasks_max, best) << "seed " << seed;
  }
}

TEST(Exhaustive, RefusesWhatIsTooLarge) {
  const auto answer = run_policy("exhaustive", tight_instance("c2", 4, 65, 1), {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(answer.error().message.find("at most 64 tasks"), std::string::npos);
}

bool has_cbc() { return std::system("command -v cbc >/dev/null 2>&1") == 0; }

// The instance as an LP file: one variable per task and cut. Written from the formulas, not from our matrices.
void write_lp(const Instance& instance, const std::string& path, bool integer) {
  std::vector<std::string> rows(2 * instance.servers.size());
  std::string objective, choices, variables;
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
    const Task& task = instance.tasks[j];
    std::string choice;
    for (std::uint32_t k = 1; k <= instance.model_of(task).layers.size(); ++k) {
      const std::string name = fmt::format("x{}_{}", j, k);
      objective += fmt::format(" + {}\n", name);
      choice += fmt::format(" + {}", name);
      variables += " " + name + "\n";
      for (const Touch& touch : instance.touches_of(task)) {
        rows[2 * touch.server] += fmt::format(" + {:.17g} {}\n", bandwidth_demand_mbit_s(instance, task, touch, k), name);
        rows[2 * touch.server + 1] += fmt::format(" + {:.17g} {}\n", compute_demand_gflop_s(instance, task, touch, k), name);
      }
    }
    choices += fmt::format("t{}:{} <= 1\n", j, choice);
  }
  std::ofstream file(path);
  file << "Maximize\nobj:" << objective << "Subject To\n" << choices;
  for (std::size_t i = 0; i < instance.servers.size(); ++i) {
    const Server& server = instance.servers[i];
    if (!rows[2 * i].empty())
      file << fmt::format("b{}:{} <= {:.17g}\n", i, rows[2 * i], instance.bandwidth_share * server.bandwidth_mbit_s);
    if (!rows[2 * i + 1].empty()) file << fmt::format("c{}:{} <= {:.17g}\n", i, rows[2 * i + 1], server.capacity_gflop_s);
  }
  if (integer) file << "Binaries\n" << variables;
  file << "End\n";
}

// The optimum by CBC; below 0 when it did not prove one within its time.
double solve_with_cbc(const Instance& instance, bool integer) {
  const std::string stem = (std::filesystem::temp_directory_path() / fmt::format("tideline_oracle_{}", ::getpid())).string();
  write_lp(instance, stem + ".lp", integer);
  const std::string command = fmt::format("cbc {0}.lp sec 20 solve solution {0}.sol >/dev/null 2>&1", stem);
  double value = -1;
  if (std::system(command.c_str()) == 0) {
    std::ifstream solution(stem + ".sol");
    std::string line;
    std::getline(solution, line);  // "Optimal - objective value 12.00000000"
    const auto at = line.find("objective value ");
    if (line.starts_with("Optimal") && at != std::string::npos) value = std::abs(std::strtod(line.c_str() + at + 16, nullptr));
  }
  std::filesystem::remove(stem + ".lp");
  std::filesystem::remove(stem + ".sol");
  return value;
}

TEST(Oracle, TheDualIsTheOptimumOfTheRelaxation) {
  if (!has_cbc()) GTEST_SKIP() << "cbc is not installed";
  for (const char* kind : {"c2", "single-home", "real", "split-all", "literal"}) {
    const Instance instance = tight_instance(kind, 12, 150, 5);
    const auto dual = solve_dual(instance, CutTable(instance), {});
    EXPECT_TRUE(dual.converged) << kind;
    EXPECT_NEAR(dual.upper_bound, solve_with_cbc(instance, false), 1e-4 * dual.upper_bound) << kind;
  }
}

TEST(Oracle, PriceMeetsTheIntegerOptimum) {
  if (!has_cbc()) GTEST_SKIP() << "cbc is not installed";
  int compared = 0, met = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const char* kinds[] = {"c2", "single-home", "real"};
    const Instance instance = tight_instance(kinds[seed % 3], 6, 36, seed);
    const double optimum = solve_with_cbc(instance, true);
    if (optimum < 0) continue;
    const auto price = run_policy("price", instance, {.time_limit = std::chrono::seconds(20), .search_steps = 20000});
    ASSERT_TRUE(price) << price.error().message;
    ++compared;
    EXPECT_LE(price->schedule.deployed(), optimum + 1e-6) << "seed " << seed;
    EXPECT_GE(price->schedule.deployed() + 1, optimum - 1e-6) << "seed " << seed;
    EXPECT_GE(price->schedule.upper_bound, optimum - 1e-6) << "seed " << seed;
    met += price->schedule.deployed() == static_cast<std::uint32_t>(optimum + 0.5) ? 1 : 0;
  }
  EXPECT_GE(compared, 6);
  EXPECT_GE(met, compared - 1);
}

}  // namespace
}  // namespace tideline::schedule
