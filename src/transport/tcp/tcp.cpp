// Connecting and listening.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

#include "transport/tcp/resolver.h"
#include "transport/tcp/socket.h"

namespace tideline {
namespace {

using tcp::Descriptor;
using tcp::error_of;

using tcp::SocketAddress;

// How long a connect takes to notice that it has been cancelled.
constexpr int kCancelPollMs = 50;
// Of the name to listen at.
constexpr std::chrono::seconds kListenLookup{10};

Address numeric(SocketAddress& address) {
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "0";
  ::getnameinfo(address.get(), address.size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
  return {host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10))};
}

class TcpListener final : public Listener {
 public:
  TcpListener(Descriptor socket, Address address, const TcpOptions& options)
      : socket_(std::move(socket)), address_(std::move(address)), options_(options) {
    reserve();
  }

  Result<std::unique_ptr<Connection>> accept(SteadyTime deadline) override {
    while (true) {
      if (shut_down_.load()) return Error{ErrorCode::kDisconnected, "[transport] the listener was shut down"};
      // Waits first: without a free descriptor, accept4 fails whether or not somebody waits.
      const int timeout = tcp::poll_timeout(deadline);
      pollfd wait{socket_.get(), POLLIN, 0};
      if (::poll(&wait, 1, timeout) == 0 && timeout == 0)
        return Error{ErrorCode::kDeadlineExceeded, "[transport] nobody connected before the deadline"};
      if (wait.revents == 0) continue;
      SocketAddress from;
      from.size = sizeof(from.storage);
      Descriptor socket(::accept4(socket_.get(), from.get(), &from.size, SOCK_CLOEXEC));
      if (socket) {
        if (open_->load() >= options_.connections_max) {
          return Error{ErrorCode::kOverloaded, "[transport] " + std::to_string(options_.connections_max) +
                                                   " connections are open, the limit; one more was refused"};
        }
        auto connection = tcp::make_connection(std::move(socket), to_string(numeric(from)), options_, tcp::OpenCount(open_));
        // It may have been reset since; that is no reason to stop accepting.
        if (!connection && connection.error().code != ErrorCode::kOverloaded) continue;
        return connection;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return refuse_one(errno);
      if (errno == EAGAIN || errno == EWOULDBLOCK || shut_down_.load()) continue;
      // The errors of a connection that broke before it was accepted.
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN || errno == EHOSTUNREACH ||
          errno == ENETUNREACH || errno == EPERM) {
        continue;
      }
      return error_of(errno, "accepting at " + to_string(address_));
    }
  }

  Address address() const override { return address_; }

  void shutdown() override {
    shut_down_.store(true);
    ::shutdown(socket_.get(), SHUT_RDWR);
  }

 private:
  void reserve() { reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

  // Out of descriptors: gives up the reserved one to take the waiting caller and close it, because it would stay at the head of
  // the queue and nobody would be accepted any more.
  Error refuse_one(int number) {
    const std::lock_guard lock(reserve_mutex_);
    if (reserve_) {
      reserve_.reset();
      Descriptor refused(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      refused.reset();
      reserve();
    } else {
      // Nothing to give up: do not let the caller spin.
      ::poll(nullptr, 0, 10);
      reserve();
    }
    return error_of(number, "a connection was refused at " + to_string(address_));
  }

  Descriptor socket_;
  const Address address_;
  const TcpOptions options_;
  std::atomic<bool> shut_down_{false};
  std::shared_ptr<std::atomic<std::size_t>> open_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::mutex reserve_mutex_;
  Descriptor reserve_;  // guarded by reserve_mutex_
};

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(const TcpOptions& options) : options_(options) {}

  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline, const CancelToken* cancel) override {
    TIDELINE_TRY(auto candidates, tcp::resolve(address, false, deadline, cancel));
    Error last{ErrorCode::kNotFound, "[transport] " + to_string(address) + " has no address"};
    for (SocketAddress& candidate : candidates) {
      auto socket = connect_one(candidate, address, deadline, cancel);
      if (socket) return tcp::make_connection(std::move(socket).value(), to_string(address), options_, tcp::OpenCount(nullptr));
      last = std::move(socket).error();
      if (last.code == ErrorCode::kDeadlineExceeded || last.code == ErrorCode::kCancelled) break;
    }
    return last;
  }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    TIDELINE_TRY(auto candidates, tcp::resolve(address, true, deadline_in(kListenLookup), nullptr));
    SocketAddress& bound = candidates.front();
    const std::string what = "listening at " + to_string(address);
    Descriptor socket(::socket(bound.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return error_of(errno, what);
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(socket.get(), bound.get(), bound.size) != 0 || ::listen(socket.get(), 256) != 0) return error_of(errno, what);
    bound.size = sizeof(bound.storage);
    if (::getsockname(socket.get(), bound.get(), &bound.size) != 0) return error_of(errno, what);
    return std::unique_ptr<Listener>(std::make_unique<TcpListener>(std::move(socket), numeric(bound), options_));
  }

 private:
  static Result<Descriptor> connect_one(SocketAddress& candidate, const Address& address, SteadyTime deadline,
                                        const CancelToken* cancel) {
    const std::string what = "connecting to " + to_string(address);
    Descriptor socket(::socket(candidate.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return error_of(errno, what);
    if (::connect(socket.get(), candidate.get(), candidate.size) == 0) return socket;
    if (errno != EINPROGRESS && errno != EINTR) return error_of(errno, what);
    while (true) {
      const int timeout = tcp::poll_timeout(deadline);
      if (timeout == 0) return Error{ErrorCode::kDeadlineExceeded, "[transport] " + what + ": no answer before the deadline"};
      if (cancel != nullptr && cancel->cancelled()) return Error{ErrorCode::kCancelled, "[transport] " + what + ": interrupted"};
      pollfd wait{socket.get(), POLLOUT, 0};
      const bool sliced = cancel != nullptr && (timeout < 0 || timeout > kCancelPollMs);
      if (::poll(&wait, 1, sliced ? kCancelPollMs : timeout) > 0) break;
    }
    int number = 0;
    socklen_t size = sizeof(number);
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    if (number != 0) return error_of(number, what);
    return socket;
  }

  const TcpOptions options_;
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(const TcpOptions& options) { return std::make_unique<TcpTransport>(options); }

}  // namespace tideline
