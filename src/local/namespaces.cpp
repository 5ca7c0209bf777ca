#include "local/namespaces.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "platform/process.h"

namespace tideline {
namespace {

constexpr std::chrono::seconds kCommandTimeout{20};
// What an Ethernet frame of a full TCP segment weighs against its payload at MTU 1500 with time stamps: tbf counts
// frames, a link's bandwidth counts payload.
constexpr double kFramePerPayload = 1514.0 / 1448.0;
// The bucket lets the start of every message through unshaped, so it is small: one frame, or what the link carries in this time
// where frames follow each other faster than the kernel's timers keep up with (at 100 Mbit/s, one frame of bucket costs 9 % of
// the rate).
constexpr double kBurstBytesMin = 1600;
constexpr double kBurstSeconds = 0.0008;

std::string namespace_name(int index, std::size_t node) { return fmt::format("tl{}-{}", index, node); }
// Each cluster has a /24 for its links and another one for what joins it to this process; each pair of ends has four addresses.
std::string link_end(int index, std::size_t link, int end) { return fmt::format("10.213.{}.{}", index, 4 * link + 1 + end); }
// Nothing of this process may look for the nodes of the links elsewhere.
std::string no_way_route(int index) { return fmt::format("unreachable 10.213.{}.0/24", index); }
std::string control_end(int index, std::size_t node, int end) { return fmt::format("10.214.{}.{}", index, 4 * node + 1 + end); }

Status run_line(std::string_view line) {
  const std::vector<std::string> words = split(line, ' ');
  auto done = run_program(words, std::chrono::steady_clock::now() + kCommandTimeout);
  if (done) return {};
  if (done.error().code == ErrorCode::kNotFound)
    return Error{ErrorCode::kUnsupported, fmt::format("[local] '{}' is not installed (Debian package iproute2)", words[0])};
  return done.error();
}

Status run_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) TIDELINE_CHECK_OK(run_line(line));
  return {};
}

std::string shape_line(const std::string& space, const std::string& device, double bytes_per_s) {
  // The queue holds a few megabytes, so that a bulk sender is slowed by its window and not by drops.
  const double rate = bytes_per_s * kFramePerPayload;
  return fmt::format("tc -n {} qdisc add dev {} root tbf rate {:.0f}bit burst {:.0f} limit 16000000", space, device, rate * 8,
                     std::max(kBurstBytesMin, rate * kBurstSeconds));
}

