// What only TCP has: addresses, the limit of connections, and running out of descriptors.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <future>

#include "transport/transport.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

SteadyTime soon() { return deadline_in(20s); }

TEST(Address, GoodOnesAreReadAndWrittenBack) {
  EXPECT_EQ(parse_address("127.0.0.1:7411").value(), (Address{"127.0.0.1", 7411}));
  EXPECT_EQ(parse_address(":7411").value(), (Address{"127.0.0.1", 7411}));
  EXPECT_EQ(parse_address("edge-1.local:0").value(), (Address{"edge-1.local", 0}));
  EXPECT_EQ(parse_address("[::1]:65535").value(), (Address{"::1", 65535}));
  for (const char* text : {"10.0.0.1:80", "[fe80::1]:1", "name:7"}) EXPECT_EQ(to_string(parse_address(text).value()), text);
}

TEST(Address, BadOnesAreRefusedWithAnExample) {
  for (const char* text : {"", "edge", "edge:", "edge:x", "edge:-1", "edge:65536", "edge:1 ", " edge:1", "edge:01x", "::1:80",
                           "[::1]", "[]:1", "[::1:80", "[::1]80", "[edge]:1", "a_b:1", "a/b:1", "edge:+1", "edge:999999999999"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(address.error().message, testing::HasSubstr("127.0.0.1:7411"));
  }
  EXPECT_FALSE(parse_address(std::string(300, 'a') + ":1"));
}

TEST(Address, LoopbackIsKnown) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"})
    EXPECT_TRUE(is_loopback(parse_address(text).value())) << text;
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "edge:1"})
    EXPECT_FALSE(is_loopback(parse_address(text).value())) << text;
}

TEST(Tcp, ForeignAndUnknownAddressesAreErrorsThatSaySo) {
  const auto tcp = make_tcp_transport({});
  const auto foreign = tcp->listen({"192.0.2.1", 0});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::kInvalidArgument) << foreign.error().message;
}

TEST(Tcp, NamesAndIpv6Work) {
  const auto tcp = make_tcp_transport({});
  const auto named = tcp->listen({"localhost", 0});
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_TRUE(tcp->connect({"localhost", (*named)->address().port}, soon()));
  const auto listener = tcp->listen({"::1", 0});
  if (!listener) GTEST_SKIP() << "no IPv6 here: " << listener.error().message;
  EXPECT_EQ((*listener)->address().host, "::1");
  const auto caller = tcp->connect((*listener)->address(), soon());
  ASSERT_TRUE(caller) << caller.error().message;
  EXPECT_TRUE((*listener)->accept(soon()));
}

TEST(Tcp, MoreConnectionsThanAllowedAreRefusedUntilOneCloses) {
  const auto tcp = make_tcp_transport({.connections_max = 2});
  const auto listener = tcp->listen({"127.0.0.1", 0}).value();
  std::vector<std::unique_ptr<Connection>> callers, nodes;
  for (int i = 0; i < 2; ++i) {
    callers.push_back(tcp->connect(listener->address(), soon()).value());
    nodes.push_back(listener->accept(soon()).value());
  }
  const auto third = tcp->connect(listener->address(), soon()).value();
  const auto refused = listener->accept(soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  std::byte byte{};
  const auto end = third->receive_some({&byte, 1}, soon());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kDisconnected);
  nodes.pop_back();
  const auto fourth = tcp->connect(listener->address(), soon()).value();
  EXPECT_TRUE(listener->accept(soon()));
}

// Runs out of descriptors as `ulimit -n` does, then gets them back: accepting must refuse meanwhile and work again after.
TEST(Tcp, OutOfDescriptorsRefusesAndRecovers) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const auto tcp = make_tcp_transport({});
  const auto listener = tcp->listen({"127.0.0.1", 0}).value();
  std::vector<std::unique_ptr<Connection>> callers;
  for (int i = 0; i < 3; ++i) callers.push_back(tcp->connect(listener->address(), soon()).value());
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(next, 0);
  ::close(next);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto first = listener->accept(soon());
  const auto second = listener->accept(soon());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const auto* refused : {&first, &second}) {
    ASSERT_FALSE(*refused);
    EXPECT_EQ(refused->error().code, ErrorCode::kOverloaded) << refused->error().message;
  }
  // Those two were refused and not left hanging; the third is served.
  std::byte byte{};
  for (int i = 0; i < 2; ++i) {
    const auto end = callers[i]->receive_some({&byte, 1}, soon());
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, ErrorCode::kDisconnected);
  }
  const auto third = listener->accept(soon());
  ASSERT_TRUE(third) << third.error().message;
  const std::span<const std::byte> piece(&byte, 1);
  ASSERT_TRUE((*third)->send({&piece, 1}, soon()));
  EXPECT_TRUE(callers[2]->receive_some({&byte, 1}, soon()));
}

}  // namespace
}  // namespace tideline
