// Goal: the extended model is what its header says, and its reduction is exact.
// Method: hand-worked tasks, the independent checker on every policy, and mutations that it must refuse.
#include "schedule/extended/extended.h"

#include <gtest/gtest.h>

#include "schedule/generator.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"
#include "schedule/random.h"

namespace tideline::schedule {
namespace {

// One server; one task of 1 MB/s, limit 1 s; the edge part of the model costs 10 GFLOP, the rest 20; the output is a tenth.
Instance one_task(double bandwidth, double capacity, double limit = 1) {
  return {.bandwidth_share = 1,
          .servers = {{.bandwidth_mbit_s = bandwidth, .capacity_gflop_s = capacity}},
          .models = {{.name = "m", .layers = {{.ratio = 0.1, .gflop_per_mb = 10}, {.ratio = 0.05, .gflop_per_mb = 30}}}},
          .tasks = {{.model = 0, .latency_s = limit, .first_touch = 0, .touch_count = 1}},
          .touches = {{.server = 0, .data_mb_s = 1}}};
}

ExtendedSchedule solve(const Instance& instance, const ExtendedOptions& options, std::string_view policy = "balanced") {
  auto reduction = reduce_extended(instance, options);
  EXPECT_TRUE(reduction);
  EXPECT_TRUE(validate(reduction->instance, "reduced"));
  auto answer = run_policy(policy, reduction->instance, {.search_steps = 500, .threads = 1});
  EXPECT_TRUE(answer) << answer.error().message;
  return reduction->expand(instance, answer->schedule, options);
}

// System: cloud of 100 GFLOP/s. With k = 1: t = 0.2 s, Q' = 0.8 s; s = 1/2 needs 10 / 0.4 = 25 GFLOP/s and 0.8 / 0.4 = 2 Mbit/s.
TEST(Extended, TheSlicesAreThoseOfTheFormula) {
  const auto reduction = reduce_extended(one_task(100, 100), {.cloud_gflop_s = 100});
  ASSERT_TRUE(reduction);
  bool found = false;
  for (const Grant& grant : reduction->choices[0])
    found =
        found || (grant.layers == 1 && std::abs(grant.gflop_s_per_mb - 25) < 1e-9 && std::abs(grant.mbit_s_per_mb - 2) < 1e-9);
  EXPECT_TRUE(found);
  EXPECT_NEAR(cloud_time_s(one_task(1, 1), one_task(1, 1).tasks[0], 1, 100), 0.2, 1e-12);
  // k = 0: t = 0.3 s, the raw 8 Mbit in 0.7 s.
  EXPECT_EQ(reduction->choices[0].front().layers, 0u);
  EXPECT_NEAR(reduction->choices[0].front().mbit_s_per_mb, 8 / 0.7, 1e-9);
}

// What the paper's model admits and this one does not: a processor that is fast enough on average but not within the limit.
TEST(Extended, RefusesWhatIsTooSlowAlthoughThePapersModelDeploysIt) {
  const Instance instance = one_task(4, 11);
  EXPECT_EQ(run_policy("balanced", instance, {})->schedule.deployed(), 1u);
  EXPECT_EQ(solve(instance, {.cloud_gflop_s = 100}).admitted(), 0u);
  // A wide link takes the raw data instead: admission without the edge.
  const ExtendedSchedule wide = solve(one_task(12, 11), {.cloud_gflop_s = 100});
  EXPECT_EQ(wide.admitted(), 1u);
  EXPECT_EQ(wide.deployed(), 0u);
}

TEST(Extended, AllOnTheEdgeIsTheWayWithoutACloudInTime) {
  Instance instance = one_task(100, 100, 0.01);
  const auto reduction = reduce_extended(instance, {.cloud_gflop_s = 1});
  ASSERT_TRUE(reduction);
  for (const Grant& grant : reduction->choices[0]) EXPECT_EQ(grant.layers, 2u);
  EXPECT_FALSE(reduce_extended(instance, {.cloud_gflop_s = 0}));
}

TEST(Extended, EveryPolicysAnswerPassesTheChecker) {
  for (const std::string kind : {"c2", "single-home"}) {
    const auto both = generate_instance({.kind = kind, .servers = 10, .tasks = 160, .seed = 3});
    ASSERT_TRUE(both);
    const Instance instance = slice_tasks(*both, 0, 80);
    const Instance past = slice_tasks(*both, 80, 80);
    const ExtendedOptions options;
    const auto reduction = reduce_extended(instance, options);
    const auto history = reduce_extended(past, options);
    ASSERT_TRUE(reduction && history);
    for (const OnlinePolicyEntry& entry : online_policies()) {
      const auto run = run_online(entry.name, {.instance = reduction->instance, .history = &history->instance},
                                  all_arrive(reduction->instance));
      ASSERT_TRUE(run) << entry.name;
      const ExtendedSchedule schedule = reduction->expand(instance, run->schedule, options);
      const auto report = check_extended(instance, schedule);
      ASSERT_TRUE(report) << kind << " " << entry.name << ": " << report.error().message;
      EXPECT_EQ(report->admitted, run->schedule.deployed());
    }
  }
}

TEST(Extended, TheCheckerRefusesWhatIsBroken) {
  const auto instance = generate_instance({.servers = 10, .tasks = 60, .seed = 5});
  ASSERT_TRUE(instance);
  const ExtendedSchedule good = solve(*instance, {});
  ASSERT_TRUE(check_extended(*instance, good));
  ASSERT_GT(good.deployed(), 0u);
  std::size_t at = 0;
  while (!good.grants[at].admitted || good.grants[at].layers == 0) ++at;
  const auto refused = [&](auto&& change) {
    ExtendedSchedule bad = good;
    change(bad);
    return !check_extended(*instance, bad);
  };
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].gflop_s_per_mb *= 0.9; }));  // too slow
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].mbit_s_per_mb *= 0.9; }));
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].mbit_s_per_mb *= 1e6; }));  // more than there is
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].gflop_s_per_mb *= 1e6; }));
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].layers = 99; }));
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants[at].layers -= 1; }));  // other work, other output
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.grants.pop_back(); }));
  EXPECT_TRUE(refused([&](ExtendedSchedule& s) { s.cloud_gflop_s /= 100; }));  // a slower cloud than planned for
}

