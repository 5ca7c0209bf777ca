#include "client/client.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "model/segment.h"
#include "plan/program.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// Loading a large segment takes seconds.
constexpr std::chrono::seconds kInstallTimeout{120};

Millis milliseconds(std::uint64_t nanoseconds) { return Millis(static_cast<double>(nanoseconds) * 1e-6); }

// A stage of today's runtime: what one node is told, and which node of the cluster that is.
struct Placed {
  std::size_t node = 0;
  wire::Install install;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> blocks;
};

// A node relays the answer of its call as it comes. So a request can go up any route and come back, but no node can do more with
// an answer than pass it on.
Result<std::vector<Placed>> placed_stages(const Cluster& cluster, const Program& program) {
  std::vector<Placed> placed;
  for (const ProgramStage& stage : program.stages) {
    if (stage.from == ProgramStage::From::kAnswer) {
      if (stage.blocks || stage.then == ProgramStage::Then::kCall)
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[client] the plan comes back to '{}' with blocks left to run, which nodes cannot do yet: plan "
                                 "with --planner chain-exact for one that only goes up",
                                 stage.node)};
      continue;
    }
    Placed next{.blocks = stage.blocks};
    while (next.node < cluster.nodes.size() && cluster.nodes[next.node].name != stage.node) ++next.node;
    next.install.stage = stage.id;
    next.install.inputs = stage.inputs;
    next.install.outputs = stage.outputs;
    if (stage.then == ProgramStage::Then::kCall) {
      const Link& link = cluster.links[stage.link];
      const Node& to = cluster.nodes[std::size_t(link.to)];
      next.install.next_node = to.name;
      next.install.next_address = to_string(link.host.empty() ? Address{to.host, to.port} : Address{link.host, link.port});
    }
    placed.push_back(std::move(next));
  }
  for (Placed& stage : placed) stage.install.stages = static_cast<std::uint32_t>(placed.size());
  return placed;
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
  TIDELINE_TRY(const Program program, lower(plan, cluster_, chain));
  TIDELINE_TRY(std::vector<Placed> stages, placed_stages(cluster_, program));
  DeployReport report;
  // One segment in memory at a time: each may be hundreds of megabytes.
  for (Placed& stage : stages) {
    if (!stage.blocks) continue;
    TIDELINE_TRY(const auto target, peer(stage.node));
    TIDELINE_TRY(const Segment segment, extract_segment(model, chain, stage.blocks->first, stage.blocks->second));
    stage.install.segment = segment.hash;
    ++report.segments;
    TIDELINE_TRY(const auto missing, target->missing_segments({segment.hash}, deadline_in(limits::kRequestDeadlineDefault)));
    if (missing.empty()) continue;
    TIDELINE_CHECK_OK(
        target->push_segment(segment.hash, segment.bytes, missing.front().have_bytes, cancel,
                             [&](std::uint64_t done) { progress(cluster_.nodes[stage.node].name, done, segment.bytes.size()); }));
    ++report.segments_pushed;
    report.bytes_pushed += segment.bytes.size() - missing.front().have_bytes;
  }
  const std::uint64_t epoch = epoch_ + 1;
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[client] interrupted"};
    stage->install.epoch = epoch;
    TIDELINE_TRY(const auto target, peer(stage->node));
    TIDELINE_TRY([[maybe_unused]] const auto installed, target->install(stage->install, deadline_in(kInstallTimeout)));
  }
  epoch_ = epoch;
  inputs_ = stages.front().install.inputs;
  outputs_ = stages.back().install.outputs;
  return report;
}

Result<RunAnswer> ClusterClient::run(const std::vector<TensorView>& inputs, const RunRequest& request) {
  if (epoch_ == 0) return Error{ErrorCode::kInvalidArgument, "[client] no plan is deployed"};
  if (inputs.size() != inputs_.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[client] the plan takes {} inputs, {} were given", inputs_.size(), inputs.size())};
  TIDELINE_TRY(const auto first, peer(std::size_t(cluster_.source)));
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