// Holds an index as long as it is open; empty when another process does.
Descriptor lock_index(int index) {
  Descriptor lock(
      ::open(fmt::format("/run/tideline-local-{}.lock", index).c_str(), O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.reset();
  return lock;
}

// "tl3-0" is of index 3.
std::optional<int> index_of(std::string_view name) {
  int index = 0;
  int node = 0;
  if (!name.starts_with("tl")) return std::nullopt;
  const auto [dash, status] = std::from_chars(name.data() + 2, name.data() + name.size(), index);
  if (status != std::errc() || dash == name.data() + name.size() || *dash != '-') return std::nullopt;
  const auto [end, node_status] = std::from_chars(dash + 1, name.data() + name.size(), node);
  if (node_status != std::errc() || end != name.data() + name.size() || index < 0 || index >= limits::kLocalClustersMax)
    return std::nullopt;
  return index;
}

// Namespaces of indexes that nobody holds belong to processes that were killed. Their links go with them.
void remove_left_behind() {
  std::map<int, std::vector<std::string>> found;
  std::error_code status;
  for (auto it = std::filesystem::directory_iterator("/run/netns", status);
       !status && it != std::filesystem::directory_iterator(); it.increment(status)) {
    const std::string name = it->path().filename().string();
    if (const auto index = index_of(name)) found[*index].push_back(name);
  }
  for (const auto& [index, names] : found) {
    const Descriptor lock = lock_index(index);
    if (!lock) continue;
    for (const std::string& name : names) (void)run_line("ip netns del " + name);
    (void)run_line("ip route del " + no_way_route(index));
  }
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

std::string Namespaces::name(std::size_t node) const { return namespace_name(index_, node); }

std::vector<std::string> Namespaces::enter(std::size_t node) const { return {"ip", "netns", "exec", name(node)}; }

std::string Namespaces::link_address(std::size_t link) const { return link_end(index_, link, 1); }

Status Namespaces::take_index() {
  for (index_ = 0; index_ < limits::kLocalClustersMax && !lock_; ++index_) lock_ = lock_index(index_);
  --index_;
  if (lock_) return {};
  return Error{ErrorCode::kOverloaded, fmt::format("[local] {} local clusters are running already", limits::kLocalClustersMax)};
}

Result<std::unique_ptr<Namespaces>> Namespaces::make(const Cluster& cluster, bool reach_all) {
  if (cluster.links.size() > limits::kLocalLinksMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[local] at most {} links on one machine", limits::kLocalLinksMax)};
  remove_left_behind();
  std::unique_ptr<Namespaces> made(new Namespaces());
  TIDELINE_CHECK_OK(made->take_index());
  TIDELINE_CHECK_OK(made->set_up(cluster, reach_all));
  return made;
}

Status Namespaces::set_up(const Cluster& cluster, bool reach_all) {
  node_addresses_.resize(cluster.nodes.size());
  TIDELINE_CHECK_OK(run_line("ip route replace " + no_way_route(index_)));
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    const std::string space = name(i);
    nodes_ = i + 1;
    TIDELINE_CHECK_OK(run_lines({"ip netns add " + space, fmt::format("ip -n {} link set lo up", space)}));
    // A node is no router: what it passes on goes through its daemon. (Where this cannot be set, nobody has a route anyway.)
    (void)run_line(fmt::format("ip netns exec {} sysctl -q -w net.ipv4.ip_forward=0", space));
    if (!reach_all && i != static_cast<std::size_t>(cluster.source)) continue;
    const std::string here = fmt::format("tl{}c{}", index_, i);
    (void)run_line("ip link del " + here);  // the kernel takes its time to remove those of a namespace that is gone
    TIDELINE_CHECK_OK(run_lines({fmt::format("ip link add {} type veth peer name control netns {}", here, space),
                                 fmt::format("ip addr add {}/30 dev {}", control_end(index_, i, 0), here),
                                 fmt::format("ip -n {} addr add {}/30 dev control", space, control_end(index_, i, 1)),
                                 fmt::format("ip link set {} up", here), fmt::format("ip -n {} link set control up", space)}));
    node_addresses_[i] = control_end(index_, i, 1);
  }
  for (std::size_t j = 0; j < cluster.links.size(); ++j) {
    const Link& link = cluster.links[j];
    const std::string from = name(static_cast<std::size_t>(link.from));
    const std::string to = name(static_cast<std::size_t>(link.to));
    const std::string up = fmt::format("up{}", j);
    const std::string down = fmt::format("down{}", j);
    TIDELINE_CHECK_OK(
        run_lines({fmt::format("ip link add {} netns {} type veth peer name {} netns {}", up, from, down, to),
                   fmt::format("ip -n {} addr add {}/30 dev {}", from, link_end(index_, j, 0), up),
                   fmt::format("ip -n {} addr add {}/30 dev {}", to, link_end(index_, j, 1), down),
                   fmt::format("ip -n {} link set {} up", from, up), fmt::format("ip -n {} link set {} up", to, down),
                   shape_line(from, up, link.bytes_per_s), shape_line(to, down, link.back_bytes_per_s)}));
  }
  return {};
}

Namespaces::~Namespaces() {
  for (std::size_t i = 0; i < nodes_; ++i) (void)run_line("ip netns del " + name(i));
  if (lock_) (void)run_line("ip route del " + no_way_route(index_));
}

}  // namespace tideline
