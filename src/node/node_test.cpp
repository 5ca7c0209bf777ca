// Goal: nodes in one process over the loopback transport answer many callers at once rightly.
// Method: no processes and no real clock to wait for, so that the sanitizers can watch every thread.
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/limits.h"
#include "node/compute_slot.h"
#include "node/nodes_fixture.h"

namespace tideline {
namespace {

// Says nothing, and keeps until when it was waited for.
class SilentTransport final : public Transport {
 public:
  Result<std::unique_ptr<Connection>> connect(const Address&, SteadyTime deadline, const CancelToken*) override {
    waited_until = deadline;
    return Error{ErrorCode::kDeadlineExceeded, "[test] nobody answers"};
  }
  Result<std::unique_ptr<Listener>> listen(const Address&) override { return Error{ErrorCode::kUnsupported, "[test]"}; }
  SteadyTime waited_until = kNoDeadline;
};

TEST(ClusterClientTest, WaitsForANodeNoLongerThanItIsTold) {
  SilentTransport silent;
  Cluster cluster;
  cluster.nodes.push_back({.name = "camera", .host = "127.0.0.1", .port = 1});
  ClusterClient client(silent, cluster, std::chrono::milliseconds(20));
  const SteadyTime asked = std::chrono::steady_clock::now();
  EXPECT_EQ(client.peer(0).error().code, ErrorCode::kDeadlineExceeded);
  // That is the deadline it gave, and not how long it took.
  EXPECT_LT(silent.waited_until, std::chrono::steady_clock::now() + std::chrono::milliseconds(21));
  EXPECT_GE(silent.waited_until, asked + std::chrono::milliseconds(20));
}

TEST(ComputeSlotTest, FirstComeFirstServedWithinLimits) {
  ComputeSlot slot;
  const CancelToken never;
  std::optional<Result<ComputeSlot::Turn>> turn = slot.acquire(kNoDeadline, never, 1);
  ASSERT_TRUE(*turn);
  EXPECT_EQ(slot.acquire(deadline_in(std::chrono::milliseconds(5)), never, 1).error().code, ErrorCode::kDeadlineExceeded);
  CancelToken cancelled;
  cancelled.cancel();
  EXPECT_EQ(slot.acquire(kNoDeadline, cancelled, 1).error().code, ErrorCode::kCancelled);
  std::thread waiting([&] { EXPECT_TRUE(slot.acquire(kNoDeadline, never, 5)); });
  // With one waiting already, a second is refused; without it, it would wait: cancelled so that the test ends either way.
  while (true) {
    CancelToken soon;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      soon.cancel();
    });
    const auto refused = slot.acquire(kNoDeadline, soon, 1);
    canceller.join();
    ASSERT_FALSE(refused);
    if (refused.error().code == ErrorCode::kOverloaded) break;
  }
  turn.reset();
  waiting.join();
}

TEST(ComputeSlotTest, TheEarliestDeadlineWithinItsShareGoesFirstAndOfEqualOnesTheFirst) {
  ComputeSlot slot;
  const CancelToken never;
  std::optional<Result<ComputeSlot::Turn>> turn = slot.acquire(kNoDeadline, never, 10);
  ASSERT_TRUE(*turn);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::thread> waiting;
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto wait = [&](int name, SteadyTime deadline, bool beyond_share = false) {
    waiting.emplace_back([&, name, deadline, beyond_share] {
      const auto mine = slot.acquire(deadline, never, 10, beyond_share);
      ASSERT_TRUE(mine);
      const std::lock_guard lock(mutex);
      order.push_back(name);
    });
    // Until it waits, one more place than those before is taken: the next would be refused.
    while (true) {
      CancelToken cancelled;
      cancelled.cancel();
      const auto probe = slot.acquire(kNoDeadline, cancelled, waiting.size(), true);
      if (probe.error().code == ErrorCode::kOverloaded) break;
      std::this_thread::yield();
    }
  };
  wait(6, now + std::chrono::minutes(1), true);
  CancelToken given_up;
  given_up.cancel();
  // Who is beyond its share takes no place from who is within.
  EXPECT_EQ(slot.acquire(kNoDeadline, given_up, 1).error().code, ErrorCode::kCancelled);
  wait(1, kNoDeadline);
  wait(2, kNoDeadline);
  wait(3, now + std::chrono::hours(2));
  wait(4, now + std::chrono::hours(1));
  wait(5, now + std::chrono::hours(2));
  turn.reset();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(order, (std::vector<int>{4, 3, 5, 1, 2, 6}));
}