// The closed form of the best share against a fine search, and the bound against schedules.
TEST(Extended, TheBoundHoldsForEverySchedule) {
  for (const std::string kind : {"c2", "single-home"}) {
    const auto instance = generate_instance({.kind = kind, .servers = 10, .tasks = 120, .seed = 4});
    ASSERT_TRUE(instance);
    const ExtendedSchedule best = solve(*instance, {}, "price");
    const auto certificate = certify_extended(*instance, best);
    ASSERT_TRUE(certificate) << certificate.error().message;
    EXPECT_EQ(certificate->report.admitted, best.admitted());
    EXPECT_LE(best.admitted(), certificate->bound.upper_bound);
    EXPECT_GE(best.admitted(), 0.9 * certificate->bound.upper_bound) << kind;
    // The bound over all shares is above that over eighths, which the multipliers are the best for, and near it.
    const auto reduction = reduce_extended(*instance, {});
    const double eighths = bound_of(reduction->instance, best.multipliers).upper_bound;
    EXPECT_GE(certificate->bound.upper_bound, eighths * (1 - 1e-9));
    EXPECT_LE(certificate->bound.upper_bound, eighths * 1.05);
    // At any prices.
    Random random(7);
    for (int trial = 0; trial < 50; ++trial) {
      Multipliers multipliers;
      for (std::size_t i = 0; i < instance->servers.size(); ++i) {
        multipliers.bandwidth.push_back(random.uniform(0, 8));
        multipliers.compute.push_back(random.unit() < 0.2 ? 0 : random.uniform(0, 8));
      }
      EXPECT_GE(bound_extended(*instance, multipliers, best.cloud_gflop_s), best.admitted());
      EXPECT_GE(bound_extended(*instance, multipliers, best.cloud_gflop_s) * (1 + 1e-9),
                bound_of(reduction->instance, multipliers).upper_bound);
    }
  }
}

