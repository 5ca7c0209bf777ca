// Goal: a run of so many epochs is the run of as many rounds, to the last bit, whoever knows how many these are. Method: both
// over the loopback transport, with a rate that depends on where in the run a round is.
#include <gtest/gtest.h>

#include "train/run/test_run.h"

namespace tideline::train {
namespace {

constexpr std::string_view kFalling = "{name: sgd, rate: 0.05, momentum: 0.5, schedule: cosine}";

Job in_epochs(Job job, std::size_t epochs) {
  job.rounds = 0;
  job.epochs = epochs;
  return job;
}

TEST(EpochRuns, AreRunsOfAsManyRounds) {
  // 40 samples of each of three workers: four steps are an epoch.
  for (const auto& [strategy, more, rounds] : {std::tuple{"{name: sync-sgd, batch: 10}", "", 12},
                                               {"{name: sync-sgd, batch: 10}", "exchange: ring\n", 12},
                                               {"{name: fedavg, batch: 10}", "", 3},
                                               {"{name: diloco, batch: 10, local_steps: 4}", "", 3},
                                               {"{name: easgd, batch: 10, local_steps: 2}", "", 6},
                                               {"{name: gossip, batch: 10}", "", 12}}) {
    SCOPED_TRACE(std::string(strategy) + more);
    const Job job = test_job(strategy, 3, static_cast<std::size_t>(rounds), more, kFalling);
    TestRun counted(job), said(in_epochs(job, 3));
    const auto as_rounds = counted.run(), as_epochs = said.run();
    ASSERT_TRUE(as_rounds && as_epochs) << as_epochs.error().message;
    EXPECT_EQ(as_epochs->rounds.size(), static_cast<std::size_t>(rounds));
    EXPECT_EQ(as_epochs->model, as_rounds->model);
  }
}

}  // namespace
}  // namespace tideline::train
