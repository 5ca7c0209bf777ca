#include "local/local_cluster.h"

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "base/address.h"
#include "base/limits.h"
#include "base/text.h"
#include "platform/files.h"

namespace tideline {
namespace {

constexpr std::uint16_t kNamespacePort = 7411;
constexpr std::chrono::seconds kStartTimeout{20};
constexpr std::chrono::seconds kEndTimeout{3};

// "host:port" out of the one line that a daemon prints when it is ready.
Result<Address> wait_until_ready(Process& daemon, const std::string& node, const CancelToken& cancel) {
  const auto line = daemon.read_line(std::chrono::steady_clock::now() + kStartTimeout, cancel);
  if (!line && line.error().code == ErrorCode::kCancelled) return Error{ErrorCode::kCancelled, "[local] interrupted"};
  if (!line && line.error().code == ErrorCode::kDisconnected)
    return Error{ErrorCode::kDisconnected, fmt::format("[local] the daemon of node '{}' ended before it was ready", node)};
  const std::string said = line ? *line : "";
  auto address = parse_address(std::string_view(said).substr(std::min(said.size(), said.rfind(' ') + 1)));
  if (address && address->port != 0) return address;
  return Error{ErrorCode::kDisconnected,
               fmt::format("[local] the daemon of node '{}' did not come up in {} s", node, kStartTimeout.count())};
}

}  // namespace

Status LocalCluster::start_daemon(std::size_t i, const LocalOptions& options, const CancelToken& cancel) {
  const Node& node = cluster_.nodes[i];
  // Resolved here: in the child, /proc/self/exe would be `ip`.
  std::error_code unresolved;
  const std::filesystem::path resolved = std::filesystem::canonical(options.binary, unresolved);
  ProcessOptions process;
  process.pipe_output = true;
  if (namespaces_) process.words = namespaces_->enter(i);
  const std::string listen = namespaces_ ? fmt::format("0.0.0.0:{}", kNamespacePort) : "127.0.0.1:0";
  for (const std::string& word :
       std::vector<std::string>{unresolved ? options.binary : resolved.string(), "node", "--name", node.name, "--listen", listen,
                                "--threads", std::to_string(node.threads), "--slowdown", fmt::format("{}", node.slowdown),
                                "--store", fmt::format("{}/{}", options.store_folder, node.name)})
    process.words.push_back(word);
  if (node.memory_bytes) process.words.insert(process.words.end(), {"--memory", std::to_string(*node.memory_bytes)});
  for (const Link& link : cluster_.links) {
    if (emulation_ == LinkEmulation::kNone || static_cast<std::size_t>(link.from) != i) continue;
    std::string shape = fmt::format("{}=rtt:{}ms", cluster_.nodes[static_cast<std::size_t>(link.to)].name, link.rtt.count());
    if (!namespaces_) shape += fmt::format(",bandwidth:{}B/s,back:{}B/s", link.bytes_per_s, link.back_bytes_per_s);
    process.words.insert(process.words.end(), {"--link", shape});
  }
  if (!options.log_folder.empty()) process.error_file = fmt::format("{}/{}.log", options.log_folder, node.name);
  TIDELINE_TRY(Process daemon, Process::start(process));
  processes_.push_back(std::move(daemon));
  reported_.push_back(false);
  TIDELINE_TRY(const Address address, wait_until_ready(processes_.back(), node.name, cancel));
  if (namespaces_) return {};
  cluster_.nodes[i].host = "127.0.0.1";
  cluster_.nodes[i].port = address.port;
  return {};
}

Result<std::unique_ptr<LocalCluster>> LocalCluster::start(const Cluster& cluster, const LocalOptions& options,
                                                          const CancelToken& cancel) {
  if (cluster.nodes.size() > limits::kLocalNodesMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[local] at most {} nodes on one machine", limits::kLocalNodesMax)};
  std::unique_ptr<LocalCluster> local(new LocalCluster());
  local->cluster_ = cluster;
  for (Link& link : local->cluster_.links) link.host.clear();
  local->emulation_ = options.emulation;
  if (options.emulation == LinkEmulation::kAuto || options.emulation == LinkEmulation::kNamespaces) {
    const Status available = namespaces_available();
    if (!available && options.emulation == LinkEmulation::kNamespaces) return available.error();
    local->emulation_ = available ? LinkEmulation::kNamespaces : LinkEmulation::kTransport;
  }
  TIDELINE_CHECK_OK(make_folders(options.store_folder));
  if (!options.log_folder.empty()) TIDELINE_CHECK_OK(make_folders(options.log_folder));
  if (local->emulation_ == LinkEmulation::kNamespaces) {
    TIDELINE_TRY(local->namespaces_, Namespaces::make(cluster, options.reach_all));
    for (std::size_t j = 0; j < cluster.links.size(); ++j) {
      Link& link = local->cluster_.links[j];
      link.host = local->namespaces_->link_address(j);
      link.port = kNamespacePort;
    }
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      Node& node = local->cluster_.nodes[i];
      node.port = kNamespacePort;
      node.host = local->namespaces_->node_address(i);
      // Out of this process's reach: where a neighbour finds it.
      for (const Link& link : local->cluster_.links)
        if (node.host.empty() && static_cast<std::size_t>(link.to) == i) node.host = link.host;
      if (node.host.empty())
        return Error{ErrorCode::kInvalidArgument, fmt::format("[local] no link leads to node '{}'", node.name)};
    }
  }
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) TIDELINE_CHECK_OK(local->start_daemon(i, options, cancel));
  return local;
}

std::vector<std::string> LocalCluster::news() {
  std::vector<std::string> said;
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    const auto end = processes_[i].ended();
    if (!end || reported_[i]) continue;
    reported_[i] = true;
    said.push_back(fmt::format("node '{}' has ended: {}", cluster_.nodes[i].name, to_string(*end)));
  }
  return said;
}

LocalCluster::~LocalCluster() {
  for (const Process& process : processes_) {
    process.signal(SIGTERM);
    process.signal(SIGCONT);  // a frozen one must wake up to end
  }
  const SteadyTime until = std::chrono::steady_clock::now() + kEndTimeout;
  for (Process& process : processes_)
    if (!process.wait(until)) process.end(std::chrono::milliseconds(0));
}

}  // namespace tideline
