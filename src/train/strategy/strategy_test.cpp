// Goal: every strategy is the formula of its paper. Method: rules run by hand on least squares, whose gradients are written down
// again in the test, against the same steps as plain loops.
#include "train/strategy/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "train/exchange/aggregate.h"
#include "train/exchange/test_group.h"
#include "train/strategy/draw.h"
#include "train/strategy/optimiser.h"
#include "train/strategy/test_learner.h"

namespace tideline::train {
namespace {

constexpr std::size_t kFeatures = 5;
constexpr std::size_t kModel = kFeatures + 1;  // and the buffer

Job job_of(std::string_view strategy, std::size_t workers, std::string_view optimiser = "{name: sgd, rate: 0.1}",
           std::string_view more = "") {
  auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {}\noptimiser: {}\n"
                                   "rounds: 50\nseed: 3\n{}",
                                   workers, strategy, optimiser, more),
                       "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

// Rules of a job with central rounds, and what moves between them.
struct Bench {
  Job job;
  std::vector<std::unique_ptr<TestLearner>> learners;
  std::vector<std::unique_ptr<WorkerRule>> workers;
  std::unique_ptr<ServerRule> server;
  std::vector<float> model = std::vector<float>(kModel, 0.0F);

  Bench(Job the_job, const std::vector<LeastSquares>& parts) : job(std::move(the_job)) {
    for (std::uint32_t k = 0; k < parts.size(); ++k) {
      learners.push_back(std::make_unique<TestLearner>(parts[k], kFeatures));
      workers.push_back(make_worker_rule(job, k, *learners.back()));
    }
    server = find_strategy(job.strategy.name)->server(job, {kFeatures, 1});
  }
  void round(std::uint64_t number) {
    std::vector<Contribution> all;
    for (std::uint32_t k = 0; k < workers.size(); ++k) {
      auto done = workers[k]->work(*learners[k], {number, model}, nullptr);
      ASSERT_TRUE(done) << done.error().message;
      all.push_back({k, server->counts_samples() ? static_cast<double>(done->samples) : 1, std::move(done->update)});
    }
    server->apply(number, *aggregate(job.aggregation, all), all.size(), model);
  }
};

std::vector<LeastSquares> parts_of(const LeastSquares& data, const std::vector<std::size_t>& sizes) {
  std::vector<LeastSquares> parts;
  std::size_t at = 0;
  for (const std::size_t size : sizes) parts.push_back(data.part(at, at + size)), at += size;
  return parts;
}

void expect_near(std::span<const float> a, std::span<const float> b, double relative) {
  ASSERT_GE(a.size(), b.size());
  for (std::size_t i = 0; i < b.size(); ++i) EXPECT_NEAR(a[i], b[i], relative * std::abs(b[i]) + 1e-7) << i;
}

TEST(Strategies, TheFormsAndTheRulesHaveTheSameNames) {
  std::set<std::string_view> forms, rules;
  for (const StrategyForm& form : strategy_forms()) forms.insert(form.name);
  for (const Strategy& strategy : strategies()) rules.insert(strategy.name);
  EXPECT_EQ(forms, rules);
  for (const StrategyForm& form : strategy_forms()) {
    const Strategy& strategy = *find_strategy(form.name);
    const bool is_central = form.exchanges.front() == Exchange::kParameterServer;
    EXPECT_EQ(strategy.server != nullptr, is_central && form.has_rounds) << form.name;
    EXPECT_EQ(strategy.async_server != nullptr, !form.has_rounds) << form.name;
  }
}

TEST(Batches, EachTimeThroughTheDataTakesEverySampleOnce) {
  BatchOrder order(10, 4, 1, 2), again(10, 4, 1, 2), other(10, 4, 1, 3);
  EXPECT_EQ(order.steps_per_epoch(), 3U);
  std::vector<std::uint32_t> first;
  for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
    std::multiset<std::uint32_t> seen;
    std::vector<std::uint32_t> sequence;
    for (std::uint64_t step = 0; step < 3; ++step)
      for (const std::uint32_t row : order.batch(epoch * 3 + step)) seen.insert(row), sequence.push_back(row);
    EXPECT_EQ(seen.size(), 10U);
    EXPECT_EQ(std::set<std::uint32_t>(seen.begin(), seen.end()).size(), 10U);
    if (epoch == 0)
      first = sequence;
    else
      EXPECT_NE(sequence, first);
  }
  const auto at = [](BatchOrder& from, std::uint64_t step) {
    const auto batch = from.batch(step);
    return std::vector<std::uint32_t>(batch.begin(), batch.end());
  };
  // Any step without those before it, and another one for another worker.
  EXPECT_EQ(at(again, 7), at(order, 7));
  EXPECT_NE(at(other, 7), at(order, 7));
  BatchOrder all(5, 0, 1, 2);
  EXPECT_THAT(at(all, 9), testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(Optimiser, StepsByHand) {
  const auto after_two = [](const OptimiserSettings& settings) {
    Optimiser optimiser(settings, 1);
    std::vector<float> w{1};
    optimiser.step(w, std::vector<float>{2}, 0.5);
    optimiser.step(w, std::vector<float>{-1}, 0.5);
    return w[0];
  };
  EXPECT_FLOAT_EQ(after_two({}), 1 - 0.5F * 2 + 0.5F * 1);
  EXPECT_FLOAT_EQ(after_two({.momentum = 0.5}), 1 - 0.5F * 2 - 0.5F * (0.5F * 2 - 1));
  // v1 = 2, w -= .5 (2 + .5 * 2); v2 = .5 * 2 - 1 = 0, w -= .5 (-1 + 0).
  EXPECT_FLOAT_EQ(after_two({.momentum = 0.5, .nesterov = true}), 1 - 0.5F * 3 + 0.5F);
  // Decay 0.1: g = 2.1, w = -.05; g = -1.005, w = .4525.
  EXPECT_FLOAT_EQ(after_two({.weight_decay = 0.1}), 0.4525F);
  // Adam's first step is the rate; the second: m = .1 * (.9 * 2 - 1) / .19, s = (.001 * (.999 * 4 + 1)) / .001999.
  const double m = (0.9 * 0.2 - 0.1) / 0.19, s = (0.999 * 0.004 + 0.001) / (1 - 0.999 * 0.999);
  EXPECT_NEAR(after_two({.name = OptimiserSettings::Name::kAdam}), 1 - 0.5 - 0.5 * m / std::sqrt(s), 1e-4);
}

TEST(Optimiser, Schedules) {
  using Schedule = OptimiserSettings::Schedule;
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2}, 7, 10), 2);
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2, .schedule = Schedule::kCosine}, 0, 10), 2);
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2, .schedule = Schedule::kCosine}, 5, 10), 1);
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2, .schedule = Schedule::kStep, .step_rounds = 3, .step_factor = 0.5}, 7, 10), 0.5);
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2, .warmup_rounds = 4}, 0, 10), 0.5);
  EXPECT_DOUBLE_EQ(rate_at({.rate = 2, .warmup_rounds = 4}, 4, 10), 2);
}

