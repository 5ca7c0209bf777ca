#include "train/hire/hire.h"

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline::train {
namespace {

// What a node takes beyond the start of its workers until its answer is here.
constexpr std::chrono::seconds kHireGrace{10};

Error of_node(const Node& node, const Error& error) {
  return {error.code,
          fmt::format("[train] node '{}' at {}: {}", node.name, to_string(Address{node.host, node.port}), error.message)};
}

Result<std::unique_ptr<Channel>> call_node(Transport& transport, const Node& node, const wire::SessionId& session,
                                           const CancelToken& cancel) {
  TIDELINE_TRY(auto connection, transport.connect({node.host, node.port}, deadline_in(limits::kConnectTimeout), &cancel));
  auto channel = std::make_unique<Channel>(std::move(connection));
  wire::Hello hello{.kind = wire::ConnectionKind::kData, .session = session, .name = "coordinator"};
  hello.capabilities &= ~wire::kCapFlow;  // no requests will come, so no credit is needed for them
  TIDELINE_TRY(const wire::Hello theirs, channel->greet(hello, deadline_in(limits::kHandshakeTimeout)));
  if (theirs.name != node.name)
    return Error{ErrorCode::kNotFound,
                 fmt::format("found node '{}' there; check the addresses in the cluster file", theirs.name)};
  return channel;
}

}  // namespace

Result<std::vector<NodeShare>> share_workers(const Cluster& cluster, const Job& job) {
  std::vector<NodeShare> shares;
  for (std::size_t i = 0; i < job.nodes.size(); ++i) {
    const std::size_t node = node_index(cluster, job.nodes[i]);
    if (node == cluster.nodes.size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[train] the job has a worker on node '{}', and the cluster file has no such node", job.nodes[i])};
    shares.push_back({node, static_cast<std::uint32_t>(i), 1});
  }
  if (!job.nodes.empty()) return shares;
  const std::size_t n = cluster.nodes.size();
  for (std::size_t node = 0; node < n; ++node) {
    const std::size_t first = job.workers * node / n, end = job.workers * (node + 1) / n;
    if (end - first > limits::kNodeWorkersMax)
      return Error{ErrorCode::kInvalidArgument, fmt::format("[train] {} workers over {} nodes are more than {} on each",
                                                            job.workers, n, limits::kNodeWorkersMax)};
    if (end > first) shares.push_back({node, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - first)});
  }
  return shares;
}

Result<std::unique_ptr<Hired>> hire_workers(Transport& transport, const Cluster& cluster, const Job& job,
                                            const CancelToken& cancel) {
  TIDELINE_TRY(const std::vector<NodeShare> shares, share_workers(cluster, job));
  auto hired = std::make_unique<Hired>();
  const auto failed = [&](const Node& node, const Error& error) {
    return cancel.cancelled() ? Error{ErrorCode::kCancelled, "interrupted"} : of_node(node, error);
  };
  const wire::SessionId session = wire::random_session_id();
  for (const NodeShare& share : shares) {
    const Node& node = cluster.nodes[share.node];
    auto channel = call_node(transport, node, session, cancel);
    if (!channel) return failed(node, channel.error());
    const wire::HireWorkers request{share.first, share.count, job.train_data};
    if (const Status sent = (*channel)->send(1, request, deadline_in(limits::kHandshakeTimeout)); !sent)
      return failed(node, sent.error());
    hired->channels_.push_back(std::move(*channel));
  }
  const auto watch = cancel.watch([&all = hired->channels_] {
    for (const auto& channel : all) channel->shutdown();
  });
  const SteadyTime deadline = deadline_in(limits::kTrainWorkerStart + kHireGrace);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const Node& node = cluster.nodes[shares[i].node];
    const auto frame = hired->channels_[i]->receive(deadline);
    if (!frame) return failed(node, frame.error());
    const auto answer = decode<wire::WorkersHired>(*frame);
    if (!answer) return answer.error();  // which names the node already
    if (answer->ports.size() != shares[i].count)
      return of_node(node, {ErrorCode::kCorrupt, "it has started another number of workers than was asked for"});
    for (const std::uint16_t port : answer->ports) hired->addresses_.push_back({node.host, port});
    const std::uint32_t last = shares[i].first + shares[i].count - 1;
    hired->places_.push_back(shares[i].count == 1 ? fmt::format("worker {} on {}", last, node.name)
                                                  : fmt::format("workers {} to {} on {}", shares[i].first, last, node.name));
  }
  return hired;
}

}  // namespace tideline::train
