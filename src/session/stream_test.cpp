// Goal: a stream drops what its rule says and nothing else, keeps the order, ends when it should, and its first error is the one
// that is told. Method: the source under a clock that the test turns; the threads with a route that answers at once or in the
// order that the test wants.
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "platform/no_threads.h"
#include "session/stream.h"

namespace tideline {
namespace {

constexpr SteadyTime kStart{};
SteadyTime at(int milliseconds) { return kStart + std::chrono::milliseconds(milliseconds); }

// A route that takes one frame at a time for `service` ms: the numbers of the frames it serves until the source is over.
std::vector<std::uint64_t> served(StreamSource& source, int service) {
  std::vector<std::uint64_t> numbers;
  int now = 0;
  for (int turns = 0; turns < 1000 && !source.over(at(now)); ++turns) {
    if (const auto frame = source.take(at(now))) {
      numbers.push_back(frame->number);
      now += service;
    } else if (const auto due = source.next_due()) {
      now = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(*due - kStart).count());
    }
  }
  return numbers;
}

TEST(StreamSourceTest, WithoutARateAFrameIsThereWhenever) {
  StreamSource source({.frames = 3}, kStart);
  EXPECT_EQ(served(source, 7), (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(source.dropped(), 0u);
  StreamSource timed({.duration = std::chrono::milliseconds(20)}, kStart);
  EXPECT_EQ(served(timed, 7), (std::vector<std::uint64_t>{0, 1, 2}));
}

TEST(StreamSourceTest, ASlowSourceIsServedAsItComes) {
  StreamSource source({.rate_per_s = 100, .drop = DropRule::kOldest, .frames = 4}, kStart);
  EXPECT_EQ(served(source, 3), (std::vector<std::uint64_t>{0, 1, 2, 3}));
  EXPECT_EQ(source.dropped(), 0u);
}

TEST(StreamSourceTest, AFastSourceWaitsWithoutARule) {
  // Every 10 ms, served in 25: all of them, and each says when it arose.
  StreamSource source({.rate_per_s = 100, .frames = 4}, kStart);
  for (int i = 0; i < 4; ++i) {
    const auto frame = source.take(at(25 * i));
    ASSERT_TRUE(frame) << i;
    EXPECT_EQ(frame->number, static_cast<std::uint64_t>(i));
    EXPECT_EQ(frame->arrived, at(10 * i));
  }
  EXPECT_TRUE(source.over(at(100)));
  EXPECT_EQ(source.dropped(), 0u);
}

TEST(StreamSourceTest, DropOldestKeepsTheFreshest) {
  // Frames arise at 0, 10, .., 90; the route takes one at 0, 25, 50, 75, 100.
  StreamSource source({.rate_per_s = 100, .drop = DropRule::kOldest, .waiting_max = 1, .frames = 10}, kStart);
  EXPECT_EQ(served(source, 25), (std::vector<std::uint64_t>{0, 2, 5, 7, 9}));
  EXPECT_EQ(source.dropped(), 5u);
  StreamSource roomy({.rate_per_s = 100, .drop = DropRule::kOldest, .waiting_max = 2, .frames = 10}, kStart);
  EXPECT_EQ(served(roomy, 25), (std::vector<std::uint64_t>{0, 1, 4, 6, 8, 9}));
  EXPECT_EQ(roomy.dropped(), 4u);
}

TEST(StreamSourceTest, DropNewestServesWhatWaits) {
  StreamSource source({.rate_per_s = 100, .drop = DropRule::kNewest, .waiting_max = 1, .frames = 10}, kStart);
  EXPECT_EQ(served(source, 25), (std::vector<std::uint64_t>{0, 1, 3, 6, 8}));
  EXPECT_EQ(source.dropped(), 5u);
}

TEST(StreamSourceTest, NothingArisesAfterTheEnd) {
  StreamSource source({.rate_per_s = 100, .drop = DropRule::kOldest, .duration = std::chrono::milliseconds(35)}, kStart);
  EXPECT_EQ(served(source, 1), (std::vector<std::uint64_t>{0, 1, 2, 3}));
  EXPECT_FALSE(source.next_due());
  EXPECT_FALSE(source.take(at(1'000'000)));
  EXPECT_EQ(source.dropped(), 0u);
}

TEST(StreamSourceTest, ARateOfNearlyNeverOverflowsNothing) {
  StreamSource source({.rate_per_s = 1e-9}, kStart);
  EXPECT_TRUE(source.take(at(0)));
  EXPECT_FALSE(source.take(at(1000)));
  EXPECT_GT(*source.next_due(), at(1'000'000'000));
}

TEST(InOrderTest, WaitsForTheFirst) {
  InOrder<int> order;
  order.put(2, 20);
  order.put(1, 10);
  EXPECT_FALSE(order.next());
  order.put(0, 0);
  EXPECT_EQ(order.next(), 0);
  EXPECT_EQ(order.next(), 10);
  EXPECT_EQ(order.next(), 20);
  EXPECT_FALSE(order.next());
}

TEST(DropRuleTest, Names) {
  EXPECT_EQ(*drop_rule_from("oldest"), DropRule::kOldest);
  EXPECT_EQ(drop_rule_from("latest").error().code, ErrorCode::kInvalidArgument);
}

RunAnswer answer_of(const StreamFrame& frame) { return {.latency = Millis(static_cast<double>(frame.number))}; }

TEST(RunStreamTest, AnswersComeInOrderWhateverTheRouteDoes) {
  // Of each pair of frames the second is answered first.
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t odd_done = 0;
  std::vector<std::uint64_t> numbers;
  const auto end = run_stream(
      {.frames = 40}, 4,
      [&](const StreamFrame& frame, const CancelToken&) -> Result<RunAnswer> {
        std::unique_lock lock(mutex);
        if (frame.number % 2 == 1) {
          ++odd_done;
          changed.notify_all();
        } else {
          changed.wait(lock, [&] { return odd_done > frame.number / 2; });
        }
        return answer_of(frame);
      },
      [&](StreamAnswer&& answer) -> Status {
        EXPECT_EQ(answer.answer.latency.count(), static_cast<double>(answer.frame.number));
        EXPECT_LE(answer.sent, answer.answered);
        numbers.push_back(answer.frame.number);
        return {};
      },
      {});
  EXPECT_FALSE(end.error);
  ASSERT_EQ(numbers.size(), 40u);
  for (std::uint64_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], i);
}

TEST(RunStreamTest, SeveralAreUnderWayAndNotMore) {
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  int most = 0;
  const auto end = run_stream(
      {.frames = 30}, 3,
      [&](const StreamFrame& frame, const CancelToken&) -> Result<RunAnswer> {
        std::unique_lock lock(mutex);
        most = std::max(most, ++running);
        changed.notify_all();
        // The first ones wait for each other: with fewer in flight this would never end.
        if (frame.number < 3) changed.wait(lock, [&] { return most == 3; });
        --running;
        return answer_of(frame);
      },
      [](StreamAnswer&&) -> Status { return {}; }, {});
  EXPECT_FALSE(end.error);
  EXPECT_EQ(most, 3);
}

TEST(RunStreamTest, TheFirstErrorEndsTheStreamAndWhatIsUnderWay) {
  std::vector<std::uint64_t> numbers;
  const auto end = run_stream(
      {.frames = 1000}, 4,
      [&](const StreamFrame& frame, const CancelToken& stop) -> Result<RunAnswer> {
        if (frame.number < 5) return answer_of(frame);
        if (frame.number == 5) return Error{ErrorCode::kDisconnected, "the node is gone"};
        // Ends only because it is told to.
        while (!stop.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return Error{ErrorCode::kCancelled, "as told"};
      },
      [&](StreamAnswer&& answer) -> Status {
        numbers.push_back(answer.frame.number);
        return {};
      },
      {});
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, ErrorCode::kDisconnected);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1, 2, 3, 4}));
}

TEST(RunStreamTest, ASinkThatFailsEndsItToo) {
  const auto end = run_stream(
      {}, 2, [](const StreamFrame& frame, const CancelToken&) -> Result<RunAnswer> { return answer_of(frame); },
      [](StreamAnswer&& answer) -> Status {
        if (answer.frame.number == 7) return Error{ErrorCode::kOverloaded, "the disk is full"};
        return {};
      },
      {});
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, ErrorCode::kOverloaded);
}

