#include "local/local_cluster.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "platform/files.h"

namespace tideline {
namespace {

constexpr int kIndexMax = 64;
constexpr std::uint16_t kNamespacePort = 7411;
constexpr int kStartTimeoutMs = 20'000;
// What an Ethernet frame of a full TCP segment weighs against its payload at MTU 1500 with time stamps: tbf counts
// frames, a link's bandwidth counts payload.
constexpr double kFramePerPayload = 1514.0 / 1448.0;
// The bucket lets the start of every message through unshaped, so it is small: one frame, or what the link carries in this time
// where frames follow each other faster than the kernel's timers keep up with (at 100 Mbit/s, one frame of bucket costs 9 % of
// the rate).
constexpr double kBurstBytesMin = 1600;
constexpr double kBurstSeconds = 0.0008;

std::string namespace_name(int index, std::size_t node) { return fmt::format("tl{}-{}", index, node); }
// Each cluster on this machine has one /24: link j uses the addresses 4j+1 and 4j+2, node i's deployment pair 129+4i and 130+4i.
std::string link_address(int index, std::size_t link, int end) { return fmt::format("10.213.{}.{}", index, 4 * link + 1 + end); }
std::string control_address(int index, std::size_t node, int end) {
  return fmt::format("10.213.{}.{}", index, 129 + 4 * node + end);
}

// Runs a program without a shell; its standard error goes into the Error.
Status run_program(const std::vector<std::string>& words) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) return Error{ErrorCode::kInternal, "[local] no pipe to be had"};
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe_ends[1], STDERR_FILENO);
    ::dup2(pipe_ends[1], STDOUT_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(pipe_ends[1]);
  std::string said;
  char chunk[512];
  for (ssize_t got; (got = ::read(pipe_ends[0], chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR);)
    if (got > 0) said.append(chunk, static_cast<std::size_t>(got));
  ::close(pipe_ends[0]);
  int status = 0;
  if (child < 0) return Error{ErrorCode::kInternal, "[local] no process to be had"};
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return Error{ErrorCode::kUnsupported, fmt::format("[local] '{}' is not installed (Debian package iproute2)", words[0])};
  return Error{ErrorCode::kUnsupported, fmt::format("[local] '{}' failed: {}", fmt::join(words, " "), printable(said, 200))};
}

Status run_line(std::string_view line) { return run_program(split(line, ' ')); }

Status shape(const std::string& space, const std::string& device, double bytes_per_s) {
  // The queue holds a few megabytes, so that a bulk sender is slowed by its window and not by drops.
  const double rate = bytes_per_s * kFramePerPayload;
  return run_line(fmt::format("tc -n {} qdisc add dev {} root tbf rate {:.0f}bit burst {:.0f} limit 16000000", space, device,
                              rate * 8, std::max(kBurstBytesMin, rate * kBurstSeconds)));
}

// "host:port" out of the one line that a daemon prints when it is ready.
Result<std::uint16_t> wait_until_ready(int fd, const std::string& node, const CancelToken& cancel) {
  std::string line;
  for (int waited = 0; waited < kStartTimeoutMs && !cancel.cancelled(); waited += 100) {
    pollfd readable{fd, POLLIN, 0};
    if (::poll(&readable, 1, 100) <= 0) continue;
    char c = 0;
    ssize_t got = 0;
    while ((got = ::read(fd, &c, 1)) == 1 && c != '\n' && line.size() < 256) line += c;
    if (got <= 0)
      return Error{ErrorCode::kDisconnected, fmt::format("[local] the daemon of node '{}' ended before it was ready", node)};
    break;
  }
  if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[local] interrupted"};
  const std::size_t colon = line.rfind(':');
  int port = 0;
  if (colon != std::string::npos) port = std::atoi(line.c_str() + colon + 1);
  if (port <= 0 || port > 65535)
    return Error{ErrorCode::kDisconnected,
                 fmt::format("[local] the daemon of node '{}' did not come up in {} s", node, kStartTimeoutMs / 1000)};
  return static_cast<std::uint16_t>(port);
}

}  // namespace