// System: 4 workers with batches of 25, momentum. Expectation: one worker with the same 100 samples at a time takes the same
// steps, but for the order of sums.
TEST(SyncSgd, FourWorkersOf25AreOneOf100) {
  const LeastSquares data = LeastSquares::make(400, kFeatures, 1);
  Bench bench(job_of("{name: sync-sgd, batch: 25}", 4, "{name: sgd, rate: 0.05, momentum: 0.9}"),
              parts_of(data, {100, 100, 100, 100}));
  std::vector<BatchOrder> orders;
  for (std::uint64_t k = 0; k < 4; ++k) orders.emplace_back(100, 25, 3, k);
  std::vector<float> w(kFeatures, 0.0F);
  Optimiser optimiser(bench.job.optimiser, kFeatures);
  for (std::uint64_t step = 0; step < 50; ++step) {
    bench.round(step);
    std::vector<std::uint32_t> rows;
    for (std::uint32_t k = 0; k < 4; ++k)
      for (const std::uint32_t row : orders[k].batch(step)) rows.push_back(row + 100 * k);
    optimiser.step(w, data.gradient(w, rows), 0.05);
  }
  expect_near(bench.model, w, 1e-5);
  EXPECT_GT(std::abs(w[4]), 1);  // it went somewhere
}

