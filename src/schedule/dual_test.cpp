// The two ways to the multipliers, all tasks at once and sifting, must agree; oracle_test.cpp holds both against CBC.
#include "schedule/dual.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "schedule/certify.h"
#include "schedule/interior_point.h"
#include "schedule/test_instances.h"

namespace tideline::schedule {
namespace {

// Returns how many parts it took.
int expect_sifting_agrees(const Instance& instance, std::size_t sample_size, const std::string& what) {
  const CutTable cuts(instance);
  const DualResult whole = solve_interior_point(instance, cuts, {});
  const DualResult sifted = solve_dual(instance, cuts, {.sample_size = sample_size});
  EXPECT_TRUE(sifted.converged) << what;
  EXPECT_GT(sifted.sifts, 0) << what;
  EXPECT_LE(sifted.upper_bound, whole.upper_bound * (1 + 1.1e-5)) << what;
  // No prices give less than the optimum.
  EXPECT_GE(sifted.upper_bound, whole.upper_bound * (1 - 1e-6)) << what;
  EXPECT_NEAR(bound_of(instance, sifted.multipliers).upper_bound, sifted.upper_bound, 1e-9 * whole.upper_bound) << what;
  return sifted.sifts;
}

TEST(Dual, SiftingFindsTheOptimumOfAllTasks) {
  int parts_max = 0;
  for (const char* kind : {"c2", "single-home", "real", "split-all"})
    for (const double tightness : {0.02, 0.1, 0.5, 3.0})
      for (const std::size_t sample_size : {20u, 200u}) {
        const int parts = expect_sifting_agrees(tight_instance(kind, 10, 1500, 8, tightness), sample_size,
                                                kind + std::string(" ") + std::to_string(tightness));
        parts_max = std::max(parts_max, parts);
      }
  EXPECT_GT(parts_max, 1) << "the test needs instances whose first part is not enough";
}

TEST(Dual, SiftingForgivesASampleThatMisleads) {
  // Nearly all tasks are huge: a sample of ten knows nothing of the thirty small ones, which are all that fits.
  Instance instance = tight_instance("c2", 10, 1500, 9);
  for (std::size_t j = 0; j < instance.tasks.size(); ++j)
    for (std::uint32_t n = 0; n < instance.tasks[j].touch_count; ++n)
      instance.touches[instance.tasks[j].first_touch + n].data_mb_s *= j % 50 == 0 ? 0.1 : 100;
  expect_sifting_agrees(instance, 10, "thirty small tasks");
  expect_sifting_agrees(instance, 1, "a sample of one");
}

TEST(Dual, AnEarlyEndStillGivesAValidBound) {
  const Instance instance = tight_instance("c2", 10, 1500, 8);
  const CutTable cuts(instance);
  const double optimum = solve_interior_point(instance, cuts, {}).upper_bound;
  for (const std::size_t sample_size : {std::size_t{100}, std::size_t{1500}}) {
    const DualResult cut_short =
        solve_dual(instance, cuts, {.time_limit = std::chrono::nanoseconds(0), .sample_size = sample_size});
    EXPECT_FALSE(cut_short.converged);
    EXPECT_GE(cut_short.upper_bound, optimum * (1 - 1e-6));
    EXPECT_NEAR(bound_of(instance, cut_short.multipliers).upper_bound, cut_short.upper_bound, 1e-9 * cut_short.upper_bound);
  }
}

TEST(Dual, AnyNumberOfThreadsFindsTheSame) {
  const Instance instance = tight_instance("real", 20, 3000, 8);
  const CutTable cuts(instance);
  const double one = solve_dual(instance, cuts, {.threads = 1, .sample_size = 300}).upper_bound;
  for (const unsigned threads : {2u, 5u})
    EXPECT_NEAR(solve_dual(instance, cuts, {.threads = threads, .sample_size = 300}).upper_bound, one, 2e-5 * one);
}

TEST(Dual, RemainingCapacitiesGiveTheBoundOfTheRest) {
  // Half of everything left is the same as servers of half the size.
  const Instance instance = tight_instance("c2", 10, 120, 6);
  Instance half = instance;
  for (Server& server : half.servers) {
    server.bandwidth_mbit_s /= 2;
    server.capacity_gflop_s /= 2;
  }
  const std::vector<double> left(10, 0.5);
  const auto rest = solve_dual(instance, CutTable(instance), {.bandwidth_left = left, .compute_left = left});
  EXPECT_NEAR(rest.upper_bound, solve_dual(half, CutTable(half), {}).upper_bound, 1e-4);
}

}  // namespace
}  // namespace tideline::schedule