Status namespaces_available() {
  if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "[local] network namespaces need root"};
  const std::string name = fmt::format("tlprobe{}", ::getpid());
  TIDELINE_CHECK_OK(run_line("ip netns add " + name));
  Status shaped = run_line(fmt::format("ip -n {} link set lo up", name));
  if (shaped) shaped = run_line(fmt::format("tc -n {} qdisc add dev lo root tbf rate 10mbit burst 1600 limit 100000", name));
  (void)run_line("ip netns del " + name);
  return shaped;
}

Status LocalCluster::set_up_namespaces() {
  for (index_ = 0; index_ < kIndexMax; ++index_) {
    index_lock_ = ::open(fmt::format("/run/tideline-local-{}.lock", index_).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (index_lock_ >= 0 && ::flock(index_lock_, LOCK_EX | LOCK_NB) == 0) break;
    if (index_lock_ >= 0) ::close(index_lock_);
    index_lock_ = -1;
  }
  if (index_lock_ < 0)
    return Error{ErrorCode::kOverloaded, fmt::format("[local] {} local clusters are running already", kIndexMax)};

  const std::size_t count = cluster_.nodes.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string space = namespace_name(index_, i);
    (void)run_line("ip netns del " + space);  // left by a run that was killed
    TIDELINE_CHECK_OK(run_line("ip netns add " + space));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} link set lo up", space)));
    const std::string here = fmt::format("tl{}c{}", index_, i);
    (void)run_line("ip link del " + here);
    TIDELINE_CHECK_OK(run_line(fmt::format("ip link add {} type veth peer name control netns {}", here, space)));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip addr add {}/30 dev {}", control_address(index_, i, 0), here)));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} addr add {}/30 dev control", space, control_address(index_, i, 1))));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip link set {} up", here)));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} link set control up", space)));
    cluster_.nodes[i].host = control_address(index_, i, 1);
    cluster_.nodes[i].port = kNamespacePort;
  }
  for (std::size_t j = 0; j + 1 < count; ++j) {
    const std::string from = namespace_name(index_, j);
    const std::string to = namespace_name(index_, j + 1);
    TIDELINE_CHECK_OK(run_line(fmt::format("ip link add uplink netns {} type veth peer name downlink netns {}", from, to)));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} addr add {}/30 dev uplink", from, link_address(index_, j, 0))));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} addr add {}/30 dev downlink", to, link_address(index_, j, 1))));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} link set uplink up", from)));
    TIDELINE_CHECK_OK(run_line(fmt::format("ip -n {} link set downlink up", to)));
    TIDELINE_CHECK_OK(shape(from, "uplink", cluster_.links[j].bytes_per_s));
    TIDELINE_CHECK_OK(shape(to, "downlink", cluster_.links[j].back_bytes_per_s));
    cluster_.links[j].host = link_address(index_, j, 1);
    cluster_.links[j].port = kNamespacePort;
  }
  return {};
}