TEST(ComputeSlotTest, ARunBeyondItsShareGivesWayToOneWithin) {
  ComputeSlot slot;
  const CancelToken never;
  const auto ask = [&](bool beyond_share) {
    return std::async(std::launch::async,
                      [&slot, &never, beyond_share] { return slot.acquire(kNoDeadline, never, 10, beyond_share); });
  };
  std::optional<Result<ComputeSlot::Turn>> turn = slot.acquire(kNoDeadline, never, 10, true);
  ASSERT_TRUE(*turn && (**turn).wanted());
  const CancelToken wanted = *(**turn).wanted();
  // Who is beyond theirs too waits until it is through.
  auto patient = ask(true);
  EXPECT_FALSE(wanted.wait_for(std::chrono::milliseconds(20)));
  auto urgent = ask(false);
  EXPECT_TRUE(wanted.wait_for(std::chrono::seconds(60)));
  turn.reset();
  {
    const auto mine = urgent.get();
    ASSERT_TRUE(mine);
    // Within its share nobody interrupts it.
    EXPECT_FALSE((*mine).wanted());
    EXPECT_EQ(patient.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  }
  const auto last = patient.get();
  ASSERT_TRUE(last && (*last).wanted());
  EXPECT_FALSE((*last).wanted()->cancelled());
}

TEST_F(NodesTest, ManyCallersAtOnceGetTheSameAnswer) {
  ClusterClient client(*transport_, cluster_);
  const auto deployed = client.deploy(*model_, chain_, plan(), CancelToken(), [](const std::string&, Bytes, Bytes) {});
  ASSERT_TRUE(deployed) << deployed.error().message;
  const auto first = client.run(views(), {});
  ASSERT_TRUE(first) << first.error().message;
  const auto expected = first->outputs[0].data.span();
  std::atomic<int> right{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        const auto answer = client.run(views(), {});
        if (answer && std::equal(expected.begin(), expected.end(), answer->outputs[0].data.span().begin())) ++right;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 40);
}

// What is wanted nowhere stays where it was made, wherever the last segment ran; how long everything took still comes back.
TEST_F(NodesTest, AnAnswerThatIsWantedNowhereIsAWord) {
  ClusterClient client(*transport_, cluster_);
  for (Plan quiet : {plan(), all_on("server"), all_on("camera")}) {
    quiet.result_to = ResultTo::kNowhere;
    const auto deployed = deploy(client, quiet);
    ASSERT_TRUE(deployed) << deployed.error().message;
    for (int i = 0; i < 3; ++i) {
      const auto answer = client.run(views(), {});
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_TRUE(answer->outputs.empty());
      ASSERT_EQ(answer->stages.back().node, quiet.segments.back().node);
      EXPECT_EQ(answer->stages.back().bytes, 0u);
    }
  }
  Plan loud = plan();
  ASSERT_TRUE(deploy(client, loud));
  const auto answer = client.run(views(), {});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->outputs.size(), 1u);
}

// Plans belong to their callers: another caller's plan does not push one out, and each goes with its caller or with its
// successor.
TEST_F(NodesTest, APlanStaysUntilItsCallerGoesOrReplacesIt) {
  const auto loaded = [this](std::size_t node, std::uint32_t count) {
    return soon([&] { return status(node).segments_loaded == count; });
  };
  ClusterClient one(*transport_, cluster_);
  ASSERT_TRUE(deploy(one, plan()));
  const auto expected = one.run(views(), {});
  ASSERT_TRUE(expected) << expected.error().message;
  EXPECT_TRUE(loaded(2, 1));
  const auto same_as_before = [&](ClusterClient& client, std::size_t stages) {
    const auto answer = client.run(views(), {});
    ASSERT_TRUE(answer) << answer.error().message;
    const auto left = answer->outputs.at(0).data.span(), right = expected->outputs.at(0).data.span();
    EXPECT_TRUE(std::equal(left.begin(), left.end(), right.begin(), right.end()));
    EXPECT_EQ(
        std::count_if(answer->stages.begin(), answer->stages.end(), [](const auto& stage) { return stage.compute.count() > 0; }),
        static_cast<std::ptrdiff_t>(stages));
  };
  {
    ClusterClient other(*transport_, cluster_);
    ASSERT_TRUE(deploy(other, all_on("server")));
    same_as_before(other, 1);
    EXPECT_TRUE(loaded(2, 2));
    same_as_before(one, 3);
    same_as_before(other, 1);
  }
  EXPECT_TRUE(loaded(2, 1)) << "the other's plan went with it";
  same_as_before(one, 3);
  ASSERT_TRUE(deploy(one, all_on("camera")));
  same_as_before(one, 1);
  EXPECT_TRUE(loaded(0, 1));
  EXPECT_TRUE(loaded(1, 0));
  EXPECT_TRUE(loaded(2, 0)) << "the old plan went when the new one came";
}

TEST_F(NodesTest, AStoppedNodeIsAnErrorAndNotAHang) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(client.deploy(*model_, chain_, plan(), CancelToken(), [](const std::string&, Bytes, Bytes) {}));
  nodes_[2].reset();
  const auto answer = client.run(views(), {.timeout = std::chrono::seconds(10)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kDisconnected) << answer.error().message;
}

TEST_F(NodesTest, PlansThatDoNotFitAreRefusedBeforeAnythingIsSent) {
  ClusterClient client(*transport_, cluster_);
  Plan wrong = plan();
  std::swap(wrong.segments[0].node, wrong.segments[1].node);
  EXPECT_EQ(client.deploy(*model_, chain_, wrong, CancelToken(), [](const std::string&, Bytes, Bytes) {}).error().code,
            ErrorCode::kInvalidArgument);
  wrong = plan();
  wrong.segments.pop_back();
  EXPECT_FALSE(client.deploy(*model_, chain_, wrong, CancelToken(), [](const std::string&, Bytes, Bytes) {}));
  EXPECT_EQ(client.run(views(), {}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline
