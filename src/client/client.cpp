#include "client/client.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "model/segment.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// Loading a large segment takes seconds.
constexpr std::chrono::seconds kInstallTimeout{120};

Millis milliseconds(std::uint64_t nanoseconds) { return Millis(static_cast<double>(nanoseconds) * 1e-6); }

std::vector<std::string> names_of(const Cut& cut) {
  std::vector<std::string> names;
  for (const TensorSpec& tensor : cut.tensors) names.push_back(tensor.name);
  return names;
}

// The stages of a plan along the chain of nodes, up to the last one with a segment.
Result<std::vector<wire::Install>> stages_of(const Cluster& cluster, const Chain& chain, const Plan& plan) {
  const auto wrong = [](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, "[client] the plan does not fit: " + what};
  };
  if (!is_chain(cluster)) return Error{ErrorCode::kUnsupported, "[client] requests run over chains only yet"};
  if (plan.chain_sha256 != chain.sha256)
    return wrong("it was made for another model, shape, input section or cut list; plan again");
  std::vector<wire::Install> stages;
  std::uint32_t next_block = 0;
  for (const PlanSegment& segment : plan.segments) {
    if (segment.first_block != next_block || segment.last_block < segment.first_block ||
        segment.last_block >= chain.block_count())
      return wrong("its segments do not cover every block once");
    const auto node =
        std::find_if(cluster.nodes.begin(), cluster.nodes.end(), [&](const Node& n) { return n.name == segment.node; });
    if (node == cluster.nodes.end()) return wrong(fmt::format("the cluster has no node '{}'", segment.node));
    const std::size_t at = static_cast<std::size_t>(node - cluster.nodes.begin());
    if (at < stages.size()) return wrong("its nodes go back down the chain");
    while (stages.size() <= at) {
      wire::Install stage;
      stage.stage = static_cast<std::uint32_t>(stages.size());
      stage.inputs = stage.outputs = names_of(chain.cuts[next_block]);
      stages.push_back(std::move(stage));
    }
    stages.back().outputs = names_of(chain.cuts[segment.last_block + 1]);
    next_block = segment.last_block + 1;
  }
  if (next_block != chain.block_count()) return wrong("its segments do not cover every block once");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    stages[i].stages = static_cast<std::uint32_t>(stages.size());
    if (i + 1 == stages.size()) continue;
    const Link& link = cluster.links[i];
    const Node& next = cluster.nodes[i + 1];
    stages[i].next_node = next.name;
    stages[i].next_address = to_string(link.host.empty() ? Address{next.host, next.port} : Address{link.host, link.port});
  }
  return stages;
}

}  // namespace

ClusterClient::ClusterClient(Transport& transport, const Cluster& cluster)
    : transport_(transport), cluster_(cluster), session_(wire::random_session_id()), peers_(cluster.nodes.size()) {}

ClusterClient::~ClusterClient() = default;

Result<std::shared_ptr<Peer>> ClusterClient::peer(std::size_t node) {
  const std::lock_guard lock(mutex_);
  if (!peers_[node] || !peers_[node]->alive()) {
    const Node& entry = cluster_.nodes[node];
    auto connected = Peer::connect({.transport = &transport_,
                                    .address = {entry.host, entry.port},
                                    .session = session_,
                                    .own_name = "caller",
                                    .peer_name = entry.name,
                                    .role = wire::Role::kCaller},
                                   deadline_in(limits::kConnectTimeout));
    if (!connected)
      return with_context(
          std::move(connected).error(),
          fmt::format("cannot reach node '{}' (is `tideline node --name {}` running there?)", entry.name, entry.name));
    peers_[node] = std::move(*connected);
  }
  return peers_[node];
}