Status LocalCluster::start_daemon(std::size_t i, const LocalOptions& options, const CancelToken& cancel) {
  const Node& node = cluster_.nodes[i];
  const bool in_namespace = emulation_ == LinkEmulation::kNamespaces;
  // Resolved here: in the child, /proc/self/exe would be `ip`.
  std::error_code unresolved;
  const std::filesystem::path resolved = std::filesystem::canonical(options.binary, unresolved);
  const std::string program = unresolved ? options.binary : resolved.string();
  std::vector<std::string> words;
  if (in_namespace) words = {"ip", "netns", "exec", namespace_name(index_, i)};
  const std::string store = fmt::format("{}/{}", options.store_folder, node.name);
  const std::vector<std::string> command{program,      "node",
                                         "--name",     node.name,
                                         "--listen",   in_namespace ? fmt::format("0.0.0.0:{}", kNamespacePort) : "127.0.0.1:0",
                                         "--threads",  std::to_string(node.threads),
                                         "--slowdown", fmt::format("{}", node.slowdown),
                                         "--store",    store};
  words.insert(words.end(), command.begin(), command.end());
  if (node.memory_bytes) words.insert(words.end(), {"--memory", std::to_string(*node.memory_bytes)});
  if (emulation_ != LinkEmulation::kNone && i < cluster_.links.size()) {
    const Link& link = cluster_.links[i];
    words.insert(words.end(), {"--next-rtt", fmt::format("{}ms", link.rtt.count())});
    if (!in_namespace) {
      words.insert(words.end(), {"--next-bandwidth", fmt::format("{}B/s", link.bytes_per_s)});
      words.insert(words.end(), {"--next-bandwidth-back", fmt::format("{}B/s", link.back_bytes_per_s)});
    }
  }

  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return Error{ErrorCode::kInternal, "[local] no pipe to be had"};
  int log = -1;
  if (!options.log_folder.empty())
    log =
        ::open(fmt::format("{}/{}.log", options.log_folder, node.name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    // The daemon must not outlive us, and must not get the terminal's Ctrl-C: we end it ourselves.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);
    ::dup2(ready[1], STDOUT_FILENO);
    if (log >= 0) ::dup2(log, STDERR_FILENO);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(ready[1]);
  if (log >= 0) ::close(log);
  if (child < 0) {
    ::close(ready[0]);
    return Error{ErrorCode::kInternal, "[local] no process to be had"};
  }
  processes_[i] = child;
  auto port = wait_until_ready(ready[0], node.name, cancel);
  ::close(ready[0]);
  if (!port) return std::move(port).error();
  if (!in_namespace) {
    cluster_.nodes[i].host = "127.0.0.1";
    cluster_.nodes[i].port = *port;
  }
  return {};
}

Result<std::unique_ptr<LocalCluster>> LocalCluster::start(const Cluster& cluster, const LocalOptions& options,
                                                          const CancelToken& cancel) {
  if (!is_chain(cluster)) return Error{ErrorCode::kUnsupported, "[local] only chains can be emulated yet"};
  std::unique_ptr<LocalCluster> local(new LocalCluster());
  local->cluster_ = cluster;
  for (Link& link : local->cluster_.links) link.host.clear();
  local->emulation_ = options.emulation;
  local->processes_.assign(cluster.nodes.size(), -1);
  if (options.emulation == LinkEmulation::kAuto || options.emulation == LinkEmulation::kNamespaces) {
    const Status available = namespaces_available();
    if (!available && options.emulation == LinkEmulation::kNamespaces) return available.error();
    local->emulation_ = available ? LinkEmulation::kNamespaces : LinkEmulation::kTransport;
  }
  if (cluster.nodes.size() > 31) return Error{ErrorCode::kInvalidArgument, "[local] at most 31 nodes on one machine"};
  TIDELINE_CHECK_OK(make_folders(options.store_folder));
  if (!options.log_folder.empty()) TIDELINE_CHECK_OK(make_folders(options.log_folder));
  if (local->emulation_ == LinkEmulation::kNamespaces) TIDELINE_CHECK_OK(local->set_up_namespaces());
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) TIDELINE_CHECK_OK(local->start_daemon(i, options, cancel));
  return local;
}

LocalCluster::~LocalCluster() {
  for (const pid_t process : processes_)
    if (process > 0) {
      ::kill(process, SIGTERM);
      ::kill(process, SIGCONT);  // a frozen one must wake up to end
    }
  for (const pid_t process : processes_) {
    if (process <= 0) continue;
    bool ended = false;
    for (int waited_ms = 0; waited_ms < 3000 && !ended; waited_ms += 10) {
      ended = ::waitpid(process, nullptr, WNOHANG) != 0;
      if (!ended) ::usleep(10'000);
    }
    if (ended) continue;
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }
  if (index_lock_ >= 0) {
    for (std::size_t i = 0; i < cluster_.nodes.size(); ++i) (void)run_line("ip netns del " + namespace_name(index_, i));
    ::close(index_lock_);
  }
}

}  // namespace tideline
