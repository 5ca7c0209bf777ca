// What every transport must do, whatever it is made of. Each case runs over each of them; threads meet through the connection
// itself, never by sleeping.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <numeric>
#include <thread>

#include "transport/test_times.h"
#include "transport/transport.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

struct World {
  // Owns what it is made of.
  std::unique_ptr<Transport> inner;
  std::unique_ptr<Transport> transport;
};
struct Kind {
  std::string name;
  World (*make)();
};

World shaped(std::unique_ptr<Transport> inner, const LinkShape& shape) {
  auto transport = make_shaped_transport(*inner, shape);
  return {std::move(inner), std::move(transport)};
}

const Kind kKinds[] = {
    {"tcp",
     [] {
       return World{nullptr, make_tcp_transport({})};
     }},
    {"tcp_small_buffers",
     [] {
       return World{nullptr, make_tcp_transport({.buffer_bytes = 65536})};
     }},
    {"loopback",
     [] {
       return World{nullptr, make_loopback_transport()};
     }},
    {"shaped_loopback",
     [] { return shaped(make_loopback_transport(), {.up_bytes_per_s = 3e8, .down_bytes_per_s = 2e8, .round_trip = 2ms}); }},
    {"shaped_tcp",
     [] { return shaped(make_tcp_transport({}), {.up_bytes_per_s = 2e8, .down_bytes_per_s = 3e8, .round_trip = 1ms}); }},
    {"shaped_tcp_delay_only", [] { return shaped(make_tcp_transport({}), {.round_trip = 3ms}); }},
};

// Generous: only a hang reaches it.
std::vector<std::byte> pattern(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    seed = seed * 1664525u + 1013904223u;
    bytes[i] = static_cast<std::byte>(seed >> 24);
  }
  return bytes;
}

Status send_all(Connection& connection, std::span<const std::byte> bytes, SteadyTime deadline = soon()) {
  return connection.send({&bytes, 1}, deadline);
}
Status receive_all(Connection& connection, std::span<std::byte> bytes, SteadyTime deadline = soon()) {
  return connection.receive({&bytes, 1}, deadline);
}

class Conformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    world_ = GetParam().make();
    auto listener = world_.transport->listen({"127.0.0.1", 0});
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    connect(caller_, node_);
  }
  void connect(std::unique_ptr<Connection>& caller, std::unique_ptr<Connection>& node) {
    auto connected = world_.transport->connect(listener_->address(), soon());
    ASSERT_TRUE(connected) << connected.error().message;
    auto accepted = listener_->accept(soon());
    ASSERT_TRUE(accepted) << accepted.error().message;
    caller = std::move(*connected);
    node = std::move(*accepted);
  }

  World world_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Connection> caller_, node_;
};

TEST_P(Conformance, KeepsOrderAndContentBothWaysAtOnce) {
  constexpr std::size_t kSize = 3'000'000;
  const auto up = pattern(kSize, 1), down = pattern(kSize, 2);
  const auto send_in_pieces = [](Connection& connection, std::span<const std::byte> bytes) -> Status {
    for (std::size_t step = 1; !bytes.empty(); step = step * 3 % 65537) {
      const auto piece = bytes.first(std::min(step, bytes.size()));
      TIDELINE_CHECK_OK(send_all(connection, piece));
      bytes = bytes.subspan(piece.size());
    }
    return {};
  };
  auto sending_up = std::async(std::launch::async, [&] { return send_in_pieces(*caller_, up); });
  auto sending_down = std::async(std::launch::async, [&] { return send_in_pieces(*node_, down); });
  std::vector<std::byte> got_up(kSize), got_down(kSize);
  auto receiving_up = std::async(std::launch::async, [&] { return receive_all(*node_, got_up); });
  const Status received = receive_all(*caller_, got_down);
  EXPECT_TRUE(received) << received.error().message;
  EXPECT_TRUE(receiving_up.get());
  EXPECT_TRUE(sending_up.get());
  EXPECT_TRUE(sending_down.get());
  EXPECT_TRUE(got_up == up);
  EXPECT_TRUE(got_down == down);
}

