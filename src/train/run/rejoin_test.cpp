// Goal: who was lost and comes back takes part again, with what the others have; checkpoints that cannot be written end nothing;
// no answer is lost on the way. Method: workers over the loopback transport that end and begin again, stand still and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "platform/temp_folder.h"
#include "train/run/test_run.h"

namespace tideline::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using std::literals::chrono_literals::operator""ms;

struct Exchanged {
  const char* strategy;
  const char* more;
};
const Exchanged kExchanges[] = {
    {"{name: sync-sgd, batch: 10}", ""},
    {"{name: fedavg, batch: 10}", "compression: {name: qsgd, levels: 64}\n"},
    {"{name: local-sgd, batch: 10, local_steps: 2}", ""},
    {"{name: easgd, batch: 10, local_steps: 2}", ""},
    {"{name: async-sgd, batch: 10}", ""},
    {"{name: sync-sgd, batch: 10}", "exchange: ring\n"},
    {"{name: sync-sgd, batch: 10}", "exchange: tree\n"},
    {"{name: gossip, batch: 10}", ""},
};

// Rounds go on slowly until the worker is back, and then to the end.
void slow_until_back(TestRun& run) {
  const auto is_lost = std::make_shared<bool>(false);
  run.comes_back = true;
  run.on_news = [is_lost](const std::string& news) {
    if (news.find("is lost") != std::string::npos) *is_lost = true;
    if (news.find("is back") != std::string::npos) *is_lost = false;
  };
  run.on_round = [is_lost](const RoundRecord&) {
    if (*is_lost) std::this_thread::sleep_for(10ms);
  };
}

TEST(Rejoin, ACrashedWorkerThatIsStartedAgainTakesPartAgain) {
  for (const Exchanged& each : kExchanges) {
    SCOPED_TRACE(std::string(each.strategy) + " " + each.more);
    TestRun run(test_job(each.strategy, 4, 600, std::string(each.more) + "deadlines: {patience: 20s}\nevaluate: {every: 600}\n"));
    run.mischief[1].before = [&, has_died = false](std::uint64_t step) mutable -> Status {
      if (step == 6 && !std::exchange(has_died, true)) run.cancel_worker[1].cancel();
      return {};
    };
    slow_until_back(run);
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 1 is lost"), HasSubstr("worker 1 is back")));
    ASSERT_EQ(report->rounds.size(), 600U);
    EXPECT_EQ(report->rounds.back().workers, 4U);
    EXPECT_LT(*report->rounds.back().test_loss, 1);
  }
}

// It has its model and its data still: what it lacks is what the others have learned.
TEST(Rejoin, AFrozenPeerThatThawsTakesPartAgain) {
  for (const char* more : {"exchange: ring\n", "exchange: tree\n"}) {
    SCOPED_TRACE(more);
    TestRun run(test_job("{name: sync-sgd, batch: 10}", 3, 400,
                         std::string(more) + "deadlines: {patience: 1s}\n"
                                             "evaluate: {every: 400}\n"));
    std::atomic<bool> is_lost{false};
    run.mischief[2].before = [&](std::uint64_t step) -> Status {
      for (int i = 0; i < 2000 && step == 5 && !is_lost; ++i) std::this_thread::sleep_for(5ms);
      return {};
    };
    run.return_patience = std::chrono::seconds(20);
    slow_until_back(run);
    run.on_news = [&, slow = run.on_news](const std::string& news) {
      slow(news);
      if (news.find("worker 2 is lost") != std::string::npos) is_lost = true;
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->news,
                ElementsAre(HasSubstr("worker 2 is lost: it has not answered in time"), HasSubstr("worker 2 is back")));
    EXPECT_EQ(report->rounds.back().workers, 3U);
    EXPECT_LT(*report->rounds.back().test_loss, 1);
  }
}

