// Goal: epochs are the rounds that the formula says. Method: each kind of strategy, by numbers.
#include "train/strategy/epochs.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace tideline::train {
namespace {

std::size_t rounds_of(std::string_view strategy, std::size_t epochs, std::vector<std::uint64_t> samples, int workers = 4) {
  const auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {}\n"
                                         "optimiser: {{name: sgd, rate: 1, momentum: 0.5}}\nepochs: {}\n",
                                         workers, strategy, epochs),
                             "job");
  EXPECT_TRUE(job) << job.error().message;
  const auto whole = with_rounds(*job, samples);
  EXPECT_TRUE(whole) << whole.error().message;
  return whole->rounds;
}

TEST(Epochs, AreRoundsOfTheLargestWorker) {
  EXPECT_EQ(rounds_of("{name: single, batch: 64}", 6, {60'000}, 1), 5628U);  // 938 steps
  EXPECT_EQ(rounds_of("{name: sync-sgd, batch: 10}", 3, {40, 41, 20, 1}), 15U);
  EXPECT_EQ(rounds_of("{name: sync-sgd, batch: all}", 3, {40, 41, 20, 1}), 3U);
  EXPECT_EQ(rounds_of("{name: async-sgd, batch: 10}", 2, {40, 40, 40, 40}), 8U);
  EXPECT_EQ(rounds_of("{name: diloco, batch: 10, local_steps: 3}", 3, {100, 100, 100, 100}), 10U);
  EXPECT_EQ(rounds_of("{name: gossip, batch: 10, local_steps: 4}", 1, {100, 9, 9, 9}), 3U);
  EXPECT_EQ(rounds_of("{name: fedavg, batch: 10, local_epochs: 5}", 20, {600, 600, 600, 600}), 4U);
  EXPECT_EQ(rounds_of("{name: fedavg, batch: 10, fraction: 0.1}", 3, {600, 600, 600, 600}), 30U);
  EXPECT_EQ(rounds_of("{name: fedsgd, fraction: 0.5}", 7, {600, 600, 600, 600}), 14U);
  EXPECT_EQ(rounds_of("{name: fedavg, batch: 10, local_epochs: 5}", 1, {600, 600, 600, 600}), 1U);
}

TEST(Epochs, TooManyRoundsAreRefused) {
  const auto job = parse_job(
      "version: 1\nmodel: m\ndata: {train: npy:d}\nstrategy: {name: single, batch: 1}\n"
      "optimiser: {name: sgd, rate: 1}\nepochs: 1000\n",
      "job");
  ASSERT_TRUE(job);
  EXPECT_EQ(with_rounds(*job, std::vector<std::uint64_t>{60'000}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(with_rounds(*job, std::vector<std::uint64_t>{10'000})->rounds, 10'000'000U);
}

}  // namespace
}  // namespace tideline::train
