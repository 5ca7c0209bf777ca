// Goal: what the queueing model admits is in time when its requests queue, it admits nearly all that can be, and its proof holds.
// Method: hand-worked tasks, the checker on every policy, the simulator on held-out seeds, a search over schedules that the
// simulator judges, mutations.
#include "schedule/queueing/queueing.h"

#include <cmath>

#include <gtest/gtest.h>

#include "schedule/generator.h"
#include "schedule/online/run.h"
#include "schedule/policy.h"
#include "schedule/random.h"
#include "sim/edge_queues.h"

namespace tideline::schedule {
namespace {

QueueingSchedule solve_queueing(const Instance& instance, const QueueingOptions& options, std::string_view policy = "price") {
  const auto reduction = reduce_queueing(instance, options);
  EXPECT_TRUE(reduction);
  EXPECT_TRUE(validate(reduction->instance, "reduced"));
  const auto answer = run_policy(policy, reduction->instance, {.search_steps = 500, .threads = 1});
  EXPECT_TRUE(answer) << answer.error().message;
  return reduction->expand(instance, answer->schedule, options);
}

sim::SimulatedLatencies simulate_queueing(const Instance& instance, const QueueingSchedule& schedule, std::uint64_t seed,
                                          std::uint32_t requests) {
  sim::SimulateOptions options{
      .seed = seed,
      .arrivals = schedule.options.arrivals == RequestArrivals::kPeriodic ? sim::Arrivals::kPeriodic : sim::Arrivals::kPoisson,
      .link = sim::Share::kReserved,
      .compute = sim::Share::kReserved,
      .requests = requests};
  std::vector<std::uint32_t> layers;
  for (std::size_t j = 0; j < instance.tasks.size(); ++j) {
    const Grant& grant = schedule.grants[j];
    layers.push_back(!grant.admitted ? 0 : grant.layers == 0 ? sim::kAllInCloud : grant.layers);
    options.reservations.push_back(
        {.bandwidth_mbit_s = grant.mbit_s_per_mb,
         .compute_gflop_s = grant.gflop_s_per_mb,
         .cloud_s = cloud_service_s(instance, instance.tasks[j], grant.layers, schedule.options.cloud_gflop_s),
         .cloud_queues = true});
  }
  auto seen = sim::simulate_edge(instance, layers, options);
  EXPECT_TRUE(seen);
  return *seen;
}

// Two requests a second of half a megabyte each: l = 10 GFLOP/MB, r = 0.1, 20 GFLOP/MB left to a cloud of 100.
Instance one_stream(double limit) {
  return {.bandwidth_share = 1,
          .servers = {{.bandwidth_mbit_s = 1000, .capacity_gflop_s = 1000}},
          .models = {{.name = "m", .layers = {{.ratio = 0.1, .gflop_per_mb = 10}, {.ratio = 0, .gflop_per_mb = 30}}}},
          .tasks = {{.model = 0, .latency_s = limit, .rate_hz = 2, .first_touch = 0, .touch_count = 1}},
          .touches = {{.server = 0, .data_mb_s = 1}}};
}

TEST(Queueing, TheTimesOfARequestAreThoseOfTheFormula) {
  const Instance instance = one_stream(1);
  // 25 GFLOP/s for 5 GFLOP, 4 Mbit/s for 0.4 Mbit, 10 GFLOP at 100 GFLOP/s.
  const Grant grant{.admitted = true, .layers = 1, .mbit_s_per_mb = 4, .gflop_s_per_mb = 25};
  const RequestTimes times = times_of(instance, instance.tasks[0], grant, 100, WaitTable::periodic());
  EXPECT_NEAR(times.compute_s, 0.2, 1e-12);
  EXPECT_NEAR(times.transfer_s, 0.1, 1e-12);
  EXPECT_NEAR(times.cloud_s, 0.1, 1e-12);
  EXPECT_NEAR(times.load, 0.4, 1e-12);
  EXPECT_EQ(times.wait_s, 0);
  // P(W > x) of M/D/1 at load 0.4 falls below 0.6 % near three service times.
  const RequestTimes waits = times_of(instance, instance.tasks[0], grant, 100, WaitTable::poisson(0.006));
  EXPECT_NEAR(md1_wait_below(0.4, waits.wait_s / 0.2), 0.994, 1e-4);
}

TEST(Queueing, AFixedPartAndRawDataThatStayCount) {
  Instance instance = one_stream(0.5);
  const QueueingOptions options{.arrivals = RequestArrivals::kPeriodic, .cloud_gflop_s = 100};
  auto reduction = reduce_queueing(instance, options);
  ASSERT_TRUE(reduction);
  EXPECT_EQ(reduction->choices[0].front().layers, 0u);
  instance.tasks[0].raw_stays = true;
  reduction = reduce_queueing(instance, options);
  for (const Grant& grant : reduction->choices[0]) EXPECT_GT(grant.layers, 0u);
  instance.tasks[0].fixed_s = 0.2;
  for (const auto& ways : {reduction->choices[0], reduce_queueing(instance, options)->choices[0]}) ASSERT_FALSE(ways.empty());
  EXPECT_GT(reduce_queueing(instance, options)->choices[0].front().gflop_s_per_mb, reduction->choices[0].front().gflop_s_per_mb);
  instance.tasks[0].fixed_s = 0.5;
  EXPECT_TRUE(reduce_queueing(instance, options)->tasks.empty());
}

TEST(Queueing, EveryPolicysAnswerPassesTheChecker) {
  for (const std::string kind : {"c2", "single-home"}) {
    const auto both = generate_instance({.kind = kind, .servers = 10, .tasks = 160, .seed = 3});
    ASSERT_TRUE(both);
    const Instance instance = slice_tasks(*both, 0, 80);
    const QueueingOptions options;
    const auto reduction = reduce_queueing(instance, options);
    const auto history = reduce_queueing(slice_tasks(*both, 80, 80), options);
    ASSERT_TRUE(reduction && history);
    for (const OnlinePolicyEntry& entry : online_policies()) {
      const auto run = run_online(entry.name, {.instance = reduction->instance, .history = &history->instance},
                                  all_arrive(reduction->instance));
      ASSERT_TRUE(run) << entry.name;
      const QueueingSchedule schedule = reduction->expand(instance, run->schedule, options);
      const auto report = check_queueing(instance, schedule);
      ASSERT_TRUE(report) << kind << " " << entry.name << ": " << report.error().message;
      EXPECT_EQ(report->admitted, run->schedule.deployed());
    }
  }
}

// The promise: of the requests of admitted tasks at most one in a hundred is late, on seeds that nothing was set on; with
// periodic arrivals none.
TEST(Queueing, TheSimulatorFindsAtMostOneInAHundredLate) {
  for (const std::string kind : {"c2", "single-home", "real", "literal"})
    for (const std::uint64_t seed : {401, 402, 403}) {
      auto instance = generate_instance({.kind = kind, .servers = 12, .tasks = 200, .seed = seed, .servers_per_task = 6});
      ASSERT_TRUE(instance);
      Random random(seed);
      for (Task& task : instance->tasks) task.rate_hz = random.uniform(0.5, 6);
      for (const RequestArrivals arrivals : {RequestArrivals::kPoisson, RequestArrivals::kPeriodic}) {
        const QueueingSchedule schedule = solve_queueing(*instance, {.arrivals = arrivals});
        ASSERT_GT(schedule.admitted(), 0u) << kind;
        const auto seen = simulate_queueing(*instance, schedule, seed, 400);
        EXPECT_LE(seen.over_limit_share, arrivals == RequestArrivals::kPeriodic ? 0 : 0.01) << kind << " " << seed;
      }
    }
}

// Not bought by emptiness: on one server, the most tasks of each model that any slices serve so that the simulator finds at most
// one in a hundred late. The search knows nothing of waits: for each cut and length of computing it asks the simulator for the
// smallest slices.
TEST(Queueing, AdmitsNearlyAllThatTheSimulatorLetsPass) {
  for (const std::uint64_t seed : {501, 502, 503}) {
    Random random(seed);
    Instance instance = one_stream(random.uniform(0.15, 0.5));
    instance.servers[0] = {.bandwidth_mbit_s = random.uniform(150, 400), .capacity_gflop_s = random.uniform(800, 3000)};
    Task task = instance.tasks[0];
    task.rate_hz = random.uniform(1, 4);
    instance.touches[0].data_mb_s = 0.4;
    const QueueingOptions options{.cloud_gflop_s = 500};
    Instance alone = instance;
    alone.tasks = {task};
    const auto late = [&](const Grant& grant) {
      return simulate_queueing(alone, {.policy = "x", .options = options, .grants = {grant}}, seed, 20'000).over_limit_share;
    };
    // Identical tasks: the most that fit is that of one mix of two ways, bounded here by the best single resource trade.
    std::vector<Grant> ways;
    for (std::uint32_t k = 0; k <= 2; ++k)
      for (int part = 1; part <= 24; ++part) {
        Grant grant{.admitted = true, .layers = k};
        const double work = k == 0 ? 0 : instance.models[0].layers[k - 1].gflop_per_mb;
        grant.gflop_s_per_mb = work / (task.rate_hz * task.latency_s * part / 25);
        double low = 0, high = 4000;
        for (int i = 0; i < 16; ++i) {
          grant.mbit_s_per_mb = (low + high) / 2;
          (late(grant) <= 0.01 ? high : low) = grant.mbit_s_per_mb;
        }
        grant.mbit_s_per_mb = high;
        if (high < 3999 && late(grant) <= 0.01) ways.push_back(grant);
      }
    ASSERT_FALSE(ways.empty());
    double most = 0;
    for (const Grant& a : ways)
      for (const Grant& b : ways) {
        const auto room = [&](const Grant& g, double used_link, double used_processor) {
          const double link = (instance.servers[0].bandwidth_mbit_s - used_link) / (0.4 * std::max(g.mbit_s_per_mb, 1e-9));
          const double processor =
              (instance.servers[0].capacity_gflop_s - used_processor) / (0.4 * std::max(g.gflop_s_per_mb, 1e-9));
          return std::floor(std::min(link, processor) + 1e-9);
        };
        for (double n = 0; n <= room(a, 0, 0) && n < 500; ++n)
          most = std::max(most, n + room(b, n * 0.4 * a.mbit_s_per_mb, n * 0.4 * a.gflop_s_per_mb));
      }
    Instance crowd = instance;
    crowd.tasks.assign(static_cast<std::size_t>(most) + 20, task);
    const QueueingSchedule schedule = solve_queueing(crowd, options);
    ASSERT_TRUE(check_queueing(crowd, schedule));
    EXPECT_GE(schedule.admitted(), 0.95 * most) << seed << ": " << schedule.admitted() << " of " << most;
    EXPECT_LE(simulate_queueing(crowd, schedule, seed, 2000).over_limit_share, 0.01);
    EXPECT_GT(most, 10);
  }
}

TEST(Queueing, TheBoundHoldsForEverySchedule) {
  for (const RequestArrivals arrivals : {RequestArrivals::kPoisson, RequestArrivals::kPeriodic})
    for (const std::string kind : {"c2", "single-home"}) {
      const auto instance = generate_instance({.kind = kind, .servers = 10, .tasks = 120, .seed = 4});
      ASSERT_TRUE(instance);
      const QueueingSchedule best = solve_queueing(*instance, {.arrivals = arrivals});
      const auto certificate = certify_queueing(*instance, best);
      ASSERT_TRUE(certificate) << certificate.error().message;
      EXPECT_LE(best.admitted(), certificate->bound.upper_bound);
      EXPECT_GE(best.admitted(), 0.9 * certificate->bound.upper_bound) << kind;
      const auto reduction = reduce_queueing(*instance, best.options);
      Random random(7);
      for (int trial = 0; trial < 20; ++trial) {
        Multipliers multipliers;
        for (std::size_t i = 0; i < instance->servers.size(); ++i) {
          multipliers.bandwidth.push_back(random.uniform(0, 8));
          multipliers.compute.push_back(random.unit() < 0.2 ? 0 : random.uniform(0, 8));
        }
        // The choices tried are some of all: their bound is the lower one.
        EXPECT_GE(bound_queueing(*instance, multipliers, best.options) * (1 + 1e-9),
                  bound_of(reduction->instance, multipliers).upper_bound);
      }
    }
}

// What the paper's own queue does to periodic batches of the extended model is what the queueing model says of it.
TEST(Queueing, AtOneRequestPerSecondPeriodicArrivalsAreTheExtendedModel) {
  const auto instance = generate_instance({.servers = 20, .tasks = 300, .seed = 6});
  ASSERT_TRUE(instance);
  const QueueingSchedule queueing = solve_queueing(*instance, {.arrivals = RequestArrivals::kPeriodic});
  const auto reduction = reduce_extended(*instance, {});
  const auto answer = run_policy("price", reduction->instance, {.search_steps = 500, .threads = 1});
  // Finer steps than eighths.
  EXPECT_GE(queueing.admitted() + 2, answer->schedule.deployed());
  EXPECT_LE(queueing.admitted(), answer->schedule.deployed() * 1.05);
}

TEST(Queueing, TheCheckerAndTheCertificateRefuseWhatIsBroken) {
  const auto instance = generate_instance({.servers = 10, .tasks = 60, .seed = 5});
  const QueueingSchedule good = solve_queueing(*instance, {});
  ASSERT_TRUE(certify_queueing(*instance, good));
  std::size_t at = 0;
  while (!good.grants[at].admitted || good.grants[at].layers == 0) ++at;
  const auto refused = [&](auto&& change) {
    QueueingSchedule bad = good;
    change(bad);
    return !certify_queueing(*instance, bad);
  };
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].gflop_s_per_mb *= 0.9; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].mbit_s_per_mb *= 0.9; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].mbit_s_per_mb *= 1e6; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].gflop_s_per_mb *= 1e6; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].gflop_s_per_mb = 0; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants[at].layers = 99; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.grants.pop_back(); }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.options.cloud_gflop_s /= 100; }));
  EXPECT_TRUE(refused([&](QueueingSchedule& s) { s.options.late_share /= 10; }));
  EXPECT_TRUE(refused([](QueueingSchedule& s) { s.upper_bound -= 0.1; }));
  EXPECT_TRUE(refused([](QueueingSchedule& s) { s.multipliers.bandwidth[2] += 0.1; }));
  EXPECT_TRUE(refused([](QueueingSchedule& s) { s.multipliers.compute[2] = -1; }));
  EXPECT_TRUE(refused([](QueueingSchedule& s) { s.multipliers = {}; }));
}

TEST(Queueing, ResultsReadBack) {
  const auto instance = generate_instance({.servers = 10, .tasks = 60, .seed = 5});
  const QueueingSchedule schedule = solve_queueing(*instance, {.arrivals = RequestArrivals::kPeriodic, .late_share = 0.02});
  const std::string text = write_queueing(schedule);
  EXPECT_TRUE(is_queueing_result(text));
  EXPECT_FALSE(is_queueing_result(R"({"policy": "x", "model": "extended", "tasks": []})"));
  const auto read = parse_queueing(text, "r.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->grants, schedule.grants);
  EXPECT_EQ(read->options.arrivals, RequestArrivals::kPeriodic);
  EXPECT_EQ(read->options.late_share, 0.02);
  EXPECT_EQ(read->upper_bound, schedule.upper_bound);
  std::string lie = text;
  lie.replace(lie.find("\"admitted\": "), 13, "\"admitted\": 9");
  EXPECT_FALSE(parse_queueing(lie, "r.json"));
}

}  // namespace
}  // namespace tideline::schedule