// What others computed waits for the gradient of one who has stood still for too long; then not any more.
TEST(Rejoin, AFrozenWorkerIsForgottenWhereNothingWaitsForARound) {
  TestRun run(test_job("{name: async-sgd, batch: 10, staleness: 3}", 4, 60, "deadlines: {patience: 1s}\n"));
  std::atomic<bool> is_over{false};
  run.mischief[2].before = [&](std::uint64_t step) -> Status {
    for (int i = 0; i < 2000 && step == 5 && !is_over; ++i) std::this_thread::sleep_for(5ms);
    return {};
  };
  run.on_round = [&](const RoundRecord& round) {
    if (round.round == 40) is_over = true;
  };
  const auto report = run.run();
  is_over = true;
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rounds.size(), 60U);
  EXPECT_THAT(report->news, testing::Contains(HasSubstr("worker 2 has not answered for 1.0 s")));
  EXPECT_LT(*report->rounds.back().test_loss, 1);
}

// The others have settled; who was away has much to say at first. For a while that is shortened, and not forbidden.
TEST(Rejoin, WhoWasAwayMaySendLongerUpdatesForAWhile) {
  for (const std::uint64_t long_ones : {5U, 1000U}) {
    TestRun run(test_job("{name: sync-sgd, batch: 40}", 4, 80, "deadlines: {patience: 1s, norm_factor: 20}\n",
                         "{name: sgd, rate: 0.0001}"));
    std::atomic<bool> is_late{false};
    run.mischief[2].before = [&](std::uint64_t step) -> Status {
      for (int i = 0; i < 2000 && step == 3 && !is_late; ++i) std::this_thread::sleep_for(5ms);
      return {};
    };
    run.mischief[2].after = [&](std::uint64_t step, std::vector<float>& gradient) {
      for (float& number : gradient) number *= step >= 4 && step < 4 + long_ones ? 100.0F : 1.0F;
    };
    run.on_round = [&](const RoundRecord& round) {
      if (round.late > 0) is_late = true;
      if (is_late) std::this_thread::sleep_for(1ms);
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    if (long_ones == 5) {
      EXPECT_TRUE(report->news.empty()) << report->news.front();
      EXPECT_EQ(report->rounds.back().workers, 4U);
    } else {
      EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 2 is quarantined: its update is")));
    }
  }
}

TEST(Rejoin, WhoWasQuarantinedStaysAway) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 3, 60));
  run.mischief[2].after = [&](std::uint64_t step, std::vector<float>& gradient) {
    if (step == 3) gradient[0] = std::numeric_limits<float>::quiet_NaN();
  };
  run.comes_back = true;
  run.on_round = [](const RoundRecord&) { std::this_thread::sleep_for(10ms); };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 2 is quarantined")));
  EXPECT_EQ(report->rounds.back().workers, 2U);
}

TEST(Rejoin, WhenAllAreLostTheFirstOneBackGoesOn) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 2, 60, "deadlines: {patience: 20s}\n"));
  for (std::size_t k = 0; k < 2; ++k)
    run.mischief[k].before = [&, k, has_died = false](std::uint64_t step) mutable -> Status {
      if (step == 5 && !std::exchange(has_died, true)) run.cancel_worker[k].cancel();
      return {};
    };
  run.comes_back = true;
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rounds.size(), 60U);
  EXPECT_LT(*report->rounds.back().test_loss, 1);
}

// While a state is fetched from one worker, gradients of the others come in.
TEST(Checkpoints, AnswersThatComeWhileOneIsWrittenAreUsed) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  TestRun run(test_job("{name: async-sgd, batch: 10}", 4, 150,
                       fmt::format("deadlines: {{patience: 2s}}\ncheckpoint: {{folder: {}}}\n", folder->path())));
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->news.empty()) << report->news.front();
  std::uint64_t used = 0;
  for (const std::uint64_t count : report->staleness) used += count;
  EXPECT_EQ(used, 600U);
  for (const RoundRecord& round : report->rounds) EXPECT_EQ(round.late, 0U);
}

