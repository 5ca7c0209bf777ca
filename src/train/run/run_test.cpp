// Goal: whole runs of every strategy do what their rules say, count their bytes, and go on from a checkpoint as if they had not
// stopped. Method: real coordinators and workers over the loopback transport, on least squares.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "platform/temp_folder.h"
#include "train/run/test_run.h"
#include "train/strategy/batches.h"
#include "train/strategy/optimiser.h"

namespace tideline::train {
namespace {

struct Named {
  const char* strategy;
  std::size_t workers;
  const char* more;
  bool repeats = true;  // the same bits again
};
const Named kRuns[] = {
    {"{name: single, batch: 10}", 1, ""},
    {"{name: sync-sgd, batch: 10}", 3, ""},
    {"{name: sync-sgd, batch: 10}", 3, "compression: fp16\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: one-bit\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: terngrad\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: qsgd, levels: 4}\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: dgc, sparsity: 0.6, momentum: 0}\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: wangni, density: 0.5}\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: strom, threshold: 1}\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: top-k, sparsity: 0.6}\n"},
    {"{name: sync-sgd, batch: 10}", 3, "compression: {name: esgd, drop: 0.2}\n"},
    {"{name: fedavg, batch: 10}", 3, "compression: {name: random-mask, fraction: 0.4}\n"},
    {"{name: fedavg, batch: 10}", 3, "compression: {name: sketch, fraction: 0.8, bits: 8}\n"},
    {"{name: sync-sgd, batch: 10}", 5, "exchange: ring\n"},
    {"{name: sync-sgd, batch: 10}", 5, "exchange: tree\n"},
    {"{name: fedsgd, fraction: 0.5}", 4, ""},
    {"{name: fedavg, fraction: 0.5, batch: 10}", 4, ""},
    {"{name: fedprox, batch: 10}", 3, ""},
    {"{name: local-sgd, batch: 10, local_steps: 4}", 3, ""},
    {"{name: diloco, batch: 10, local_steps: 4}", 3, ""},
    {"{name: easgd, batch: 10, local_steps: 4}", 3, ""},
    {"{name: eamsgd, batch: 10, local_steps: 4}", 3, ""},
    {"{name: gossip, batch: 10, local_steps: 2}", 4, ""},
    {"{name: backup-workers, batch: 10}", 4, "", false},
    {"{name: async-sgd, batch: 10}", 3, "", false},
    {"{name: dc-asgd, batch: 10}", 3, "", false},
};

std::string name_of(const Named& named) { return std::string(named.strategy) + " " + named.more; }

TEST(Run, EveryStrategyLearns) {
  for (const Named& named : kRuns) {
    SCOPED_TRACE(name_of(named));
    TestRun run(test_job(named.strategy, named.workers, 40, named.more));
    const double start = run.evaluate(std::vector<float>(kTestFeatures + 1, 0.0F))->loss;
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->rounds.size(), 40U);
    EXPECT_LT(*report->rounds.back().test_loss, start / 20);
    EXPECT_TRUE(report->news.empty()) << report->news.front();
    for (const RoundRecord& round : report->rounds) {
      EXPECT_GE(round.workers, 1U);
      EXPECT_GT(round.bytes_up, 0U);
      EXPECT_EQ(round.rejected, 0U);
    }
    for (const Status& status : run.ended) EXPECT_TRUE(status) << status.error().message;
    for (const std::uint64_t bytes : report->bytes_by_worker) EXPECT_GT(bytes, 0U);
  }
}

// The whole way: 50 rounds over the parameter server, the ring and the tree against a loop that knows none of it.
TEST(Run, SynchronousExchangesAreOneWorkerWithAllTheBatches) {
  for (const char* exchange : {"parameter-server", "ring", "tree"}) {
    SCOPED_TRACE(exchange);
    const Job job = test_job("{name: sync-sgd, batch: 25}", 4, 50, fmt::format("exchange: {}\n", exchange));
    TestRun run(job, 100);
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    std::vector<BatchOrder> orders;
    for (std::uint64_t k = 0; k < 4; ++k) orders.emplace_back(100, 25, 3, k);
    std::vector<float> w(kTestFeatures, 0.0F);
    Optimiser optimiser(job.optimiser, kTestFeatures);
    for (std::uint64_t step = 0; step < 50; ++step) {
      std::vector<std::uint32_t> rows;
      for (std::uint32_t k = 0; k < 4; ++k)
        for (const std::uint32_t row : orders[k].batch(step)) rows.push_back(row + 100 * k);
      optimiser.step(w, run.data.gradient(w, rows), 0.05);
    }
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(report->model[i], w[i], 1e-5 * std::abs(w[i]) + 1e-7) << i;
    EXPECT_FLOAT_EQ(report->model[kTestFeatures], 50);  // the buffer moves by the mean of its changes
  }
}

TEST(Run, GoesOnFromACheckpointToTheLastBit) {
  for (const Named& named : kRuns) {
    if (!named.repeats) continue;
    SCOPED_TRACE(name_of(named));
    const auto folder = TempFolder::make("train-test");
    ASSERT_TRUE(folder);
    const auto job = [&](std::size_t rounds) {
      return test_job(named.strategy, named.workers, rounds,
                      fmt::format("{}checkpoint: {{folder: {}}}\n", named.more, folder->path()));
    };
    const auto whole = TestRun(job(12)).run();
    ASSERT_TRUE(whole) << whole.error().message;
    const auto half = TestRun(job(5)).run();
    ASSERT_TRUE(half) << half.error().message;
    auto checkpoint = load_checkpoint(folder->path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->round, 5U);
    const auto rest = TestRun(job(12)).run(std::move(*checkpoint));
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(0, std::memcmp(whole->model.data(), rest->model.data(), whole->model.size() * sizeof(float)));
    ASSERT_EQ(rest->rounds.size(), 12U);
    // Workers that call each other have to call again.
    const bool is_central = job(12).exchange == Exchange::kParameterServer;
    if (is_central) {
      EXPECT_EQ(rest->bytes_by_worker, whole->bytes_by_worker);
    }
    for (std::size_t r = 0; r < 12; ++r) {
      EXPECT_EQ(rest->rounds[r].loss, whole->rounds[r].loss) << r;
      if (is_central) {
        EXPECT_EQ(rest->rounds[r].bytes_up, whole->rounds[r].bytes_up) << r;
      }
    }
  }
}

// What Ctrl-C does: after the round under way the run ends with a checkpoint, from which the rest gives the same as without.
TEST(Run, AnInterruptedRunLeavesACheckpoint) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  const Job job = test_job("{name: diloco, batch: 10, local_steps: 3}", 3, 12,
                           fmt::format("checkpoint: {{folder: {}, every: 100}}\n", folder->path()));
  TestRun first(job);
  first.on_round = [&](const RoundRecord& round) {
    if (round.round == 7) first.cancel.cancel();
  };
  const auto stopped = first.run();
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_TRUE(stopped->is_interrupted);
  auto checkpoint = load_checkpoint(folder->path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->round, 7U);
  const auto rest = TestRun(job).run(std::move(*checkpoint));
  const auto whole = TestRun(job).run();
  ASSERT_TRUE(rest && whole);
  EXPECT_EQ(rest->model, whole->model);
  EXPECT_FALSE(rest->is_interrupted);
}