TEST_P(Conformance, GathersAndScattersPiecesOfAllSizesAndEmptyOnes) {
  const auto bytes = pattern(100'000, 3);
  std::vector<std::span<const std::byte>> out{{}};
  for (std::size_t at = 0, step = 1; at < bytes.size(); at += step, step = step % 701 + 1) {
    step = std::min(step, bytes.size() - at);
    out.push_back(std::span(bytes).subspan(at, step));
    if (step % 5 == 0) out.push_back({});
  }
  ASSERT_GT(out.size(), 300u) << "more than one call's worth of pieces";
  auto sending = std::async(std::launch::async, [&] { return caller_->send(out, soon()); });
  std::vector<std::byte> got(bytes.size());
  std::vector<std::span<std::byte>> in{{}};
  for (std::size_t at = 0; at < got.size(); at += 333)
    in.push_back(std::span(got).subspan(at, std::min<std::size_t>(333, got.size() - at)));
  in.push_back({});
  const Status received = node_->receive(in, soon());
  EXPECT_TRUE(received) << received.error().message;
  EXPECT_TRUE(sending.get());
  EXPECT_TRUE(got == bytes);
  EXPECT_EQ(caller_->counters().sent_bytes, bytes.size());
  EXPECT_EQ(node_->counters().received_bytes, bytes.size());
}

TEST_P(Conformance, NothingToSendOrReceiveIsFine) {
  EXPECT_TRUE(caller_->send({}, soon()));
  EXPECT_TRUE(node_->receive({}, soon()));
  const std::span<std::byte> empty;
  EXPECT_TRUE(node_->receive({&empty, 1}, deadline_in(-1s)));
}

TEST_P(Conformance, ReceiveSomeTakesWhatIsThere) {
  const auto bytes = pattern(10, 4);
  ASSERT_TRUE(send_all(*caller_, bytes));
  std::vector<std::byte> got(1000);
  std::size_t have = 0;
  while (have < 10) {
    const auto count = node_->receive_some(std::span(got).subspan(have), soon());
    ASSERT_TRUE(count) << count.error().message;
    ASSERT_GE(*count, 1u);
    have += *count;
  }
  EXPECT_EQ(have, 10u);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got.begin()));
}

TEST_P(Conformance, ADeadlineWithoutAByteLosesNothing) {
  std::vector<std::byte> got(4);
  for (const auto wait : {-1000ms, 0ms, 1ms, 30ms, 90ms}) {
    const auto before = std::chrono::steady_clock::now();
    const auto deadline = before + wait;
    const auto some = node_->receive_some(got, deadline);
    ASSERT_FALSE(some);
    EXPECT_EQ(some.error().code, ErrorCode::kDeadlineExceeded) << some.error().message;
    EXPECT_GE(std::chrono::steady_clock::now(), deadline);
    const Status all = receive_all(*node_, got, deadline);
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code, ErrorCode::kDeadlineExceeded);
  }
  const auto bytes = pattern(4, 5);
  ASSERT_TRUE(send_all(*caller_, bytes));
  ASSERT_TRUE(receive_all(*node_, got));
  EXPECT_EQ(got, bytes);
}

TEST_P(Conformance, WhatIsThereIsTakenThoughTheDeadlineHasPassed) {
  const auto bytes = pattern(4, 13);
  ASSERT_TRUE(send_all(*caller_, bytes));
  std::vector<std::byte> got(4);
  const auto first = node_->receive_some(std::span(got).first(1), soon());
  ASSERT_TRUE(first);
  // The four came together.
  EXPECT_TRUE(receive_all(*node_, std::span(got).subspan(1), deadline_in(-1s)));
  EXPECT_EQ(got, bytes);
}

TEST_P(Conformance, ADeadlineInTheMiddleEndsTheConnection) {
  const auto bytes = pattern(4, 6);
  ASSERT_TRUE(send_all(*caller_, bytes));
  std::vector<std::byte> got(5);
  // The first byte is there for sure before the deadline begins.
  const auto first = node_->receive_some(std::span(got).first(1), soon());
  ASSERT_TRUE(first);
  const Status rest = receive_all(*node_, std::span(got).subspan(1), deadline_in(300ms));
  ASSERT_FALSE(rest);
  EXPECT_EQ(rest.error().code, ErrorCode::kDeadlineExceeded) << rest.error().message;
  const auto after = node_->receive_some(got, soon());
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, ErrorCode::kDisconnected);
}

TEST_P(Conformance, SendingToWhoDoesNotReadEndsAtTheDeadline) {
  const auto bytes = pattern(64 << 20, 7);
  const auto deadline = deadline_in(150ms);
  const Status sent = send_all(*caller_, bytes, deadline);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kDeadlineExceeded) << sent.error().message;
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
  const Status again = send_all(*caller_, std::span(bytes).first(1));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kDisconnected);
}

TEST_P(Conformance, ShutdownWakesAReceiver) {
  for (const SteadyTime deadline : {kNoDeadline, soon()}) {
    std::unique_ptr<Connection> caller, node;
    connect(caller, node);
    std::promise<void> started;
    auto receiving = std::async(std::launch::async, [&] {
      std::vector<std::byte> got(10);
      started.set_value();
      return receive_all(*node, got, deadline);
    });
    started.get_future().wait();
    node->shutdown();
    const Status received = receiving.get();
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, ErrorCode::kDisconnected) << received.error().message;
  }
}