Result<DeployReport> ClusterClient::deploy(const Model& model, const Chain& chain, const Plan& plan, const CancelToken& cancel,
                                           const Progress& progress) {
  TIDELINE_TRY(auto stages, stages_of(cluster_, chain, plan));
  DeployReport report;
  // One segment in memory at a time: each may be hundreds of megabytes.
  for (const PlanSegment& placed : plan.segments) {
    const std::size_t node = static_cast<std::size_t>(
        std::find_if(cluster_.nodes.begin(), cluster_.nodes.end(), [&](const Node& n) { return n.name == placed.node; }) -
        cluster_.nodes.begin());
    TIDELINE_TRY(const auto target, peer(node));
    TIDELINE_TRY(const Segment segment, extract_segment(model, chain, placed.first_block, placed.last_block));
    stages[node].segment = segment.hash;
    ++report.segments;
    TIDELINE_TRY(const auto missing, target->missing_segments({segment.hash}, deadline_in(limits::kRequestDeadlineDefault)));
    if (missing.empty()) continue;
    TIDELINE_CHECK_OK(target->push_segment(segment.hash, segment.bytes, missing.front().have_bytes, cancel,
                                           [&](std::uint64_t done) { progress(placed.node, done, segment.bytes.size()); }));
    ++report.segments_pushed;
    report.bytes_pushed += segment.bytes.size() - missing.front().have_bytes;
  }
  const std::uint64_t epoch = epoch_ + 1;
  for (std::size_t i = stages.size(); i-- > 0;) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[client] interrupted"};
    stages[i].epoch = epoch;
    TIDELINE_TRY(const auto target, peer(i));
    TIDELINE_TRY([[maybe_unused]] const auto installed, target->install(stages[i], deadline_in(kInstallTimeout)));
  }
  epoch_ = epoch;
  inputs_ = stages.front().inputs;
  outputs_ = stages.back().outputs;
  return report;
}

Result<RunAnswer> ClusterClient::run(const std::vector<TensorView>& inputs, const RunRequest& request) {
  if (epoch_ == 0) return Error{ErrorCode::kInvalidArgument, "[client] no plan is deployed"};
  if (inputs.size() != inputs_.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[client] the plan takes {} inputs, {} were given", inputs_.size(), inputs.size())};
  TIDELINE_TRY(const auto first, peer(0));
  const SteadyTime start = Clock::now();
  wire::Run run;
  run.epoch = epoch_;
  run.deadline_us = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(request.timeout).count());
  std::vector<std::span<const std::byte>> payload;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TIDELINE_TRY(auto tensor, wire::wire_tensor(static_cast<std::uint16_t>(i), inputs[i].spec->dtype, inputs[i].spec->shape));
    if (tensor.bytes != inputs[i].bytes.size())
      return Error{ErrorCode::kInvalidArgument, "[client] an input's bytes do not fit its shape"};
    run.tensors.push_back(std::move(tensor));
    payload.push_back(inputs[i].bytes);
  }
  RunAnswer answer;
  answer.outputs.reserve(outputs_.size());
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    if (tensor.index != position || position >= outputs_.size())
      return Error{ErrorCode::kCorrupt, "[client] the result's tensors are not those of the plan"};
    answer.outputs.push_back({{outputs_[position], tensor.dtype, tensor.shape}, Buffer(tensor.bytes)});
    return answer.outputs.back().data.span();
  };
  CallTiming call;
  // The grace lets the nodes' own word about the deadline arrive before ours.
  const SteadyTime deadline = start + request.timeout + request.timeout / 20;
  TIDELINE_TRY(auto result, first->run(run, payload, buffer_for, deadline, request.cancel, &call));
  answer.latency = Clock::now() - start;
  if (answer.outputs.size() != outputs_.size() || result.stages.empty())
    return Error{ErrorCode::kCorrupt, "[client] the result is not complete"};

  std::reverse(result.stages.begin(), result.stages.end());
  for (std::size_t i = 0; i < result.stages.size(); ++i) {
    const wire::StageTiming& timing = result.stages[i];
    StageReport stage;
    stage.node = timing.node;
    stage.queue = milliseconds(timing.queue_ns);
    stage.compute = milliseconds(timing.compute_ns);
    stage.bytes = timing.output_bytes;
    const Millis call_total = milliseconds(timing.send_ns + timing.wait_ns + timing.return_ns);
    if (i + 1 < result.stages.size()) {
      // The next node's total begins at its RUN's header; what it spent receiving the payload is the link's time, not its own.
      const wire::StageTiming& next = result.stages[i + 1];
      stage.send = std::max(Millis(0), call_total - milliseconds(next.total_ns) + milliseconds(next.receive_ns));
    }
    stage.overhead = std::max(
        Millis(0), milliseconds(timing.total_ns) - milliseconds(timing.receive_ns) - stage.queue - stage.compute - call_total);
    answer.stages.push_back(std::move(stage));
  }
  answer.inject = std::max(Millis(0), Millis(call.total) - milliseconds(result.stages.front().total_ns) +
                                          milliseconds(result.stages.front().receive_ns));
  return answer;
}

}  // namespace tideline