// One epoch, the full batch, all clients of unequal sizes: a step of gradient descent over all data.
TEST(FedAvg, OneFullBatchOfAllIsAGradientStep) {
  const LeastSquares data = LeastSquares::make(90, kFeatures, 2);
  Bench bench(job_of("{name: fedavg, batch: all}", 3), parts_of(data, {10, 30, 50}));
  std::vector<float> w(kFeatures, 0.0F);
  std::vector<std::uint32_t> rows(90);
  std::iota(rows.begin(), rows.end(), 0U);
  for (std::uint64_t round = 0; round < 5; ++round) {
    bench.round(round);
    const std::vector<float> gradient = data.gradient(w, rows);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= 0.1F * gradient[i];
    expect_near(bench.model, w, 1e-5);
  }
}

TEST(FedAvg, ADrawnPartTakesPartAndItIsDrawnAgain) {
  const Job job = job_of("{name: fedavg, fraction: 0.3}", 10);
  std::vector<std::uint32_t> all(10);
  std::iota(all.begin(), all.end(), 0U);
  std::set<std::uint32_t> ever;
  for (std::uint64_t round = 0; round < 40; ++round) {
    const auto drawn = sample_workers(job, round, all);
    EXPECT_EQ(drawn.size(), 3U);
    EXPECT_EQ(drawn, sample_workers(job, round, all));
    ever.insert(drawn.begin(), drawn.end());
  }
  EXPECT_EQ(ever.size(), 10U);
  EXPECT_THAT(sample_workers(job, 0, {4, 7}), testing::ElementsAre(4, 7));
}

// Two full-batch steps of one client: the second has mu times the first step added to its gradient.
TEST(FedProx, ThePullIsMuTimesTheWay) {
  const LeastSquares data = LeastSquares::make(20, kFeatures, 3);
  Bench bench(job_of("{name: fedprox, batch: all, local_epochs: 2, mu: 0.5}", 1), {data});
  std::vector<std::uint32_t> rows(20);
  std::iota(rows.begin(), rows.end(), 0U);
  std::vector<float> w(kFeatures, 0.0F);
  const auto first = data.gradient(w, rows);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= 0.1F * first[i];
  const auto second = data.gradient(w, rows);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= 0.1F * (second[i] + 0.5F * w[i]);
  bench.round(0);
  expect_near(bench.model, w, 1e-5);
}

TEST(LocalSgd, DilocoWithAPlainOuterStepIsLocalSgd) {
  const auto parts = parts_of(LeastSquares::make(60, kFeatures, 4), {20, 40});
  const std::string_view optimiser = "{name: adam, rate: 0.05}";
  Bench local(job_of("{name: local-sgd, local_steps: 4, batch: 5}", 2, optimiser), parts);
  Bench plain(job_of("{name: diloco, local_steps: 4, batch: 5, outer_rate: 1, outer_momentum: 0}", 2, optimiser), parts);
  Bench outer(job_of("{name: diloco, local_steps: 4, batch: 5}", 2, optimiser), parts);
  for (std::uint64_t round = 0; round < 6; ++round) local.round(round), plain.round(round), outer.round(round);
  EXPECT_EQ(local.model, plain.model);
  EXPECT_NE(local.model, outer.model);
}

// By hand: changes 1 and 3 with rate .5 and momentum .5. v = -1, w = .5 (.5 + 1) = .75; v = -.5 - 3 = -3.5, w += .5 (1.75 + 3).
TEST(LocalSgd, TheOuterStepIsNesterovs) {
  const Job job = job_of("{name: diloco, outer_rate: 0.5, outer_momentum: 0.5}", 2);
  const auto server = find_strategy("diloco")->server(job, {1, 0});
  std::vector<float> model{0};
  server->apply(0, std::vector<float>{1}, 2, model);
  EXPECT_FLOAT_EQ(model[0], 0.75F);
  server->apply(1, std::vector<float>{3}, 2, model);
  EXPECT_FLOAT_EQ(model[0], 0.75F + 2.375F);
}

TEST(Elastic, WithoutStepsTheForcesCancelAndAllMeet) {
  const auto parts = parts_of(LeastSquares::make(40, kFeatures, 5), {10, 10, 10, 10});
  // One round with steps drives the workers apart; from then on the rate is 0.
  Bench bench(job_of("{name: easgd, local_steps: 3, batch: 5}", 4,
                     "{name: sgd, rate: 0.1, schedule: step, step_rounds: 1, step_factor: 0}"),
              parts);
  bench.round(0);
  const auto total = [&](std::size_t i) {
    double sum = static_cast<double>(bench.model[i]);
    for (std::size_t k = 0; k < 4; ++k) sum += static_cast<double>(bench.workers[k]->model(*bench.learners[k])[i]);
    return sum;
  };
  std::vector<double> before;
  for (std::size_t i = 0; i < kFeatures; ++i) before.push_back(total(i));
  for (std::uint64_t round = 1; round < 50; ++round) bench.round(round);
  for (std::size_t i = 0; i < kFeatures; ++i) {
    EXPECT_NEAR(total(i), before[i], 1e-4);
    EXPECT_NEAR(bench.model[i], before[i] / 5, 1e-3);
  }
}

