// What only TCP has: names of hosts, the limit of connections, and running out of descriptors.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <future>
#include <thread>

#include "base/limits.h"
#include "transport/tcp/resolver.h"
#include "transport/test_times.h"
#include "transport/transport.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

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
  // Those two were refused and not left hanging; so is a third, later.
  std::byte byte{};
  for (int i = 0; i < 2; ++i) {
    const auto end = callers[i]->receive_some({&byte, 1}, soon());
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, ErrorCode::kDisconnected);
  }
  // With nobody waiting, being out of descriptors is no news: accept waits, and does not spin.
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto third_refused = listener->accept(soon());
  const auto nobody = listener->accept(deadline_in(std::chrono::milliseconds(20)));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(third_refused.error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(nobody.error().code, ErrorCode::kDeadlineExceeded);
  callers[2] = tcp->connect(listener->address(), soon()).value();
  const auto third = listener->accept(soon());
  ASSERT_TRUE(third) << third.error().message;
  const std::span<const std::byte> piece(&byte, 1);
  ASSERT_TRUE((*third)->send({&piece, 1}, soon()));
  EXPECT_TRUE(callers[2]->receive_some({&byte, 1}, soon()));
}

// A name server that does not answer: the wait ends with the deadline or the caller's word, numbers never ask, and lookups that
// were left behind are counted and end by themselves.
TEST(Resolver, ASilentNameServerHoldsNobody) {
  struct Server {
    std::mutex mutex;
    std::condition_variable changed;
    bool answers = false;
    int asked = 0;
  };
  const auto server = std::make_shared<Server>();
  const tcp::Lookup silent = [server](const char*, const char* port, const addrinfo* hints, addrinfo** found) {
    {
      std::unique_lock lock(server->mutex);
      ++server->asked;
      server->changed.notify_all();
      server->changed.wait(lock, [&] { return server->answers; });
    }
    return ::getaddrinfo("127.0.0.1", port, hints, found);
  };
  const Address name{"gateway.example", 7411};
  const auto soon_over = [] { return deadline_in(std::chrono::milliseconds(10)); };
  EXPECT_TRUE(tcp::resolve({"192.0.2.1", 1}, false, soon_over(), nullptr, silent));
  EXPECT_TRUE(tcp::resolve({"::1", 1}, true, soon_over(), nullptr, silent));
  EXPECT_EQ(server->asked, 0);
  EXPECT_EQ(tcp::resolve(name, false, soon_over(), nullptr, silent).error().code, ErrorCode::kDeadlineExceeded);

  CancelToken cancel;
  std::thread canceller([&] {
    std::unique_lock lock(server->mutex);
    server->changed.wait(lock, [&] { return server->asked == 2; });
    cancel.cancel();
  });
  EXPECT_EQ(tcp::resolve(name, false, kNoDeadline, &cancel, silent).error().code, ErrorCode::kCancelled);
  canceller.join();

  std::optional<ErrorCode> last;
  for (std::size_t i = 0; i < limits::kResolverThreadsMax && last != ErrorCode::kOverloaded; ++i)
    last = tcp::resolve(name, false, soon_over(), nullptr, silent).error().code;
  EXPECT_EQ(last, ErrorCode::kOverloaded);
  {
    const std::lock_guard lock(server->mutex);
    server->answers = true;
    server->changed.notify_all();
  }
  while (true) {
    const auto found = tcp::resolve(name, false, soon(), nullptr, silent);
    if (!found && found.error().code == ErrorCode::kOverloaded) continue;  // those left behind are ending
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->size(), 1u);
    break;
  }
}

}  // namespace
}  // namespace tideline
