// Goal: what goes wrong with some workers does not stop the others or spoil their result, and is named. Method: workers over the
// loopback transport that end, stand still, or send what they should not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "train/run/arrivals.h"
#include "train/run/staleness.h"
#include "train/run/test_run.h"
#include "transport/channel.h"

namespace tideline::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""ns;

double loss_of(const Result<TrainReport>& report) { return report->rounds.back().test_loss.value_or(1e9); }

TEST(Faults, AWorkerThatEndsIsNamedAndTheOthersGoOn) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 3, 30));
  run.mischief[1].before = [&](std::uint64_t step) -> Status {
    if (step == 4) run.cancel_worker[1].cancel();
    return {};
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->rounds.size(), 30U);
  EXPECT_EQ(report->rounds.front().workers, 3U);
  EXPECT_EQ(report->rounds.back().workers, 2U);
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 1 is lost")));
  EXPECT_LT(loss_of(report), 0.5);
}

TEST(Faults, NobodyLeftIsAnErrorAndNotAHang) {
  TestRun run(test_job("{name: fedavg, batch: 10}", 2, 30));
  for (std::size_t k = 0; k < 2; ++k)
    run.mischief[k].before = [&, k](std::uint64_t step) -> Status {
      if (step == 4) run.cancel_worker[k].cancel();
      return {};
    };
  const auto report = run.run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kDisconnected);
}

// Something that one thread waits for and another one lets happen.
class Signal {
 public:
  void give() {
    const std::lock_guard lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return given_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool given_ = false;
};

TEST(Faults, ASlowWorkerIsLateAtTheQuorum) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 4, 20, "deadlines: {quorum: 0.75, spread: 5}\n"));
  Signal seen;
  run.mischief[2].before = [&](std::uint64_t step) -> Status {
    if (step == 2) seen.wait();
    return {};
  };
  run.on_round = [&](const RoundRecord& round) {
    if (round.round == 5) seen.give();
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(report->rounds[2].late, 1U);
  for (const RoundRecord& round : report->rounds) EXPECT_GE(round.workers, 2U);
  EXPECT_LT(loss_of(report), 1);
}

// Frozen for longer than anybody waits: rounds without it, and it is welcome when it is back.
TEST(Faults, AFrozenWorkerIsNotWaitedForAgainUntilItAnswers) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 3, 60, "deadlines: {patience: 1s}\n"));
  Signal seen;
  run.mischief[0].before = [&](std::uint64_t step) -> Status {
    if (step == 3) seen.wait();
    return {};
  };
  run.mischief[1].before = [](std::uint64_t) -> Status {
    std::this_thread::sleep_for(10ms);
    return {};
  };
  run.on_round = [&](const RoundRecord& round) {
    if (round.round == 6) seen.give();
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rounds[3].late, 1U);
  EXPECT_EQ(report->rounds[4].workers, 2U);
  EXPECT_EQ(report->rounds[4].late, 0U);
  EXPECT_EQ(report->rounds.back().workers, 3U);
}

TEST(Faults, BackupWorkersDropTheLast) {
  TestRun run(test_job("{name: backup-workers, batch: 10, backup: 1}", 4, 12));
  for (std::size_t k = 0; k < 4; ++k)
    run.mischief[k].before = [k](std::uint64_t) -> Status {
      std::this_thread::sleep_for(k == 3 ? 40ms : 4ms);
      return {};
    };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  for (const RoundRecord& round : report->rounds) EXPECT_EQ(round.workers, 3U);
  EXPECT_EQ(report->rounds.front().late, 1U);
  EXPECT_LT(loss_of(report), 5);
}

