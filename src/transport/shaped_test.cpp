// A shaped link's times. Only bounds that hold on any machine, however busy: bytes never arrive before they can have. That they
// are not late either is for bench/hop to show, on a quiet one.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

#include "transport/test_times.h"
#include "transport/transport.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;
using Clock = std::chrono::steady_clock;

struct ShapedEnds {
  std::unique_ptr<Connection> caller, node;
};
struct World {
  explicit World(const LinkShape& shape) : inner(make_loopback_transport()), transport(make_shaped_transport(*inner, shape)) {
    listener = transport->listen({"127.0.0.1", 0}).value();
  }
  ShapedEnds connect() {
    auto caller = transport->connect(listener->address(), soon()).value();
    return {std::move(caller), listener->accept(soon()).value()};
  }
  std::unique_ptr<Transport> inner, transport;
  std::unique_ptr<Listener> listener;
};

void send(Connection& connection, std::size_t bytes) {
  const std::vector<std::byte> data(bytes);
  const std::span<const std::byte> piece(data);
  const Status sent = connection.send({&piece, 1}, soon());
  ASSERT_TRUE(sent) << sent.error().message;
}
// When the last of so many bytes was there.
Clock::time_point receive(Connection& connection, std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  const std::span<std::byte> piece(data);
  const Status received = connection.receive({&piece, 1}, soon());
  EXPECT_TRUE(received) << received.error().message;
  return Clock::now();
}

TEST(Shaped, BytesTakeTheirTimeAndHalfARoundTripEachWay) {
  World world({.up_bytes_per_s = 1e6, .down_bytes_per_s = 2e6, .round_trip = 30ms});
  ShapedEnds ends = world.connect();
  auto start = Clock::now();
  auto sending = std::async(std::launch::async, [&] { send(*ends.caller, 100'000); });
  EXPECT_GE(receive(*ends.node, 100'000) - start, 100ms + 15ms) << "up";
  sending.get();
  start = Clock::now();
  sending = std::async(std::launch::async, [&] { send(*ends.node, 100'000); });
  EXPECT_GE(receive(*ends.caller, 100'000) - start, 50ms + 15ms) << "down";
  sending.get();
}

TEST(Shaped, TheDelayDoesNotLowerTheThroughput) {
  // 100 kB over a link of 1 MB/s with 200 ms one way: 300 ms. If each chunk (1500 bytes) waited for the one before, 13 s.
  World world({.up_bytes_per_s = 1e6, .round_trip = 400ms});
  ShapedEnds ends = world.connect();
  const auto start = Clock::now();
  auto sending = std::async(std::launch::async, [&] { send(*ends.caller, 100'000); });
  const auto time = receive(*ends.node, 100'000) - start;
  sending.get();
  EXPECT_GE(time, 300ms);
  EXPECT_LT(time, 6s);
}

TEST(Shaped, ConnectionsShareOneLink) {
  World world({.up_bytes_per_s = 1e6});
  ShapedEnds first = world.connect(), second = world.connect();
  const auto start = Clock::now();
  auto sending_first = std::async(std::launch::async, [&] { send(*first.caller, 60'000); });
  auto sending_second = std::async(std::launch::async, [&] { send(*second.caller, 60'000); });
  auto receiving = std::async(std::launch::async, [&] { return receive(*first.node, 60'000); });
  const auto last = std::max(receive(*second.node, 60'000), receiving.get());
  EXPECT_GE(last - start, 120ms) << "120 kB at 1 MB/s";
}

TEST(Shaped, AHeartbeatOvertakesSomebodyElsesTensor) {
  World world({.up_bytes_per_s = 1e6, .round_trip = 4ms});
  ShapedEnds data = world.connect(), control = world.connect();
  auto sending = std::async(std::launch::async, [&] { send(*data.caller, 400'000); });
  auto receiving = std::async(std::launch::async, [&] { return receive(*data.node, 400'000); });
  // After the first bytes of the tensor are on their way.
  while (data.caller->counters().sent_bytes == 0) std::this_thread::yield();
  send(*control.caller, 64);
  const auto heartbeat = receive(*control.node, 64);
  EXPECT_LT(heartbeat, receiving.get());
  sending.get();
}

TEST(Shaped, SendingTakesAboutAsLongAsTheLink) {
  // At most the queue's 6 kB are ahead of the link.
  World world({.up_bytes_per_s = 1e6});
  ShapedEnds ends = world.connect();
  const auto start = Clock::now();
  auto receiving = std::async(std::launch::async, [&] { return receive(*ends.node, 100'000); });
  send(*ends.caller, 100'000);
  EXPECT_GE(Clock::now() - start, 90ms);
  receiving.get();
}

TEST(Shaped, NoShapeIsTheTransportItself) {
  World world({});
  ShapedEnds ends = world.connect();
  send(*ends.caller, 10);
  receive(*ends.node, 10);
}

}  // namespace
}  // namespace tideline
