#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "transport/tcp/socket.h"

namespace tideline::tcp {
namespace {

// The socket blocks, but never longer than this: the fast path is then one blocking call, as in the plainest program, and
// deadlines are kept by looking at the clock in between. Nearer to a deadline, poll() waits instead.
constexpr std::chrono::milliseconds kTick{20};
// How long a reader looks for bytes, giving way to others each time, before it sleeps.
constexpr std::chrono::microseconds kSpin{50};
// More pieces than this go in several calls; the kernel's own limit is 1024.
constexpr std::size_t kVectorMax = 128;

using Clock = std::chrono::steady_clock;

// The rest of a list of pieces that the kernel takes bit by bit.
template <class Byte>
class Remaining {
 public:
  explicit Remaining(std::span<const std::span<Byte>> pieces) : pieces_(pieces) {
    for (const auto& piece : pieces) bytes_ += piece.size();
  }
  std::size_t bytes() const { return bytes_; }
  msghdr next() {
    std::size_t count = 0;
    std::size_t skip = done_of_first_;
    for (std::size_t i = first_; i < pieces_.size() && count < kVectorMax; ++i, skip = 0) {
      if (pieces_[i].size() == skip) continue;
      vector_[count].iov_base = const_cast<std::byte*>(pieces_[i].data()) + skip;
      vector_[count].iov_len = pieces_[i].size() - skip;
      ++count;
    }
    msghdr message{};
    message.msg_iov = vector_.data();
    message.msg_iovlen = count;
    return message;
  }
  void advance(std::size_t count) {
    bytes_ -= count;
    while (count > 0 && count >= pieces_[first_].size() - done_of_first_) {
      count -= pieces_[first_].size() - done_of_first_;
      ++first_;
      done_of_first_ = 0;
    }
    done_of_first_ += count;
  }

 private:
  std::span<const std::span<Byte>> pieces_;
  std::size_t first_ = 0;
  std::size_t done_of_first_ = 0;
  std::size_t bytes_ = 0;
  std::array<iovec, kVectorMax> vector_;
};

class TcpConnection final : public Connection {
 public:
  TcpConnection(Descriptor socket, std::string peer, OpenCount count)
      : socket_(std::move(socket)), peer_(std::move(peer)), count_(std::move(count)) {}

  Status send(ConstPieces pieces, SteadyTime deadline) override {
    Remaining<const std::byte> rest(pieces);
    while (rest.bytes() > 0) {
      auto sent = transfer(POLLOUT, deadline, [&](int flags) {
        send_calls_.fetch_add(1, std::memory_order_relaxed);
        const msghdr message = rest.next();
        return ::sendmsg(socket_.get(), &message, flags | MSG_NOSIGNAL);
      });
      if (!sent) {
        // A part may have left; without it the peer cannot find the next message.
        shutdown();
        return std::move(sent).error();
      }
      sent_bytes_.fetch_add(*sent, std::memory_order_relaxed);
      rest.advance(*sent);
    }
    return {};
  }

  Status receive(Pieces pieces, SteadyTime deadline) override {
    Remaining<std::byte> rest(pieces);
    bool begun = false;
    while (rest.bytes() > 0) {
      auto got = read(rest, MSG_WAITALL, deadline);
      if (!got) {
        if (begun) shutdown();
        return std::move(got).error();
      }
      begun = true;
      rest.advance(*got);
    }
    return {};
  }

  Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime deadline) override {
    Remaining<std::byte> rest(Pieces(&into, 1));
    return read(rest, 0, deadline);
  }

  void shutdown() override {
    shut_down_.store(true, std::memory_order_release);
    ::shutdown(socket_.get(), SHUT_RDWR);
  }

  void finish(SteadyTime deadline) override {
    ::shutdown(socket_.get(), SHUT_WR);
    std::array<std::byte, 16384> waste;
    while (receive_some(waste, deadline)) {
      if (Clock::now() >= deadline) break;
    }
    shutdown();
  }