// Whatever the strategy: the liar is found, named and asked no more; the others' result does not feel it.
TEST(Faults, UpdatesThatAreNotFiniteAreRejectedAndTheSenderQuarantined) {
  for (const char* strategy : {"{name: sync-sgd, batch: 10}", "{name: fedavg, batch: 10}", "{name: async-sgd, batch: 10}"}) {
    for (const float poison : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      SCOPED_TRACE(strategy);
      TestRun run(test_job(strategy, 3, 30));
      run.mischief[2].after = [poison](std::uint64_t step, std::vector<float>& gradient) {
        if (step >= 3) gradient[1] = poison;
      };
      const auto report = run.run();
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 2 is quarantined: its update has a number that is not finite")));
      std::uint32_t rejected = 0;
      for (const RoundRecord& round : report->rounds) rejected += round.rejected;
      EXPECT_EQ(rejected, 1U);
      EXPECT_LT(loss_of(report), 1);
    }
  }
}

TEST(Faults, OversizedUpdatesAreRejected) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 4, 30));
  run.mischief[0].after = [](std::uint64_t step, std::vector<float>& gradient) {
    if (step == 5)
      for (float& number : gradient) number *= 1e6F;
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 0 is quarantined: its update is")));
  EXPECT_EQ(report->rounds[5].rejected, 1U);
  EXPECT_LT(loss_of(report), 0.5);
}