TEST(Checkpoints, ADiskThatIsFullIsToldAndEndsNoRun) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  const Job job =
      test_job("{name: sync-sgd, batch: 10}", 2, 9, fmt::format("checkpoint: {{folder: {}, every: 2}}\n", folder->path()));
  TestRun run(job);
  const std::string file = checkpoint_path(folder->path());
  run.on_round = [&](const RoundRecord& round) {
    // Every write to it says that there is no space left.
    if (round.round == 3) std::filesystem::remove(file), std::filesystem::create_symlink("/dev/full", file);
    if (round.round == 7) std::filesystem::remove(file);
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rounds.size(), 9U);
  EXPECT_THAT(report->news, ElementsAre(testing::AllOf(HasSubstr("no checkpoint after round 4"), HasSubstr("No space left")),
                                        HasSubstr("no checkpoint after round 6")));
  const auto kept = load_checkpoint(folder->path());
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(kept->round, 9U);
}

// Interrupted between two rounds, when the last one was not one to be evaluated.
TEST(Interrupted, WhatItHasComeToIsKnown) {
  for (const char* more : {"", "exchange: ring\n"}) {
    TestRun run(test_job("{name: sync-sgd, batch: 10}", 2, 50, std::string(more) + "evaluate: {every: 50}\n"));
    run.on_round = [&](const RoundRecord& round) {
      if (round.round == 7) run.cancel.cancel();
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->is_interrupted);
    ASSERT_EQ(report->rounds.size(), 7U);
    EXPECT_TRUE(report->rounds.back().test_loss.has_value());
  }
}

// Killed between writing and renaming: what is left is another file, and the old checkpoint is whole.
TEST(Checkpoints, WhatAKilledOneLeftIsNotTakenForACheckpoint) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  const auto job = [&](std::size_t rounds) {
    return test_job("{name: diloco, batch: 10, local_steps: 2}", 2, rounds,
                    fmt::format("checkpoint: {{folder: {}}}\n", folder->path()));
  };
  const auto whole = TestRun(job(8)).run();
  std::filesystem::remove(checkpoint_path(folder->path()));
  ASSERT_TRUE(TestRun(job(4)).run());
  std::ofstream(checkpoint_path(folder->path()) + ".4711-0.tmp") << "TLTRAIN\nhalf a checkpoint";
  auto kept = load_checkpoint(folder->path());
  ASSERT_TRUE(kept) << kept.error().message;
  const auto rest = TestRun(job(8)).run(std::move(*kept));
  ASSERT_TRUE(whole && rest);
  EXPECT_EQ(whole->model, rest->model);
}

TEST(Checkpoints, AFolderThatCannotBeMadeIsSaidBeforeTheRun) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  std::ofstream(folder->path() + "/file") << "no folder";
  TestRun run(test_job("{name: fedavg}", 2, 4, fmt::format("checkpoint: {{folder: {}/file/kept}}\n", folder->path())));
  const auto report = run.run();
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("file"));
}

// Whoever comes first: sums are made in the order of the workers.
TEST(Determinism, TheOrderOfArrivalIsNotSeenInTheResult) {
  std::vector<float> first;
  for (int turn = 0; turn < 3; ++turn) {
    TestRun run(test_job("{name: sync-sgd, batch: 7}", 3, 12, "compression: {name: top-k, sparsity: 0.5}\n"));
    for (std::size_t k = 0; k < 3; ++k)
      run.mischief[k].before = [k, turn](std::uint64_t step) -> Status {
        std::this_thread::sleep_for(std::chrono::milliseconds(2 * ((k + step + static_cast<std::size_t>(turn)) % 3)));
        return {};
      };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    if (turn == 0) first = report->model;
    EXPECT_EQ(0, std::memcmp(first.data(), report->model.data(), first.size() * sizeof(float)));
  }
}

}  // namespace
}  // namespace tideline::train
