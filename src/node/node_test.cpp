// Goal: nodes in one process over the loopback transport answer many callers at once rightly, and the segment store keeps its
// promises. Method: no processes and no real clock to wait for, so that the sanitizers can watch every thread.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/limits.h"
#include "node/compute_slot.h"
#include "node/nodes_fixture.h"
#include "node/segment_store.h"

namespace tideline {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  ~StoreTest() override { std::filesystem::remove_all(folder_); }
  std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
  std::string folder_ = fresh_folder();
};

TEST_F(StoreTest, PiecesBecomeASegmentUnderItsHash) {
  const auto store = SegmentStore::open(folder_, 1'000'000);
  ASSERT_TRUE(store);
  const std::string text = "hello, segment";
  const Sha256 hash = sha256(text);
  EXPECT_TRUE((*store)->put(hash, text.size(), 0, bytes(text.substr(0, 5))));
  EXPECT_FALSE((*store)->has(hash));
  EXPECT_EQ(*(*store)->resume_at(hash), 5u);
  // From the wrong place: refused, and nothing changes.
  EXPECT_EQ((*store)->put(hash, text.size(), 7, bytes(text.substr(7))).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE((*store)->put(hash, text.size(), 5, bytes(text.substr(5))));
  EXPECT_TRUE((*store)->has(hash));
  EXPECT_EQ(*(*store)->read(hash), text);
}

TEST_F(StoreTest, AnUploadGoesOnAfterARestart) {
  const std::string text = "hello, segment";
  const Sha256 hash = sha256(text);
  {
    const auto store = SegmentStore::open(folder_, 1'000'000);
    EXPECT_TRUE((*store)->put(hash, text.size(), 0, bytes(text.substr(0, 5))));
  }
  const auto store = SegmentStore::open(folder_, 1'000'000);
  EXPECT_EQ(*(*store)->resume_at(hash), 5u);
  EXPECT_TRUE((*store)->put(hash, text.size(), 5, bytes(text.substr(5))));
  EXPECT_EQ(*(*store)->read(hash), text);
}

TEST_F(StoreTest, LimitsAndLiesAreRefused) {
  const auto store = SegmentStore::open(folder_, 10);
  const std::string text = "hello, segment";
  EXPECT_EQ((*store)->put(sha256(text), text.size(), 0, bytes(text)).error().code, ErrorCode::kOverloaded);
  EXPECT_EQ((*store)->put(sha256("x"), 3, 0, bytes("abc")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(*(*store)->resume_at(sha256("x")), 0u);
  EXPECT_EQ((*store)->put(sha256("x"), 3, 2, bytes("abc")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ((*store)->read(sha256("y")).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreTest, ManySmallSegmentsAndUploadsThatNeverEndAreRefused) {
  const auto store = SegmentStore::open(folder_, 1'000'000);
  for (std::size_t i = 0; i < limits::kNodeSegmentsMax; ++i)
    ASSERT_TRUE((*store)->put(sha256(std::to_string(i)), 2, 0, bytes("a"))) << i;
  const auto refused = (*store)->put(sha256("one more"), 2, 0, bytes("a"));
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_NE(refused.error().message.find("--store"), std::string::npos) << refused.error().message;
  // What has begun may go on.
  EXPECT_EQ(*(*store)->resume_at(sha256("0")), 1u);
  EXPECT_EQ((*store)->put(sha256("0"), 2, 1, bytes("b")).error().code, ErrorCode::kCorrupt);
}

TEST_F(StoreTest, ADamagedFileIsNoticedAndDeleted) {
  const auto store = SegmentStore::open(folder_, 1'000'000);
  const std::string text = "hello, segment";
  const Sha256 hash = sha256(text);
  ASSERT_TRUE((*store)->put(hash, text.size(), 0, bytes(text)));
  std::ofstream(folder_ + "/" + hash.hex() + ".segment") << "hello, segmenT";
  EXPECT_EQ((*store)->read(hash).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE((*store)->has(hash));
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

TEST_F(NodesTest, AnOldPlanStaysUntilItsCallerGoes) {
  ClusterClient one(*transport_, cluster_);
  ClusterClient other(*transport_, cluster_);
  ASSERT_TRUE(one.deploy(*model_, chain_, plan(), CancelToken(), [](const std::string&, Bytes, Bytes) {}));
  Plan alone = plan();
  alone.segments = {{.node = "server", .first_block = 0, .last_block = chain_.block_count() - 1}};
  ASSERT_TRUE(other.deploy(*model_, chain_, alone, CancelToken(), [](const std::string&, Bytes, Bytes) {}));
  EXPECT_TRUE(one.run(views(), {}));
  EXPECT_TRUE(other.run(views(), {}));
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
