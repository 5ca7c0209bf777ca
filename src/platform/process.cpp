#include "platform/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace tideline {
namespace {

constexpr std::size_t kLineBytesMax = 4096;
constexpr std::size_t kSaidBytesMax = 65'536;
// How soon an end, a line or a cancellation is noticed at the latest.
constexpr std::chrono::milliseconds kTick{20};

Error no_resource(const char* what) {
  return {ErrorCode::kOverloaded, fmt::format("[process] no {} to be had: {}", what, std::strerror(errno))};
}

struct Pipe {
  Descriptor read, write;
  static Result<Pipe> make() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return no_resource("pipe");
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  }
};

// In the child: only what is allowed between fork and exec.
[[noreturn]] void become(char* const* words, int output, int errors, bool own_group, pid_t parent, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent) {
    if (own_group) ::setpgid(0, 0);
    if (output >= 0) ::dup2(output, STDOUT_FILENO);
    if (errors >= 0) ::dup2(errors, STDERR_FILENO);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &usual, nullptr);
    ::execvp(words[0], words);
    const int reason = errno;
    (void)!::write(report, &reason, sizeof reason);
  }
  ::_exit(127);
}

int poll_ms(SteadyTime deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, kTick.count()));
}

// What can be read within a tick; false at the end of the stream.
bool read_more(int fd, std::string& into, int timeout_ms) {
  pollfd readable{fd, POLLIN, 0};
  if (::poll(&readable, 1, timeout_ms) <= 0) return true;
  std::array<char, 4096> chunk{};
  const ssize_t got = ::read(fd, chunk.data(), chunk.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  into.append(chunk.data(), static_cast<std::size_t>(got));
  return got > 0;
}

Result<std::pair<pid_t, Pipe>> start_with(const std::vector<std::string>& words, bool pipe_output, bool join_errors,
                                          const Descriptor& errors, bool own_group) {
  TIDELINE_TRY(Pipe report, Pipe::make());
  Pipe output;
  if (pipe_output) {
    TIDELINE_TRY(output, Pipe::make());
  }
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0)
    become(arguments.data(), output.write.get(), join_errors ? output.write.get() : errors.get(), own_group, parent,
           report.write.get());
  if (child < 0) return no_resource("process");
  report.write.reset();
  output.write.reset();
  int reason = 0;
  ssize_t got = 0;
  while ((got = ::read(report.read.get(), &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (got == sizeof reason) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Error{ErrorCode::kNotFound,
                 fmt::format("[process] cannot start '{}': {}", printable(words[0]), std::strerror(reason))};
  }
  return std::pair{child, std::move(output)};
}

}  // namespace

std::string to_string(const ProcessEnd& end) {
  if (end.signal == 0) return fmt::format("exit code {}", end.exit_code);
  return fmt::format("signal {} ({})", end.signal, ::strsignal(end.signal));
}

Result<Process> Process::start(const ProcessOptions& options) {
  Descriptor errors;
  if (!options.error_file.empty()) {
    errors.reset(::open(options.error_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!errors)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[process] cannot write to '{}': {}", printable(options.error_file), std::strerror(errno))};
  }
  TIDELINE_TRY(auto started, start_with(options.words, options.pipe_output, false, errors, options.own_group));
  Process process;
  process.id_ = started.first;
  process.output_ = std::move(started.second.read);
  return process;
}

Process::Process(Process&& other) noexcept
    : id_(std::exchange(other.id_, -1)),
      output_(std::move(other.output_)),
      unread_(std::move(other.unread_)),
      end_(std::exchange(other.end_, std::nullopt)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(output_, other.output_);
  std::swap(unread_, other.unread_);
  std::swap(end_, other.end_);
  return *this;
}

Process::~Process() {
  if (id_ > 0 && !end_) end(std::chrono::milliseconds(0));
}

Result<std::string> Process::read_line(SteadyTime deadline, const CancelToken& cancel) {
  while (true) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (unread_.size() > kLineBytesMax) return Error{ErrorCode::kCorrupt, "[process] a line without end"};
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[process] interrupted"};
    if (std::chrono::steady_clock::now() >= deadline) return Error{ErrorCode::kDeadlineExceeded, "[process] it says nothing"};
    if (!read_more(output_.get(), unread_, poll_ms(deadline))) return Error{ErrorCode::kDisconnected, "[process] it has ended"};
  }
}

std::optional<ProcessEnd> Process::ended() {
  if (end_ || id_ <= 0) return end_;
  int status = 0;
  const pid_t found = ::waitpid(id_, &status, WNOHANG);
  if (found == id_)
    end_ = WIFSIGNALED(status) ? ProcessEnd{0, WTERMSIG(status)} : ProcessEnd{WEXITSTATUS(status), 0};
  else if (found < 0 && errno != EINTR)
    end_ = ProcessEnd{};
  return end_;
}

std::optional<ProcessEnd> Process::wait(SteadyTime deadline) {
  // Soon at first: most ends come at once.
  for (int tick_ms = 1; !ended(); tick_ms = std::min(2 * tick_ms, static_cast<int>(kTick.count()))) {
    const int left_ms = poll_ms(deadline);
    if (left_ms == 0) return std::nullopt;
    ::poll(nullptr, 0, std::min(left_ms, tick_ms));
  }
  return end_;
}

void Process::signal(int number) const {
  if (id_ > 0 && !end_) ::kill(id_, number);
}

ProcessEnd Process::end(std::chrono::milliseconds patience) {
  if (id_ <= 0) return {};
  if (patience.count() > 0 && !ended()) {
    signal(SIGTERM);
    signal(SIGCONT);
    (void)wait(std::chrono::steady_clock::now() + patience);
  }
  if (!ended()) {
    signal(SIGKILL);
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    end_ = WIFSIGNALED(status) ? ProcessEnd{0, WTERMSIG(status)} : ProcessEnd{WEXITSTATUS(status), 0};
  }
  return *end_;
}

Result<std::string> run_program(const std::vector<std::string>& words, SteadyTime deadline) {
  TIDELINE_TRY(auto started, start_with(words, true, true, Descriptor(), true));
  auto& [child, output] = started;
  std::string said;
  bool in_time = true;
  while (read_more(output.read.get(), said, poll_ms(deadline))) {
    if (said.size() > kSaidBytesMax) said.resize(kSaidBytesMax);
    if (std::chrono::steady_clock::now() < deadline) continue;
    in_time = false;
    ::kill(child, SIGKILL);
    break;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string line = fmt::format("{}", fmt::join(words, " "));
  if (!in_time) return Error{ErrorCode::kDeadlineExceeded, fmt::format("[process] '{}' took too long", printable(line, 200))};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  return Error{ErrorCode::kUnsupported, fmt::format("[process] '{}' failed: {}", printable(line, 200), printable(said, 200))};
}

}  // namespace tideline