// One of five pulls the other way in every round, not far enough to be told by its length.
TEST(Faults, RobustAggregationWithstandsWhatTheMeanDoesNot) {
  std::map<std::string, double> loss;
  for (const std::string rule : {"mean", "median", "trimmed-mean", "krum"}) {
    TestRun run(test_job("{name: sync-sgd, batch: 20}", 5, 40, "aggregation: " + rule + "\n"));
    run.mischief[4].after = [](std::uint64_t, std::vector<float>& gradient) {
      for (float& number : gradient) number *= -8;
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    loss[rule] = loss_of(report);
  }
  EXPECT_GT(loss["mean"], 20);
  EXPECT_LT(loss["median"], 3);
  EXPECT_LT(loss["trimmed-mean"], 3);
  EXPECT_LT(loss["krum"], 3);
}

// A member ends in the middle of an exchange: those who are left repeat it among themselves and stay the same to the last bit,
// which the coordinator watches and would tell.
TEST(Faults, ALostPeerEndsItsAttemptAndTheOthersFormAnew) {
  for (const char* exchange : {"ring", "tree"}) {
    SCOPED_TRACE(exchange);
    TestRun run(test_job("{name: sync-sgd, batch: 10}", 5, 30, fmt::format("exchange: {}\n", exchange)));
    run.mischief[2].before = [&](std::uint64_t step) -> Status {
      if (step == 6) run.cancel_worker[2].cancel();
      return {};
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 2 is lost")));
    ASSERT_EQ(report->rounds.size(), 30U);
    EXPECT_EQ(report->rounds[5].workers, 5U);
    EXPECT_EQ(report->rounds[7].workers, 4U);
    EXPECT_LT(loss_of(report), 0.5);
  }
}

TEST(Faults, AFrozenPeerIsLeftBehind) {
  TestRun run(test_job("{name: gossip, batch: 10}", 4, 12, "deadlines: {patience: 500ms}\n"));
  Signal seen;
  run.mischief[1].before = [&](std::uint64_t step) -> Status {
    if (step == 4) seen.wait();
    return {};
  };
  run.on_round = [&](const RoundRecord& round) {
    if (round.round == 6) seen.give();
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 1 is lost: it has not answered in time")));
  EXPECT_EQ(report->rounds.back().workers, 3U);
}

TEST(Faults, AWorkerThatCannotBeSetUpIsNamed) {
  TestRun run(test_job("{name: local-sgd, batch: 10}", 2, 3));
  Checkpoint other{.job = write_job(test_job("{name: local-sgd, batch: 10}", 2, 3)),
                   .model = std::vector<float>(kTestFeatures + 1)};
  other.worker_states = {{}, {std::byte{1}}};
  other.bytes_by_worker = {0, 0};
  const auto report = run.run(other);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("worker 1: "));
}

TEST(Faults, OneWorkerServesOneCoordinatorAndNoStranger) {
  const auto transport = make_loopback_transport();
  const auto listener = transport->listen({"127.0.0.1", 0}).value();
  const CancelToken cancel;
  std::thread worker(
      [&] { (void)run_worker({.transport = *transport, .listener = *listener, .make_learner = {}, .cancel = cancel}); });
  const auto call = [&](const std::string& name) {
    auto channel = std::make_unique<Channel>(transport->connect(listener->address(), deadline_in(5000ms)).value());
    const wire::Hello hello{.session = wire::random_session_id(), .name = name};
    const auto greeted = channel->greet(hello, deadline_in(5000ms));
    return std::pair(std::move(channel), greeted ? std::string("welcome") : greeted.error().message);
  };
  EXPECT_THAT(call("worker-1").second, HasSubstr("no coordinator yet"));
  const auto first = call("coordinator");
  EXPECT_EQ(first.second, "welcome");
  EXPECT_THAT(call("coordinator").second, HasSubstr("belongs to another run"));
  EXPECT_THAT(call("worker-1").second, HasSubstr("belongs to another run"));
  cancel.cancel();
  worker.join();
}

TEST(Staleness, NoGradientIsOlderThanTheBoundInARun) {
  for (const std::size_t bound : {3U, 5U, 40U}) {
    TestRun run(test_job(fmt::format("{{name: async-sgd, batch: 10, staleness: {}}}", bound), 4, 20));
    for (std::size_t k = 0; k < 4; ++k)
      run.mischief[k].before = [k](std::uint64_t step) -> Status {
        std::this_thread::sleep_for(std::chrono::milliseconds((k == 0 ? 5 : 0) + step % 2));
        return {};
      };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LE(report->staleness.size(), bound + 1);
    std::uint64_t used = 0;
    for (const std::uint64_t count : report->staleness) used += count;
    EXPECT_EQ(used, 80U);
  }
}

// Any order of arrival: the bound holds, and somebody who is under way may always be used.
TEST(Staleness, TheGateHoldsAndNeverLocks) {
  std::mt19937 random(9);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const auto workers = static_cast<std::uint32_t>(1 + random() % 6);
    const std::uint64_t bound = workers - 1 + random() % 4;
    StalenessGate gate(bound);
    std::vector<std::uint32_t> under_way, arrived;
    for (std::uint32_t k = 0; k < workers; ++k) gate.hand_out(k), under_way.push_back(k);
    for (int step = 0; step < 100; ++step) {
      const auto usable = std::find_if(arrived.begin(), arrived.end(), [&](std::uint32_t k) { return gate.may_use(k); });
      if (usable != arrived.end()) {
        const std::uint32_t worker = *usable;
        arrived.erase(usable);
        ASSERT_LE(gate.use(worker), bound);
        gate.hand_out(worker);
        under_way.push_back(worker);
        continue;
      }
      ASSERT_FALSE(under_way.empty());
      const std::size_t next = random() % under_way.size();
      arrived.push_back(under_way[next]);
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(next));
    }
  }
}

TEST(Arrivals, TheDeadlineIsMedianAndSpread) {
  const std::vector<std::chrono::nanoseconds> times{100ns, 110ns, 90ns, 200ns, 100ns};
  EXPECT_EQ(close_after(times, 3), 130ns);  // median 100, MAD 10
  const std::vector<std::chrono::nanoseconds> alike{100ns, 100ns, 100ns};
  EXPECT_EQ(close_after(alike, 4), 120ns);  // a MAD of 5 at least
  EXPECT_EQ(quorum_of(0.8, 10), 8U);
  EXPECT_EQ(quorum_of(0.75, 3), 3U);
  EXPECT_EQ(quorum_of(0.001, 3), 1U);
}

}  // namespace
}  // namespace tideline::train