TEST_P(Conformance, ShutdownWakesASender) {
  std::promise<void> started;
  auto sending = std::async(std::launch::async, [&] {
    const auto bytes = pattern(64 << 20, 8);
    started.set_value();
    return send_all(*caller_, bytes, kNoDeadline);
  });
  started.get_future().wait();
  std::vector<std::byte> got(1000);
  ASSERT_TRUE(receive_all(*node_, got)) << "it is sending now";
  caller_->shutdown();
  const Status sent = sending.get();
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kDisconnected) << sent.error().message;
}

TEST_P(Conformance, ThePeersEndIsDisconnectedForReceiverAndSender) {
  caller_.reset();
  std::vector<std::byte> got(10);
  const Status received = receive_all(*node_, got);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kDisconnected) << received.error().message;
  // The first bytes may still be taken by the operating system; not all.
  const auto bytes = pattern(32 << 20, 9);
  const Status sent = send_all(*node_, bytes);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kDisconnected) << sent.error().message;
}

TEST_P(Conformance, ThePeersEndInTheMiddleOfAMessageIsDisconnected) {
  const auto bytes = pattern(4, 10);
  ASSERT_TRUE(send_all(*caller_, bytes));
  caller_->finish(deadline_in(0s));
  std::vector<std::byte> got(5);
  const Status received = receive_all(*node_, got);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kDisconnected) << received.error().message;
}

TEST_P(Conformance, FinishDeliversTheLastMessageThoughInputIsUnread) {
  const auto unread = pattern(50'000, 11);
  auto sending = std::async(std::launch::async, [&] { return send_all(*caller_, unread); });
  const auto last = pattern(5'000, 12);
  ASSERT_TRUE(send_all(*node_, last));
  auto finishing = std::async(std::launch::async, [&] {
    node_->finish(soon());
    node_.reset();
  });
  std::vector<std::byte> got(last.size());
  const Status received = receive_all(*caller_, got);
  EXPECT_TRUE(received) << received.error().message;
  EXPECT_EQ(got, last);
  EXPECT_TRUE(sending.get());
  const auto end = caller_->receive_some(got, soon());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kDisconnected);
  caller_.reset();
  finishing.get();
}

TEST_P(Conformance, FinishEndsAtItsDeadlineWhenThePeerStays) {
  node_->finish(deadline_in(20ms));
  std::vector<std::byte> got(1);
  EXPECT_FALSE(receive_all(*caller_, got));
}

TEST_P(Conformance, ManyConnectionsDoNotMix) {
  constexpr unsigned kConnections = 24;
  std::vector<std::unique_ptr<Connection>> callers(kConnections), nodes(kConnections);
  for (unsigned i = 0; i < kConnections; ++i) connect(callers[i], nodes[i]);
  std::vector<std::thread> echoes;
  for (unsigned i = 0; i < kConnections; ++i) {
    echoes.emplace_back([&node = *nodes[i]] {
      std::vector<std::byte> bytes(5000);
      while (receive_all(node, bytes)) {
        if (!send_all(node, bytes)) return;
      }
    });
  }
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kConnections; ++i) {
    threads.emplace_back([&right, i, &caller = *callers[i]] {
      for (unsigned round = 0; round < 5; ++round) {
        const auto bytes = pattern(5000, 100 * i + round);
        std::vector<std::byte> got(bytes.size());
        if (send_all(caller, bytes) && receive_all(caller, got) && got == bytes) ++right;
      }
      caller.shutdown();
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& thread : echoes) thread.join();
  EXPECT_EQ(right.load(), 5 * static_cast<int>(kConnections));
}

TEST_P(Conformance, ConnectingToNobodyIsDisconnected) {
  const Address gone = listener_->address();
  listener_.reset();
  const auto connected = world_.transport->connect(gone, soon());
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, ErrorCode::kDisconnected) << connected.error().message;
}

TEST_P(Conformance, AcceptHasADeadlineAndShutdownWakesIt) {
  const auto nobody = listener_->accept(deadline_in(5ms));
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, ErrorCode::kDeadlineExceeded);
  auto accepting = std::async(std::launch::async, [&] { return listener_->accept(kNoDeadline); });
  listener_->shutdown();
  const auto ended = accepting.get();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kDisconnected);
}

TEST_P(Conformance, TwoListenersCannotHaveOneAddress) {
  EXPECT_NE(listener_->address().port, 0);
  const auto second = world_.transport->listen(listener_->address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kInvalidArgument) << second.error().message;
}

INSTANTIATE_TEST_SUITE_P(Transports, Conformance, testing::ValuesIn(kKinds), [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace tideline