  bool ended() const override {
    pollfd state{socket_.get(), POLLRDHUP, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

  std::string peer() const override { return peer_; }

  ConnectionCounters counters() const override {
    return {sent_bytes_.load(std::memory_order_relaxed), received_bytes_.load(std::memory_order_relaxed),
            send_calls_.load(std::memory_order_relaxed), receive_calls_.load(std::memory_order_relaxed)};
  }

 private:
  Result<std::size_t> read(Remaining<std::byte>& rest, int extra_flags, SteadyTime deadline) {
    auto got = transfer(POLLIN, deadline, [&](int flags) {
      receive_calls_.fetch_add(1, std::memory_order_relaxed);
      msghdr message = rest.next();
      return ::recvmsg(socket_.get(), &message, flags | extra_flags);
    });
    if (!got) return got;
    if (*got == 0) {
      if (shut_down_.load(std::memory_order_acquire)) return shut_down_here();
      return Error{ErrorCode::kDisconnected, "[transport] " + peer_ + " closed the connection"};
    }
    received_bytes_.fetch_add(*got, std::memory_order_relaxed);
    return got;
  }

  // One successful call of `call(flags)`, waiting until the deadline for the socket to be ready for `events`.
  template <class Call>
  Result<std::size_t> transfer(short events, SteadyTime deadline, Call call) {
    const SteadyTime begin = Clock::now();
    bool may_block = deadline == kNoDeadline || deadline - begin > 2 * kTick;
    if (events == POLLIN && may_block) {
      // An answer from a near peer comes within microseconds, and waking a sleeping processor costs tens of them.
      while (Clock::now() - begin < kSpin) {
        const ssize_t count = call(MSG_DONTWAIT);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EAGAIN && errno != EINTR) break;
        ::sched_yield();
      }
    }
    while (true) {
      const ssize_t count = call(may_block ? 0 : MSG_DONTWAIT);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        if (shut_down_.load(std::memory_order_acquire)) return shut_down_here();
        return error_of(errno, "the connection to " + peer_);
      }
      may_block = false;  // a tick without a byte: from now on poll waits for as long as it takes
      const int timeout = poll_timeout(deadline);
      if (timeout == 0)
        return Error{ErrorCode::kDeadlineExceeded, "[transport] " + peer_ + " did not answer before the deadline"};
      pollfd wait{socket_.get(), events, 0};
      ::poll(&wait, 1, timeout);
    }
  }

  Error shut_down_here() const { return {ErrorCode::kDisconnected, "[transport] the connection to " + peer_ + " was shut down"}; }

  Descriptor socket_;
  const std::string peer_;
  const OpenCount count_;
  std::atomic<bool> shut_down_{false};
  std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, send_calls_{0}, receive_calls_{0};
};

template <class Value>
bool set_option(int socket, int level, int name, const Value& value) {
  return ::setsockopt(socket, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

void Descriptor::reset(int number) {
  if (number_ >= 0) ::close(number_);
  number_ = number;
}

Error error_of(int number, const std::string& what) {
  const std::string text = "[transport] " + what + ": " + std::strerror(number);
  switch (number) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN: return {ErrorCode::kDisconnected, text};
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EACCES: return {ErrorCode::kInvalidArgument, text};
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return {ErrorCode::kOverloaded, text};
    default: return {ErrorCode::kInternal, text};
  }
}

int poll_timeout(SteadyTime deadline) {
  if (deadline == kNoDeadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

Result<std::unique_ptr<Connection>> make_connection(Descriptor socket, std::string peer, const TcpOptions& options,
                                                    OpenCount count) {
  const int fd = socket.get();
  const int flags = ::fcntl(fd, F_GETFL);
  const timeval tick{0, std::chrono::microseconds(kTick).count()};
  const auto timeout_ms = static_cast<unsigned>(options.peer_timeout.count());
  const int probe_s = std::max(1, static_cast<int>(options.peer_timeout.count() / 4000));
  // Nagle's algorithm costs 40 ms per request when only one end has it off; keep-alive finds peers that vanished without a word.
  const bool set = flags >= 0 && ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
                   set_option(fd, SOL_SOCKET, SO_RCVTIMEO, tick) && set_option(fd, SOL_SOCKET, SO_SNDTIMEO, tick) &&
                   set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, probe_s) &&
                   set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_s) && set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3) &&
                   set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
  if (!set) return error_of(errno, "cannot set up the connection to " + peer);
  if (options.buffer_bytes > 0 && (!set_option(fd, SOL_SOCKET, SO_SNDBUF, options.buffer_bytes) ||
                                   !set_option(fd, SOL_SOCKET, SO_RCVBUF, options.buffer_bytes))) {
    return error_of(errno, "cannot set the buffers of the connection to " + peer);
  }
  return std::unique_ptr<Connection>(std::make_unique<TcpConnection>(std::move(socket), std::move(peer), std::move(count)));
}

}  // namespace tideline::tcp
