#include "platform/local_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

namespace tideline {
namespace {

// For a line to come, and for its answer to be taken.
constexpr std::chrono::seconds kCallerPatience{10};
// Before a descriptor is asked for again, when there was none.
constexpr std::chrono::milliseconds kShortPause{500};

Result<sockaddr_un> local_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0') != std::string::npos)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[control] the path of a control socket has 1 to {} bytes, and '{}' has {}: give a shorter one with "
                             "--socket",
                             sizeof address.sun_path - 1, printable(path), path.size())};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Descriptor local_socket(int flags) { return Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)); }

bool connects(const Descriptor& socket, const sockaddr_un& address) {
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

int local_poll_ms(SteadyTime deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

}  // namespace

// Held by one process at a time, and given back by the system when that ends, however it does.
class LocalListener::Lock {
 public:
  static Result<std::unique_ptr<Lock>> take(const std::string& path) {
    // The file may be removed by who had it before, between opening and locking it: then it is another one's by now.
    for (int tries = 0; tries < 100; ++tries) {
      Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
      struct stat status {};
      if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return Error{!file && (errno == EMFILE || errno == ENFILE) ? ErrorCode::kOverloaded : ErrorCode::kInvalidArgument,
                     fmt::format("[control] cannot make the lock {}: {}; give another path with --socket", printable(path),
                                 file ? "something else is there" : std::strerror(errno))};
      if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
        return Error{ErrorCode::kOverloaded, fmt::format("[control] somebody listens already, and holds {}", printable(path))};
      const Place own{status.st_dev, status.st_ino};
      if (place_of(path) == own) return std::unique_ptr<Lock>(new Lock(path, std::move(file), own));
    }
    return Error{ErrorCode::kOverloaded, fmt::format("[control] others take and leave {} all the time", printable(path))};
  }
  ~Lock() {
    if (place_of(path_) == place_) ::unlink(path_.c_str());
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Lock(std::string path, Descriptor file, const Place& place) : path_(std::move(path)), file_(std::move(file)), place_(place) {}
  const std::string path_;
  const Descriptor file_;
  const Place place_;
};

std::optional<LocalListener::Place> LocalListener::place_of(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return Place{status.st_dev, status.st_ino};
}

LocalListener::LocalListener(std::string path, const Limits& limits) : path_(std::move(path)), limits_(limits) {}

Result<std::unique_ptr<LocalListener>> LocalListener::open(const std::string& path, const Limits& limits) {
  TIDELINE_TRY(const sockaddr_un address, local_address(path));
  struct stat there {};
  const auto is_other = [&] { return ::lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode); };
  const Error other{ErrorCode::kInvalidArgument,
                    fmt::format("[control] {} is there and is no socket: give another path with --socket", printable(path))};
  if (is_other()) return other;
  std::unique_ptr<LocalListener> listener(new LocalListener(path, limits));
  TIDELINE_TRY(listener->lock_, Lock::take(path + ".lock"));
  if (is_other()) return other;
  if (place_of(path)) {
    const Descriptor probe = local_socket(SOCK_NONBLOCK);
    // Only nobody at all refuses: every other error may hide somebody who listens.
    if (!probe || connects(probe, address) || errno != ECONNREFUSED)
      return Error{ErrorCode::kOverloaded, fmt::format("[control] somebody listens at {} already", printable(path))};
    ::unlink(path.c_str());
  }
  listener->socket_ = local_socket(SOCK_NONBLOCK);
  if (!listener->socket_) return Error{ErrorCode::kOverloaded, "[control] the system gives no more sockets"};
  const mode_t mask = ::umask(0177);
  const bool bound = ::bind(listener->socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int reason = errno;
  ::umask(mask);
  if (bound) listener->place_ = place_of(path);
  if (!bound || ::listen(listener->socket_.get(), 64) != 0)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[control] cannot listen at {}: {}", printable(path), std::strerror(bound ? errno : reason))};
  return listener;
}

LocalListener::~LocalListener() {
  if (place_ && place_of(path_) == place_) ::unlink(path_.c_str());
}

void LocalListener::accept_all() {
  while (callers_.size() < limits_.callers_max) {
    Descriptor caller(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!caller) {
      // The caller stays in the queue, and the socket would be ready again at once, for ever.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        short_until_ = std::chrono::steady_clock::now() + kShortPause;
      return;
    }
    short_until_.reset();
    callers_.push_back({std::move(caller), "", "", 0, false, std::chrono::steady_clock::now() + kCallerPatience});
  }
}

bool LocalListener::go_on(Caller& caller, const std::function<std::string(std::string_view)>& answer) {
  char piece[4096];
  while (!caller.answers) {
    const ssize_t got = ::recv(caller.socket.get(), piece, sizeof piece, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    caller.said.append(piece, static_cast<std::size_t>(got));
    const std::size_t end = caller.said.find('\n');
    if (std::min(end, caller.said.size()) > limits_.line_bytes_max) return false;
    if (end == std::string::npos) continue;
    caller.answer = answer(std::string_view(caller.said).substr(0, end)) + '\n';
    caller.answers = true;
    caller.until = std::chrono::steady_clock::now() + kCallerPatience;
  }
  while (caller.sent < caller.answer.size()) {
    const ssize_t sent =
        ::send(caller.socket.get(), caller.answer.data() + caller.sent, caller.answer.size() - caller.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    caller.sent += static_cast<std::size_t>(sent);
  }
  return false;
}

void LocalListener::serve(std::chrono::milliseconds at_most, const std::function<std::string(std::string_view)>& answer) {
  const bool takes =
      callers_.size() < limits_.callers_max && (!short_until_ || std::chrono::steady_clock::now() >= *short_until_);
  std::vector<pollfd> watched{{.fd = takes ? socket_.get() : -1, .events = POLLIN, .revents = 0}};
  for (const Caller& caller : callers_)
    watched.push_back({.fd = caller.socket.get(), .events = static_cast<short>(caller.answers ? POLLOUT : POLLIN), .revents = 0});
  if (::poll(watched.data(), watched.size(), static_cast<int>(at_most.count())) < 0) return;
  if (takes) accept_all();
  const SteadyTime now = std::chrono::steady_clock::now();
  callers_.remove_if([&](Caller& caller) { return !go_on(caller, answer) || now > caller.until; });
}

Result<std::string> ask_local(const std::string& path, std::string_view line, std::size_t answer_bytes_max, SteadyTime deadline) {
  TIDELINE_TRY(const sockaddr_un address, local_address(path));
  const Descriptor socket = local_socket(0);
  const Error nobody{ErrorCode::kDisconnected, fmt::format("[control] nobody listens at {}", printable(path))};
  if (!socket || !connects(socket, address)) return nobody;
  const std::string whole = std::string(line) + '\n';
  for (std::size_t sent = 0; sent < whole.size();) {
    const ssize_t now = ::send(socket.get(), whole.data() + sent, whole.size() - sent, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return nobody;
    sent += static_cast<std::size_t>(now);
  }
  std::string answer;
  char piece[65536];
  while (true) {
    pollfd watched{.fd = socket.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&watched, 1, local_poll_ms(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Error{ErrorCode::kDeadlineExceeded, fmt::format("[control] no answer at {} in time", printable(path))};
    const ssize_t got = ::recv(socket.get(), piece, sizeof piece, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return Error{answer.empty() ? ErrorCode::kDisconnected : ErrorCode::kCorrupt,
                   fmt::format("[control] {} ended before its answer did", printable(path))};
    answer.append(piece, static_cast<std::size_t>(got));
    if (answer.size() > answer_bytes_max) return Error{ErrorCode::kCorrupt, "[control] the answer is too long"};
    if (const std::size_t end = answer.find('\n'); end != std::string::npos) return answer.substr(0, end);
  }
}

}  // namespace tideline
