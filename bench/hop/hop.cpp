// What one hop costs: RUN with a tensor up and RESULT with 4 kB back through the real codec, channel and TCP transport, against
// the plainest program that moves the same bytes. Both run in the same rounds, one after the other, so that both meet the same
// machine.
//
//   hop [--share 0.1] [--json]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "transport/channel.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kReplyBytes = 4096;

struct Size {
  const char* name;
  std::size_t bytes;
  int rounds;  // of a full measurement; fewer for what takes long
};
constexpr Size kSizes[] = {{"4 kB", 4'096, 3000},
                           {"150 kB", 150'528, 2000},
                           {"602 kB", 602'112, 2000},
                           {"3.3 MB", 3'300'352, 300},
                           {"12.8 MB", 12'845'056, 80}};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "hop: %s\n", what.c_str());
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) fail(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

double microseconds(Clock::time_point since) { return std::chrono::duration<double, std::micro>(Clock::now() - since).count(); }
double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// The plainest program: blocking sockets, Nagle off at both ends, buffers made once.
class RawEcho {
 public:
  explicit RawEcho(std::size_t bytes) : bytes_(bytes), sent_(bytes), reply_(kReplyBytes) {
    std::memset(sent_.data(), 1, bytes);
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 1) != 0) fail("cannot listen");
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0) fail("cannot connect");
    const int accepted = ::accept(listener, nullptr, nullptr);
    ::close(listener);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    server_ = std::thread([accepted, bytes] {
      Buffer buffer(bytes), reply(kReplyBytes);
      std::memset(reply.data(), 1, reply.size());
      while (receive(accepted, buffer.data(), bytes) && send(accepted, reply.data(), reply.size())) {
      }
      ::close(accepted);
    });
  }
  ~RawEcho() {
    ::close(socket_);
    server_.join();
  }
  double round_trip() {
    const auto start = Clock::now();
    if (!send(socket_, sent_.data(), bytes_) || !receive(socket_, reply_.data(), kReplyBytes)) fail("the raw echo broke");
    return microseconds(start);
  }

 private:
  static bool send(int socket, const std::byte* at, std::size_t left) {
    while (left > 0) {
      const ssize_t count = ::send(socket, at, left, MSG_NOSIGNAL);
      if (count <= 0) return false;
      at += count;
      left -= static_cast<std::size_t>(count);
    }
    return true;
  }
  static bool receive(int socket, std::byte* at, std::size_t left) {
    while (left > 0) {
      const ssize_t count = ::recv(socket, at, left, MSG_WAITALL);
      if (count <= 0) return false;
      at += count;
      left -= static_cast<std::size_t>(count);
    }
    return true;
  }

  const std::size_t bytes_;
  Buffer sent_, reply_;
  int socket_ = -1;
  std::thread server_;
};

// A node's data connection with nothing to compute: everything of a hop but the engine.
class TidelineHop {
 public:
  explicit TidelineHop(std::size_t bytes, const LinkShape& shape = {})
      : tcp_(make_tcp_transport({})), transport_(make_shaped_transport(*tcp_, shape)), sent_(bytes), reply_(kReplyBytes) {
    std::memset(sent_.data(), 1, bytes);
    auto listener = need(transport_->listen({"127.0.0.1", 0}));
    channel_ = std::make_unique<Channel>(need(transport_->connect(listener->address(), deadline_in(std::chrono::seconds(3)))));
    auto accepted = std::make_shared<Channel>(need(listener->accept(deadline_in(std::chrono::seconds(3)))));
    server_ = std::thread([accepted, bytes] { serve(*accepted, bytes); });
    wire::Hello hello{.session = wire::random_session_id(), .name = "bench"};
    need(channel_->greet(hello, deadline_in(std::chrono::seconds(3))));
    run_ = {.epoch = 1, .stage = 0, .deadline_us = 30'000'000};
    run_.tensors.push_back(
        need(wire::wire_tensor(0, DType::kUint8, std::vector<std::int64_t>{static_cast<std::int64_t>(bytes)})));
  }
  ~TidelineHop() {
    channel_.reset();
    server_.join();
  }
  double round_trip() {
    const auto start = Clock::now();
    const auto deadline = start + std::chrono::seconds(30);
    const std::span<const std::byte> payload = sent_.span();
    need(channel_->send(++id_, run_, {&payload, 1}, deadline));
    const Frame frame = need(channel_->receive(deadline));
    const auto result = need(decode<wire::RunResult>(frame));
    need(receive_tensors(
        *channel_, frame, result.tensors, [&](std::size_t, const wire::WireTensor&) { return reply_.span(); }, deadline));
    return microseconds(start);
  }
  ConnectionCounters counters() { return channel_->connection().counters(); }

 private:
  static void serve(Channel& channel, std::size_t bytes) {
    Buffer buffer(bytes), reply(kReplyBytes);
    std::memset(reply.data(), 1, reply.size());
    const auto handshake = deadline_in(std::chrono::seconds(3));
    const auto hello = need(channel.await_hello(handshake));
    need(channel.welcome({.role = wire::Role::kNode, .name = "node"}, hello, nullptr, handshake));
    wire::RunResult result{.tensors = {need(wire::wire_tensor(0, DType::kUint8, std::vector<std::int64_t>{kReplyBytes}))}};
    while (true) {
      const auto frame = channel.receive(kNoDeadline);
      if (!frame) return;
      const auto started = Clock::now();
      const auto run = need(decode<wire::Run>(*frame));
      const auto deadline = started + std::chrono::microseconds(run.deadline_us);
      const auto buffer_for = [&](std::size_t, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
        if (tensor.bytes != buffer.size()) return Error{ErrorCode::kInvalidArgument, "another shape"};
        return buffer.span();
      };
      need(receive_tensors(channel, *frame, run.tensors, buffer_for, deadline));
      result.epoch = run.epoch;
      result.stages.assign(1, {.node = "node", .input_bytes = buffer.size(), .output_bytes = reply.size()});
      result.stages[0].receive_ns = static_cast<std::uint64_t>((Clock::now() - started).count());
      const std::span<const std::byte> payload = reply.span();
      if (!channel.send(frame->header.request_id, result, {&payload, 1}, deadline)) return;
    }
  }

