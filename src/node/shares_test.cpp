// Goal: what a session has been given of a node, no other can take from it, and nothing lies idle.
// Method: virtual time. The real shares and the real order of waiting requests (ComputeSlot::Place) decide in a simulated node;
// order and lateness are counted, and the order without shares must fail the same test.
#include "node/shares.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

#include "node/compute_slot.h"
#include "node/nodes_fixture.h"
#include "node/test_engine.h"

namespace tideline {
namespace {

using namespace std::chrono_literals;

constexpr SteadyTime kStart{1h};

wire::SessionId session(std::uint8_t number) {
  wire::SessionId id;
  id.bytes[0] = number;
  return id;
}

// A task of a simulated node: periodic requests, each of them one run that is not interrupted.
struct SimulatedTask {
  Nanos period;
  Nanos run;
  Nanos deadline;
  Nanos phase;
  double share;  // of the engine
};

// Latencies of every task, by rising time, of a node that runs tasks for ten seconds in the order of ComputeSlot.
std::vector<std::vector<Nanos>> simulate(const std::vector<SimulatedTask>& tasks, bool with_shares) {
  struct Job {
    ComputeSlot::Place place;
    std::size_t task;
    SteadyTime arrived;
    bool operator<(const Job& other) const { return place < other.place; }
  };
  struct Arrival {
    SteadyTime at;
    std::size_t task;
    bool operator<(const Arrival& other) const { return std::tie(at, task) < std::tie(other.at, other.task); }
  };
  std::set<Arrival> arrivals;
  std::vector<std::unique_ptr<RateShare>> shares;
  for (std::size_t j = 0; j < tasks.size(); ++j) {
    shares.push_back(std::make_unique<RateShare>(1e9 * tasks[j].share, tasks[j].deadline));
    for (Nanos at = tasks[j].phase; at < 10s; at += tasks[j].period) arrivals.insert({kStart + at, j});
  }
  std::vector<std::vector<Nanos>> latencies(tasks.size());
  std::set<Job> waiting;
  SteadyTime now = kStart;
  std::uint64_t ticket = 0;
  while (!arrivals.empty() || !waiting.empty()) {
    if (waiting.empty()) now = std::max(now, arrivals.begin()->at);
    while (!arrivals.empty() && arrivals.begin()->at <= now) {
      const auto [at, j] = *arrivals.begin();
      arrivals.erase(arrivals.begin());
      const bool is_within = !with_shares || shares[j]->take(at, static_cast<double>(tasks[j].run.count()));
      waiting.insert({{!is_within, at + tasks[j].deadline, ticket++}, j, at});
    }
    const Job job = *waiting.begin();
    waiting.erase(waiting.begin());
    now += tasks[job.task].run;
    latencies[job.task].push_back(now - job.arrived);
  }
  return latencies;
}

Nanos rank(std::vector<Nanos> latencies, double share) {
  std::sort(latencies.begin(), latencies.end());
  return latencies[static_cast<std::size_t>(share * static_cast<double>(latencies.size() - 1))];
}

// Eight tasks of 10 ms runs, five per second each (40 % of the engine), that have been given a tenth each, and
// one of 5 ms runs that has said twenty per second.
std::vector<SimulatedTask> nine_tasks(int times) {
  std::vector<SimulatedTask> tasks;
  for (int j = 0; j < 8; ++j) tasks.push_back({200ms + std::chrono::milliseconds(j), 10ms, 150ms, 23ms * j, 0.1});
  tasks.push_back({50ms / times, 5ms, 20ms, 3ms, 0.1});
  return tasks;
}

TEST(Shares, ATaskThatSendsTenTimesItsRateMakesNobodyElseLate) {
  const auto before = simulate(nine_tasks(1), true);
  const auto flooded = simulate(nine_tasks(10), true);
  for (std::size_t j = 0; j < 8; ++j) {
    EXPECT_LE(rank(flooded[j], 1.0), 150ms) << j;  // none late
    // Runs are not interrupted: at most one of the other's that has begun, and the one of its share at another time than before.
    EXPECT_LE(rank(flooded[j], 0.99), rank(before[j], 0.99) + 10ms) << j;
    EXPECT_LE(rank(flooded[j], 0.5), rank(before[j], 0.5) + 5ms) << j;
  }
  // Everything was served: what was left, too.
  EXPECT_EQ(flooded[8].size(), 10 * before[8].size());
  // The canary: by deadline alone the same flood drowns them.
  const auto drowned = simulate(nine_tasks(10), false);
  int late = 0;
  for (std::size_t j = 0; j < 8; ++j) late += rank(drowned[j], 0.5) > 150ms ? 1 : 0;
  EXPECT_EQ(late, 8);
}

TEST(Shares, WhoWasTooFastIsNotPunishedLater) {
  RateShare share(1e8, 0ns);  // a tenth
  for (int n = 0; n < 100; ++n) (void)share.take(kStart, 1e7);
  // One run of 10 ms was given: the share has caught up with it after 100 ms.
  EXPECT_FALSE(share.take(kStart + 99ms, 1e7));
  EXPECT_EQ(share.due(), kStart + 100ms);
  EXPECT_TRUE(share.take(kStart + 100ms, 1e7));
}

TEST(Shares, ABurstMayRunAheadSoFarAndNoFurther) {
  RateShare share(1e8, 200ms);
  int taken = 0;
  while (share.take(kStart, 1e7)) ++taken;
  EXPECT_EQ(taken, 3);          // 0, 100 and 200 ms ahead
  share.correct(kStart, -2e7);  // two of them took nothing
  EXPECT_TRUE(share.take(kStart, 1e7));
  // A run that stood still for a day is not paid for for a day.
  share.correct(kStart, 86'400e9);
  EXPECT_LE(share.due(), kStart + 2s);
}

TEST(Shares, TheEngineIsGivenAwayOnce) {
  ShareBook book;
  EXPECT_EQ(book.rest_of_engine(), nullptr);
  auto first = book.engine(session(1), {.compute_ppm = 600'000, .burst_ms = 100});
  ASSERT_TRUE(first);
  EXPECT_EQ(book.engine(session(2), {.compute_ppm = 500'000}).error().code, ErrorCode::kOverloaded);
  auto second = book.engine(session(2), {.compute_ppm = 300'000});
  ASSERT_TRUE(second);
  EXPECT_NEAR(book.rest_of_engine()->per_second(), 1e8, 1);
  // A session's next plan changes its share instead of asking for a second one.
  auto again = book.engine(session(1), {.compute_ppm = 700'000, .burst_ms = 100});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *first);
  EXPECT_NEAR((*first)->per_second(), 7e8, 1);
  EXPECT_EQ(book.engine(session(1), {.compute_ppm = 800'000}).error().code, ErrorCode::kOverloaded);
  // Free again with the last who keeps it.
  *first = nullptr;
  *again = nullptr;
  EXPECT_TRUE(book.engine(session(3), {.compute_ppm = 700'000}));
  *second = nullptr;
  EXPECT_EQ(book.rest_of_engine(), nullptr);
}

TEST(Shares, AMessageWithinItsShareLeavesAtOnceAndTheRestWhenTheLinkIsFree) {
  ShareBook book;
  const wire::Share half{.burst_ms = 0, .link_bytes_per_s = 500'000, .link_total_bytes_per_s = 1'000'000};
  const auto fast = book.link(session(1), "cloud", half);
  const auto calm = book.link(session(2), "cloud", half);
  ASSERT_TRUE(fast && calm);
  EXPECT_EQ(book.link(session(3), "cloud", half).error().code, ErrorCode::kOverloaded);
  EXPECT_TRUE(book.link(session(3), "other", half));
  // 100 kB: 200 ms of the share, 100 ms of the link.
  SteadyTime now = kStart;
  EXPECT_EQ((*fast)->leave(now, 1e5).at, now);
  EXPECT_EQ((*fast)->leave(now, 1e5).at, now + 100ms);
  // The other is not held back by what the first one sends.
  EXPECT_EQ((*calm)->leave(now, 1e5).at, now);
  EXPECT_EQ((*fast)->leave(now + 100ms, 1e5).at, now + 200ms);
  now += 200ms;
  EXPECT_EQ((*fast)->leave(now, 1e5).at, now);
  // Nothing under way any more, and its share is not there yet: the link does not lie idle.
  EXPECT_EQ((*fast)->leave(now + 100ms, 1e5).at, now + 100ms);
}

// What goes over a link in ten virtual seconds when one sends as fast as it can and another what it has said.
TEST(Shares, ALinkIsNeverIdleAndNobodyIsHeldBackByAFlood) {
  ShareBook book;
  const auto flood = book.link(session(1), "cloud", {.link_bytes_per_s = 200'000, .link_total_bytes_per_s = 1'000'000});
  const auto calm =
      book.link(session(2), "cloud", {.burst_ms = 100, .link_bytes_per_s = 300'000, .link_total_bytes_per_s = 1'000'000});
  double flood_bytes = 0;
  SteadyTime flood_next = kStart;
  int held = 0;
  for (SteadyTime now = kStart; now < kStart + 10s; now += 1ms) {
    if ((now - kStart) % 100ms == 0ms) held += (*calm)->leave(now, 30'000).at > now ? 1 : 0;
    while (flood_next <= now) {
      Leave leave = (*flood)->leave(now, 10'000);
      flood_next = leave.at;
      if (flood_next > now) break;
      // In pieces it has left when the last of them has: each waits until nothing is under way.
      double counted = leave.in_pieces ? static_cast<double>(leave.in_pieces->piece_bytes()) : 10'000;
      for (SteadyTime at = now; counted < 10'000; at = (*flood)->load->free_at()) {
        if (!leave.in_pieces->add_if_free(at, 10'000 - counted)) continue;
        counted = 10'000;
        flood_next = at;
      }
      flood_bytes += 10'000;
    }
  }
  EXPECT_EQ(held, 0);
  // What the calm one leaves: 7 MB of 10.
  EXPECT_NEAR(flood_bytes, 7e6, 0.3e6);
}

class SharedNodesTest : public NodesTest {};

TEST_F(SharedNodesTest, APlanHasItsSharesUntilItsCallerGoes) {
  const NodeShares most{{"gateway", {.compute_ppm = 700'000, .burst_ms = 1000}},
                        {"camera", {.link_bytes_per_s = 700'000'000, .link_total_bytes_per_s = 1'000'000'000}}};
  const auto deploy_with = [&](ClusterClient& client, const NodeShares& shares) {
    return client.deploy(*model_, chain_, plan(), CancelToken(), {}, shares);
  };
  auto first = std::make_unique<ClusterClient>(*transport_, cluster_);
  const auto deployed = deploy_with(*first, most);
  ASSERT_TRUE(deployed) << deployed.error().message;
  ClusterClient second(*transport_, cluster_);
  const auto refused = deploy_with(second, most);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_NE(refused.error().message.find("given away"), std::string::npos) << refused.error().message;
  // Who has a share may change it, and everybody runs: with one, and without.
  ASSERT_TRUE(deploy_with(*first, most));
  ASSERT_TRUE(deploy_with(second, {}));
  for (ClusterClient* client : {first.get(), &second}) {
    std::vector<TensorView> views;
    for (const Tensor& input : inputs_) views.push_back(view(input));
    const auto answer = client->run(views, {.timeout = 10s});
    EXPECT_TRUE(answer) << answer.error().message;
  }
  first.reset();
  EXPECT_TRUE(soon([&] { return deploy_with(second, most).has_value(); }));
}

// The gateway's engine, whose next run can be made to last until it is interrupted.
class InterruptedNodesTest : public NodesTest {
 protected:
  Engine& engine_of(std::size_t node) override {
    if (node != 1) return *engine_;
    if (!hooked_) {
      hooked_ = std::make_unique<HookedEngine>(*engine_);
      hooked_->before_run = [this](const RunOptions& options) -> Status {
        ++runs_;
        if (!lasts_.exchange(false)) return {};
        is_running_ = true;
        was_interrupted_ = options.cancel != nullptr && options.cancel->wait_for(20s);
        return Error{ErrorCode::kCancelled, "interrupted"};
      };
    }
    return *hooked_;
  }
  ~InterruptedNodesTest() override { nodes_.clear(); }

  std::unique_ptr<HookedEngine> hooked_;
  std::atomic<int> runs_{0};
  std::atomic<bool> lasts_{false}, is_running_{false}, was_interrupted_{false};
};

TEST_F(InterruptedNodesTest, ARunBeyondItsShareGivesWayAndIsRunAgain) {
  const auto with_share = [&](ClusterClient& client, std::uint32_t ppm) {
    const NodeShares shares{{"gateway", {.compute_ppm = ppm, .burst_ms = 1}}};
    return client.deploy(*model_, chain_, all_on("gateway"), CancelToken(), {}, shares);
  };
  ClusterClient flood(*transport_, cluster_), calm(*transport_, cluster_);
  ASSERT_TRUE(with_share(flood, 1));
  ASSERT_TRUE(with_share(calm, 500'000));
  // The first run shows what it takes; for the second that is too much of a millionth.
  ASSERT_TRUE(flood.run(views(), {.timeout = 60s}));
  const auto expected = flood.run(views(), {.timeout = 60s});
  ASSERT_TRUE(expected);
  const int before = runs_;
  lasts_ = true;
  auto slow = std::async(std::launch::async, [&] { return flood.run(views(), {.timeout = 60s}); });
  ASSERT_TRUE(soon([&] { return is_running_.load(); }));
  EXPECT_TRUE(calm.run(views(), {.timeout = 60s}));
  EXPECT_TRUE(was_interrupted_);
  const auto answer = slow.get();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(runs_ - before, 3);
  const auto right = expected->outputs[0].data.span(), seen = answer->outputs[0].data.span();
  EXPECT_TRUE(std::equal(right.begin(), right.end(), seen.begin(), seen.end()));
}

TEST_F(InterruptedNodesTest, WhoGivesUpBeyondItsShareIsNotRunAgain) {
  ClusterClient flood(*transport_, cluster_);
  const NodeShares shares{{"gateway", {.compute_ppm = 1, .burst_ms = 1}}};
  ASSERT_TRUE(flood.deploy(*model_, chain_, all_on("gateway"), CancelToken(), {}, shares));
  for (int n = 0; n < 2; ++n) ASSERT_TRUE(flood.run(views(), {.timeout = 60s}));
  const int before = runs_;
  lasts_ = true;
  const CancelToken given_up;
  auto slow = std::async(std::launch::async, [&] { return flood.run(views(), {.timeout = 60s, .cancel = given_up}); });
  ASSERT_TRUE(soon([&] { return is_running_.load(); }));
  given_up.cancel();
  const auto answer = slow.get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(soon([&] { return was_interrupted_.load(); }));
  EXPECT_EQ(runs_ - before, 1);
}

}  // namespace
}  // namespace tideline