TEST(Run, ACheckpointOfAnotherJobIsRefused) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  const std::string more = fmt::format("checkpoint: {{folder: {}}}\n", folder->path());
  ASSERT_TRUE(TestRun(test_job("{name: fedavg, batch: 10}", 3, 4, more)).run());
  const auto kept = load_checkpoint(folder->path());
  ASSERT_TRUE(kept);
  const auto other = TestRun(test_job("{name: fedavg, batch: 20}", 3, 8, more)).run(*kept);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, testing::HasSubstr("start anew without --resume"));
  EXPECT_FALSE(TestRun(test_job("{name: fedavg, batch: 10}", 3, 3, more)).run(*kept));
  EXPECT_TRUE(TestRun(test_job("{name: fedavg, batch: 10}", 3, 6, more + "deadlines: {patience: 5s}\n")).run(*kept));
}

TEST(Checkpoint, DamageIsNoticed) {
  Checkpoint checkpoint{.job = write_job(test_job("{name: fedavg}", 2)), .round = 3, .model = {1, 2, 3}};
  checkpoint.server_state = {std::byte{7}};
  checkpoint.worker_states = {{}, {std::byte{1}, std::byte{2}}};
  checkpoint.bytes_by_worker = {5, 6};
  checkpoint.records = {{.round = 1, .loss = 0.5, .accuracy = 0.25, .bytes_up = 9, .workers = 2}};
  const std::vector<std::byte> bytes = write_checkpoint(checkpoint);
  const auto back = parse_checkpoint(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, checkpoint);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::vector<std::byte> damaged = bytes;
    damaged[at] ^= std::byte{4};
    EXPECT_FALSE(parse_checkpoint(damaged)) << at;
    EXPECT_FALSE(parse_checkpoint(std::span(bytes).first(at))) << at;
  }
}

// Bytes are what goes over the connections: a frame's head of 64 or 128 bytes and the numbers, nothing else.
TEST(Run, BytesAreThoseOfTheConnections) {
  constexpr std::uint64_t kWork = 64, kUpdate = 128, kNumbers = kTestFeatures + 1;
  for (const bool half : {false, true}) {
    const auto report = TestRun(test_job("{name: sync-sgd, batch: 10}", 3, 4, half ? "compression: fp16\n" : "")).run();
    ASSERT_TRUE(report) << report.error().message;
    for (const RoundRecord& round : report->rounds) {
      EXPECT_EQ(round.bytes_up, 3 * (kUpdate + 8 + (half ? 2 : 4) * kTestFeatures + 4));  // a head, and one buffer
      EXPECT_EQ(round.bytes_down, 3 * (kWork + 4 * kNumbers));
    }
  }
}

TEST(Run, AFewerWorkersThanTheJobHasAreRefused) {
  const Job job = test_job("{name: fedavg}", 2);
  const auto transport = make_loopback_transport();
  const auto report =
      run_training(job, {.transport = *transport, .workers = {}, .model_file = "m", .model = {1}, .size = {1, 0}});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, testing::HasSubstr("the job has 2 workers, 0 are there"));
}

}  // namespace
}  // namespace tideline::train
