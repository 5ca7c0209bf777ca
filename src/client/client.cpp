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

// Type, rank and every dimension that is known beforehand.
bool fits(const TensorSpec& found, const TensorSpec& expected) {
  if (found.dtype != expected.dtype || found.shape.size() != expected.shape.size()) return false;
  for (std::size_t i = 0; i < found.shape.size(); ++i)
    if (expected.shape[i] != kUnknownDim && found.shape[i] != expected.shape[i]) return false;
  return true;
}

}  // namespace

ClusterClient::ClusterClient(Transport& transport, const Cluster& cluster)
    : transport_(transport), cluster_(cluster), session_(wire::random_session_id()), peers_(cluster.nodes.size()) {}

ClusterClient::~ClusterClient() = default;

Result<std::shared_ptr<Peer>> ClusterClient::peer(std::size_t node, SteadyTime deadline) {
  const Node& entry = cluster_.nodes[node];
  deadline = std::min(deadline, deadline_in(limits::kConnectTimeout));
  Slot& slot = peers_[node];
  std::unique_lock lock(mutex_);
  if (!connected_.wait_until(lock, deadline, [&] { return !slot.connecting; }))
    return Error{ErrorCode::kDeadlineExceeded, fmt::format("[client] node '{}' did not answer before the deadline", entry.name)};
  if (slot.peer && slot.peer->alive()) return slot.peer;
  slot.connecting = true;
  lock.unlock();
  auto connected = Peer::connect({.transport = &transport_,
                                  .address = {entry.host, entry.port},
                                  .session = session_,
                                  .own_name = "caller",
                                  .peer_name = entry.name,
                                  .role = wire::Role::kCaller},
                                 deadline);
  lock.lock();
  slot.connecting = false;
  connected_.notify_all();
  if (!connected)
    return with_context(
        std::move(connected).error(),
        fmt::format("cannot reach node '{}' (is `tideline node --name {}` running there?)", entry.name, entry.name));
  slot.peer = std::move(*connected);
  return slot.peer;
}

Status ClusterClient::install(const Deployed& deployed, const CancelToken& cancel) {
  for (std::size_t i = deployed.stages.size(); i-- > 0;) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[client] interrupted"};
    TIDELINE_TRY(const auto target, peer(deployed.nodes[i]));
    TIDELINE_TRY([[maybe_unused]] const auto installed, target->install(deployed.stages[i], deadline_in(kInstallTimeout)));
  }
  return {};
}

void ClusterClient::uninstall(const Deployed& deployed) {
  for (const std::size_t node : deployed.nodes) {
    std::shared_ptr<Peer> known;
    {
      const std::lock_guard lock(mutex_);
      known = peers_[node].peer;
    }
    if (known && known->alive()) (void)known->uninstall(deployed.epoch, deadline_in(limits::kConnectTimeout));
  }
}

void ClusterClient::finished(const std::shared_ptr<Deployed>& deployed) {
  {
    const std::lock_guard lock(mutex_);
    if (--deployed->running > 0 || !deployed->retired) return;
  }
  uninstall(*deployed);
}

