// Transport: reliable, ordered streams of bytes between two hosts, with a deadline on every call.
//
// Implementations: tcp/ (real), loopback/ (inside one process), shaped/ (another transport with a bandwidth and a delay). All of
// them pass transport/conformance_test.cpp.
//
//   auto transport = make_tcp_transport({});
//   TIDELINE_TRY(const Address address, parse_address("127.0.0.1:7411"));
//   TIDELINE_TRY(auto connection, transport->connect(address, deadline_in(3s)));
//   const std::span<const std::byte> pieces[] = {head, tensor};
//   TIDELINE_CHECK_OK(connection->send(pieces, deadline_in(1s)));
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

// Deadlines are points of the steady clock.
inline constexpr SteadyTime kNoDeadline = SteadyTime::max();
inline SteadyTime deadline_in(std::chrono::nanoseconds time) { return std::chrono::steady_clock::now() + time; }

struct Address {
  std::string host;  // a name, or an IPv4 or IPv6 address (without brackets)
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};
// "host:port", "[::1]:port", ":port" (the host is then 127.0.0.1). Port 0..65535 in plain digits; a host name of letters, digits,
// '-' and '.', at most 253 bytes. kInvalidArgument otherwise.
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);
bool is_loopback(const Address& address);

using ConstPieces = std::span<const std::span<const std::byte>>;
using Pieces = std::span<const std::span<std::byte>>;

struct ConnectionCounters {
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t send_calls = 0;  // to the operating system
  std::uint64_t receive_calls = 0;
};

// One stream. One thread may send while another receives; shutdown() and peer() are for any thread. Closed when destroyed.
//
// Errors: kDeadlineExceeded; kDisconnected when the peer is gone (its end of stream between messages included) or after
// shutdown(); kInternal for what the operating system should never say.
class Connection {
 public:
  virtual ~Connection() = default;
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // All pieces in order, as if they were one. Returns when the transport has taken them, which may be before they arrive. After
  // an error part of them may have left: the connection is then shut down, since the peer could not find the next message.
  virtual Status send(ConstPieces pieces, SteadyTime deadline) = 0;

  // Fills all pieces. After an error with part of them filled the connection is shut down.
  virtual Status receive(Pieces pieces, SteadyTime deadline) = 0;

  // Waits for at least one byte and takes what is there, up to the size of `into`. kDeadlineExceeded loses nothing: call again.
  // REQUIRES: !into.empty().
  virtual Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime deadline) = 0;

  // Ends both directions now. Whoever waits in send or receive returns with kDisconnected.
  virtual void shutdown() = 0;

  // The polite end, for who has sent its last message: the peer receives everything and then the end of the stream. Discards what
  // still comes in, until the peer closes too or the deadline; then shuts down. Without it, bytes not yet read here may destroy
  // the last message (TCP answers them with a reset), and a shaped link loses what is still under way. REQUIRES: nobody is in
  // send().
  virtual void finish(SteadyTime deadline) = 0;

  // Whether the peer has closed its end or is known to be gone, whatever still waits to be read. Does not wait; any thread.
  virtual bool ended() const = 0;

  virtual std::string peer() const = 0;  // for people: "127.0.0.1:40312"
  virtual ConnectionCounters counters() const = 0;
};

// Thread-safe.
class Listener {
 public:
  virtual ~Listener() = default;
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // kDeadlineExceeded; kDisconnected after shutdown(); kOverloaded when the process is out of descriptors or the listener's limit
  // of open connections is reached: one waiting caller was then refused, and accept may be called again at once.
  virtual Result<std::unique_ptr<Connection>> accept(SteadyTime deadline) = 0;
  // With the real port when 0 was asked for.
  virtual Address address() const = 0;
  // Waiting accepts return kDisconnected.
  virtual void shutdown() = 0;
};

// Thread-safe. Must outlive its connections and listeners.
class Transport {
 public:
  virtual ~Transport() = default;
  // kDisconnected when nobody listens there or it cannot be reached; kDeadlineExceeded; kNotFound for an unknown host name.
  // Asking a name server is not under the deadline: give numbers where that matters.
  virtual Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline) = 0;
  // kInvalidArgument when the address is in use or not of this host.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;
};

struct TcpOptions {
  // Of SO_SNDBUF and SO_RCVBUF; 0 leaves the operating system's own tuning on.
  int buffer_bytes = 0;
  // Open connections of one listener.
  std::size_t connections_max = 256;
  // After this long without an answer to sent bytes or keep-alive probes the peer is taken for gone.
  std::chrono::milliseconds peer_timeout{20'000};
};
std::unique_ptr<Transport> make_tcp_transport(const TcpOptions& options);

// Connections between threads of this process. Addresses are any host and port; a port of 0 gives a free one. For tests and
// simulation.
std::unique_ptr<Transport> make_loopback_transport();

struct LinkShape {
  double up_bytes_per_s = 0;    // from the connecting end to the accepting end; 0 = not limited
  double down_bytes_per_s = 0;  // back
  Nanos round_trip{0};          // added; half of it each way
};
// A transport whose outgoing connections behave like one link of that shape: all of them share its bandwidth, turn by turn in
// small pieces, as packets would. n bytes sent over an idle link are there after n / bandwidth + round_trip / 2. What it accepts
// is not shaped: the connecting end shapes both directions. `inner` outlives it.
std::unique_ptr<Transport> make_shaped_transport(Transport& inner, const LinkShape& shape);

}  // namespace tideline