TEST(Elastic, WithoutForceTheCentreStays) {
  Bench bench(job_of("{name: easgd, local_steps: 3, batch: 5, beta: 0}", 2),
              parts_of(LeastSquares::make(20, kFeatures, 6), {10, 10}));
  for (std::uint64_t round = 0; round < 3; ++round) bench.round(round);
  EXPECT_EQ(bench.model, std::vector<float>(kModel, 0.0F));
  EXPECT_NE(bench.workers[0]->model(*bench.learners[0]), bench.workers[1]->model(*bench.learners[1]));
}

TEST(AsyncSgd, TheCorrectionIsLambdaTimesGradientSquaredTimesTheWay) {
  const std::vector<float> gradient{2, 0.5F}, seen{1, 1};
  const auto after = [&](std::string_view strategy) {
    const Job job = job_of(strategy, 2);
    const auto server = find_strategy(job.strategy.name)->async_server(job, {2, 0});
    std::vector<float> model{3, 1};
    server->apply(0, gradient, seen, model);
    return model;
  };
  // 2 + .5 * 4 * (3 - 1) = 6; the second number has not moved since.
  EXPECT_THAT(after("{name: dc-asgd, lambda: 0.5}"),
              testing::ElementsAre(testing::FloatEq(3 - 0.6F), testing::FloatEq(1 - 0.05F)));
  EXPECT_EQ(after("{name: dc-asgd, lambda: 0}"), after("{name: async-sgd}"));
}

// No learning: what all have together stays, and all come to its mean.
TEST(Gossip, SumsStayAndEverybodyComesToTheMean) {
  constexpr std::size_t kMembers = 6;
  const Job job = job_of("{name: gossip}", kMembers, "{name: sgd, rate: 0}");
  std::vector<std::unique_ptr<TestLearner>> learners;
  std::vector<std::unique_ptr<WorkerRule>> rules;
  for (std::uint32_t k = 0; k < kMembers; ++k) {
    learners.push_back(std::make_unique<TestLearner>(LeastSquares::make(3, kFeatures, k), kFeatures));
    for (std::size_t i = 0; i < kFeatures; ++i) learners[k]->parameters()[i] = static_cast<float>(k * (i + 1));
    rules.push_back(make_worker_rule(job, k, *learners[k]));
  }
  // Numerators and weights, out of what a checkpoint holds.
  const auto sums = [&] {
    double weights = 0, numbers = 0;
    for (std::size_t k = 0; k < kMembers; ++k) {
      StateWriter to;
      rules[k]->save(*learners[k], to);
      const auto bytes = to.take();
      StateReader from(bytes);
      const auto model = from.floats(), weight = from.floats();
      weights += static_cast<double>((*weight)[0]);
      numbers += static_cast<double>((*weight)[0]) * static_cast<double>((*model)[2]);
    }
    return std::pair(weights, numbers);
  };
  const auto before = sums();
  EXPECT_DOUBLE_EQ(before.first, kMembers);
  for (std::uint64_t round = 0; round < 60; ++round) {
    Post post(kMembers);
    std::vector<std::thread> members;
    for (std::size_t k = 0; k < kMembers; ++k)
      members.emplace_back([&, k] {
        PostGroup group(post, k, kMembers);
        EXPECT_TRUE(rules[k]->work(*learners[k], {round, {}}, &group));
      });
    for (std::thread& member : members) member.join();
    for (std::size_t k = 0; k < kMembers; ++k) rules[k]->commit(*learners[k]);
    EXPECT_NEAR(sums().first, before.first, 1e-5);
    EXPECT_NEAR(sums().second, before.second, 1e-3);
  }
  for (std::size_t k = 0; k < kMembers; ++k) EXPECT_NEAR(learners[k]->parameters()[2], before.second / kMembers, 1e-3) << k;
}

}  // namespace
}  // namespace tideline::train