  std::unique_ptr<Transport> tcp_, transport_;
  std::unique_ptr<Channel> channel_;
  Buffer sent_, reply_;
  wire::Run run_;
  std::uint64_t id_ = 0;
  std::thread server_;
};

struct Row {
  const char* name;
  std::size_t bytes;
  double raw_us, hop_us, ratio, calls;
};

Row measure(const Size& size, double share) {
  RawEcho raw(size.bytes);
  TidelineHop hop(size.bytes);
  const int rounds = std::max(20, static_cast<int>(size.rounds * share));
  for (int i = 0; i < rounds / 10 + 5; ++i) {
    raw.round_trip();
    hop.round_trip();
  }
  const auto before = hop.counters();
  std::vector<double> raw_us, hop_us;
  for (int i = 0; i < rounds; ++i) {
    // In turn first, so that neither always finds the other's caches.
    if (i % 2 == 0) raw_us.push_back(raw.round_trip());
    hop_us.push_back(hop.round_trip());
    if (i % 2 != 0) raw_us.push_back(raw.round_trip());
  }
  const auto after = hop.counters();
  const double calls =
      static_cast<double>(after.send_calls + after.receive_calls - before.send_calls - before.receive_calls) / rounds;
  const double raw_median = median(raw_us), hop_median = median(hop_us);
  return {size.name, size.bytes, raw_median, hop_median, hop_median / raw_median, calls};
}

// A shaped link against what it should take: all bytes of both frames over the bandwidth, and the round trip.
struct ShapedRow {
  double mbit_per_s, rtt_ms, expected_ms, measured_ms;
};

ShapedRow measure_shaped(double mbit_per_s, std::chrono::milliseconds rtt, std::size_t bytes, int rounds) {
  const double bytes_per_s = mbit_per_s * 1e6 / 8;
  TidelineHop hop(bytes, {.up_bytes_per_s = bytes_per_s, .down_bytes_per_s = bytes_per_s, .round_trip = rtt});
  hop.round_trip();
  std::vector<double> times_ms;
  for (int i = 0; i < rounds; ++i) times_ms.push_back(hop.round_trip() / 1000);
  const double expected_ms = static_cast<double>(bytes + kReplyBytes) / bytes_per_s * 1000 + static_cast<double>(rtt.count());
  return {mbit_per_s, static_cast<double>(rtt.count()), expected_ms, median(times_ms)};
}

}  // namespace
}  // namespace tideline

int main(int argc, char** argv) {
  double share = 1.0;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--share") == 0 && i + 1 < argc) {
      share = std::strtod(argv[++i], nullptr);
    } else {
      std::fprintf(stderr, "usage: hop [--share 0.1] [--json]\n  --share  part of the full number of rounds\n");
      return 2;
    }
  }
  if (!json)
    std::printf("%-8s  %12s  %12s  %6s  %s\n", "up", "raw echo us", "hop us", "ratio", "caller's system calls per request");
  std::string rows;
  for (const auto& size : tideline::kSizes) {
    const auto row = tideline::measure(size, share);
    char text[256];
    if (json) {
      std::snprintf(text, sizeof(text), "%s{\"up_bytes\":%zu,\"raw_us\":%.1f,\"hop_us\":%.1f,\"ratio\":%.3f}",
                    rows.empty() ? "" : ",", row.bytes, row.raw_us, row.hop_us, row.ratio);
    } else {
      std::snprintf(text, sizeof(text), "%-8s  %12.1f  %12.1f  %6.2f  %.1f\n", row.name, row.raw_us, row.hop_us, row.ratio,
                    row.calls);
      std::fputs(text, stdout);
    }
    rows += text;
  }
  std::string shaped;
  if (!json)
    std::printf("\nshaped link, 602 kB up and 4 kB back\n%8s  %8s  %12s  %12s  %6s\n", "Mbit/s", "RTT ms", "expected ms",
                "measured ms", "ratio");
  for (const double mbit_per_s : {10.0, 100.0, 1000.0}) {
    const auto row = tideline::measure_shaped(mbit_per_s, std::chrono::milliseconds(10), 602'112, mbit_per_s < 50 ? 3 : 15);
    char text[256];
    const double ratio = row.measured_ms / row.expected_ms;
    if (json) {
      std::snprintf(text, sizeof(text),
                    "%s{\"mbit_per_s\":%.0f,\"rtt_ms\":%.0f,\"expected_ms\":%.3f,\"measured_ms\":%.3f,\"ratio\":%.4f}",
                    shaped.empty() ? "" : ",", row.mbit_per_s, row.rtt_ms, row.expected_ms, row.measured_ms, ratio);
    } else {
      std::snprintf(text, sizeof(text), "%8.0f  %8.0f  %12.2f  %12.2f  %6.3f\n", row.mbit_per_s, row.rtt_ms, row.expected_ms,
                    row.measured_ms, ratio);
      std::fputs(text, stdout);
    }
    shaped += text;
  }
  if (json)
    std::printf("{\"reply_bytes\":%zu,\"rows\":[%s],\"shaped\":[%s]}\n", tideline::kReplyBytes, rows.c_str(), shaped.c_str());
  return 0;
}