TEST(RunStreamTest, CancellationEndsAnEndlessStream) {
  const CancelToken cancel;
  std::size_t answers = 0;
  const auto end = run_stream(
      {.rate_per_s = 1e5}, 3, [](const StreamFrame& frame, const CancelToken&) -> Result<RunAnswer> { return answer_of(frame); },
      [&](StreamAnswer&&) -> Status {
        if (++answers == 10) cancel.cancel();
        return {};
      },
      cancel);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, ErrorCode::kCancelled);
  EXPECT_GE(answers, 10u);
}

// System: no thread to be had. Expectation: the stream ends and says why; what the route throws ends it in the same way.
TEST(RunStream, WithoutThreadsOrMemoryItEndsWithAnError) {
  const auto route = [](const StreamFrame&, const CancelToken&) -> Result<RunAnswer> { return RunAnswer{}; };
  const auto sink = [](StreamAnswer&&) { return Status(); };
  {
    const NoThreads none;
    const StreamEnd end = run_stream({.frames = 5}, 3, route, sink, CancelToken());
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, ErrorCode::kOverloaded);
  }
  EXPECT_FALSE(run_stream({.frames = 5}, 3, route, sink, CancelToken()).error);
  const auto full = [](const StreamFrame&, const CancelToken&) -> Result<RunAnswer> { throw std::bad_alloc(); };
  const StreamEnd end = run_stream({.frames = 5}, 1, full, sink, CancelToken());
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, ErrorCode::kOverloaded);
}

}  // namespace
}  // namespace tideline