TEST(Extended, TheBoundIsThatOfAFineSearchOverShares) {
  Random random(5);
  for (int trial = 0; trial < 200; ++trial) {
    // One task, one server: the bound is the sum of the prices plus what the task gains at its best k and share.
    const Instance instance = one_task(random.uniform(1, 100), random.uniform(5, 200), random.uniform(0.2, 4));
    const Multipliers prices{{random.uniform(0, 1)}, {random.unit() < 0.1 ? 0 : random.uniform(0, 1)}};
    const double cloud = random.uniform(20, 1000);
    double least = 1;
    const auto& layers = instance.models[0].layers;
    for (std::uint32_t k = 0; k <= layers.size(); ++k) {
      const double left = instance.tasks[0].latency_s - cloud_time_s(instance, instance.tasks[0], k, cloud);
      if (left <= 0) continue;
      const double work = k == 0 ? 0 : prices.compute[0] * layers[k - 1].gflop_per_mb / instance.servers[0].capacity_gflop_s;
      const double output = prices.bandwidth[0] * 8 * (k == 0 ? 1 : layers[k - 1].ratio) / instance.servers[0].bandwidth_mbit_s;
      for (int part = 1; part < 4000; ++part) {
        const double share = part / 4000.0;
        least = std::min(least, work * std::max(1.0, 1 / (share * left)) + output * std::max(1.0, 1 / ((1 - share) * left)));
      }
    }
    const double expected = prices.bandwidth[0] + prices.compute[0] + std::max(0.0, 1 - least);
    const double bound = bound_extended(instance, prices, cloud);
    EXPECT_GE(bound, expected - 1e-12) << trial;
    EXPECT_LE(bound, expected + 1e-3) << trial;
  }
}

TEST(Extended, TheCertificateRefusesABrokenProof) {
  const auto instance = generate_instance({.servers = 10, .tasks = 60, .seed = 5});
  const ExtendedSchedule good = solve(*instance, {}, "price");
  ASSERT_TRUE(certify_extended(*instance, good));
  const auto refused = [&](auto&& change) {
    ExtendedSchedule bad = good;
    change(bad);
    return !certify_extended(*instance, bad);
  };
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.upper_bound -= 0.1; }));
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.multipliers.bandwidth[2] += 0.1; }));
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.multipliers.compute[2] = -1; }));
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.multipliers.compute.pop_back(); }));
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.multipliers = {}; }));
  EXPECT_TRUE(refused([](ExtendedSchedule& s) { s.cloud_gflop_s *= 2; }));
}

TEST(Extended, ResultsReadBack) {
  const auto instance = generate_instance({.servers = 10, .tasks = 60, .seed = 5});
  const ExtendedSchedule schedule = solve(*instance, {});
  const std::string text = write_extended(schedule);
  EXPECT_TRUE(is_extended_result(text));
  EXPECT_FALSE(is_extended_result(R"({"policy": "x", "tasks": []})"));
  const auto read = parse_extended(text, "r.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->grants, schedule.grants);
  EXPECT_TRUE(read->multipliers.bandwidth.empty());
  const ExtendedSchedule priced = solve(*instance, {}, "price");
  const auto proof = parse_extended(write_extended(priced), "r.json");
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->multipliers.compute, priced.multipliers.compute);
  EXPECT_EQ(proof->upper_bound, priced.upper_bound);
  std::string lie = text;
  lie.replace(lie.find("\"admitted\": "), 13, "\"admitted\": 9");
  EXPECT_FALSE(parse_extended(lie, "r.json"));
}

}  // namespace
}  // namespace tideline::schedule