Result<DeployReport> ClusterClient::deploy(const Model& model, const Chain& chain, const Plan& plan, const CancelToken& cancel,
                                           const Progress& progress) {
  TIDELINE_TRY(const Program program, lower(plan, cluster_, chain));
  TIDELINE_TRY(std::vector<Placed> stages, placed_stages(cluster_, program));
  const auto next = std::make_shared<Deployed>();
  next->outputs = chain.cuts.back().tensors;
  next->epoch = ++epochs_;
  DeployReport report;
  // One segment in memory at a time: each may be hundreds of megabytes.
  for (Placed& stage : stages) {
    stage.install.epoch = next->epoch;
    if (stage.blocks) {
      TIDELINE_TRY(const auto target, peer(stage.node));
      TIDELINE_TRY(const Segment segment, extract_segment(model, chain, stage.blocks->first, stage.blocks->second));
      stage.install.segment = segment.hash;
      // The cut has the shapes that were measured once; the segment knows which of them only a run tells.
      for (const TensorSpec& made : segment.outputs)
        for (TensorSpec& output : next->outputs)
          if (output.name == made.name) output = made;
      ++report.segments;
      TIDELINE_TRY(const auto missing, target->missing_segments({segment.hash}, deadline_in(limits::kRequestDeadlineDefault)));
      if (!missing.empty()) {
        std::function<void(std::uint64_t)> pushed;
        if (progress) pushed = [&](std::uint64_t done) { progress(cluster_.nodes[stage.node].name, done, segment.bytes.size()); };
        TIDELINE_CHECK_OK(target->push_segment(segment.hash, segment.bytes, missing.front().have_bytes, cancel, pushed));
        ++report.segments_pushed;
        report.bytes_pushed += segment.bytes.size() - missing.front().have_bytes;
      }
    }
    next->nodes.push_back(stage.node);
    next->stages.push_back(std::move(stage.install));
  }
  next->inputs = next->stages.front().inputs;

  std::shared_ptr<Deployed> before;
  {
    const std::lock_guard lock(mutex_);
    before = deployed_;
  }
  Status installed = install(*next, cancel);
  if (!installed && installed.error().code == ErrorCode::kOverloaded && before) {
    // Both plans at once are too much for some node.
    uninstall(*before);
    installed = install(*next, cancel);
    if (!installed) {
      uninstall(*next);
      const Status restored = install(*before, CancelToken());
      if (!restored) {
        const std::lock_guard lock(mutex_);
        deployed_ = nullptr;
      }
    }
  }
  if (!installed) return std::move(installed).error();
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    deployed_ = next;
    if (before) {
      before->retired = true;
      idle = before->running == 0;
    }
  }
  if (idle) uninstall(*before);
  return report;
}

Result<RunAnswer> ClusterClient::run(const std::vector<TensorView>& inputs, const RunRequest& request) {
  const SteadyTime start = Clock::now();
  std::shared_ptr<Deployed> plan;
  {
    const std::lock_guard lock(mutex_);
    if (!deployed_) return Error{ErrorCode::kInvalidArgument, "[client] no plan is deployed"};
    plan = deployed_;
    ++plan->running;
  }
  struct Finished {
    ClusterClient& client;
    const std::shared_ptr<Deployed>& plan;
    ~Finished() { client.finished(plan); }
  } const at_end{*this, plan};
  if (inputs.size() != plan->inputs.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[client] the plan takes {} inputs, {} were given", plan->inputs.size(), inputs.size())};
  // Longer than that nobody waits; and the clock's arithmetic holds.
  const Nanos timeout = std::min<Nanos>(request.timeout, std::chrono::hours(24));
  // The grace lets the nodes' own word about the deadline arrive before ours.
  const SteadyTime deadline = start + timeout + timeout / 20;
  TIDELINE_TRY(const auto first, peer(static_cast<std::size_t>(cluster_.source), deadline));
  wire::Run run;
  run.epoch = plan->epoch;
  run.deadline_us = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(timeout).count());
  std::vector<std::span<const std::byte>> payload;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TIDELINE_TRY(auto tensor, wire::wire_tensor(static_cast<std::uint16_t>(i), inputs[i].spec->dtype, inputs[i].spec->shape));
    if (tensor.bytes != inputs[i].bytes.size())
      return Error{ErrorCode::kInvalidArgument, "[client] an input's bytes do not fit its shape"};
    run.tensors.push_back(std::move(tensor));
    payload.push_back(inputs[i].bytes);
  }
  RunAnswer answer;
  answer.outputs.reserve(plan->outputs.size());
  const auto buffer_for = [&](std::size_t position, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
    if (tensor.index != position || position >= plan->outputs.size())
      return Error{ErrorCode::kCorrupt, "[client] the result's tensors are not those of the plan"};
    const TensorSpec found{plan->outputs[position].name, tensor.dtype, tensor.shape};
    if (!fits(found, plan->outputs[position]))
      return Error{ErrorCode::kCorrupt, fmt::format("[client] the result is {}, the plan ends with {}", describe(found),
                                                    describe(plan->outputs[position]))};
    answer.outputs.push_back({found, Buffer(tensor.bytes)});
    return answer.outputs.back().data.span();
  };
  CallTiming call;
  TIDELINE_TRY(auto result, first->run(run, payload, buffer_for, deadline, request.cancel, &call));
  answer.latency = Clock::now() - start;
  if (answer.outputs.size() != plan->outputs.size() || result.stages.empty())
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
