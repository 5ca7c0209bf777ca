#include "client/client.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/limits.h"
#include "cluster/routes.h"
#include "codec/codec.h"
#include "model/segment.h"
#include "plan/program.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// Loading a large segment takes seconds.
constexpr std::chrono::seconds kInstallTimeout{120};

// Type, rank and every dimension, as far as they are known beforehand.
bool fits(const TensorSpec& found, const TensorSpec& expected) {
  if (found.dtype != expected.dtype) return false;
  if (!has_rank(expected.shape)) return true;
  if (found.shape.size() != expected.shape.size()) return false;
  for (std::size_t i = 0; i < found.shape.size(); ++i)
    if (expected.shape[i] != kUnknownDim && found.shape[i] != expected.shape[i]) return false;
  return true;
}

// Where the node before it reaches the node at the end of a link.
Address address_over(const Cluster& cluster, const Link& link) {
  const Node& to = cluster.nodes[static_cast<std::size_t>(link.to)];
  return link.host.empty() ? Address{to.host, to.port} : Address{link.host, link.port};
}

// What a stage does decides what of its node's share it has.
wire::Share share_of(const NodeShares& shares, const std::string& node, const wire::ProgramStage& stage) {
  const auto found = shares.find(node);
  if (found == shares.end()) return {};
  wire::Share share = found->second;
  if (!stage.segment) share.compute_ppm = 0;
  if (!stage.calls) share.link_bytes_per_s = share.link_total_bytes_per_s = 0;
  return share.compute_ppm == 0 && share.link_bytes_per_s == 0 ? wire::Share{} : share;
}
bool has_share(const wire::ProgramStage& stage) { return stage.share != wire::Share{}; }

bool uses_codecs(const wire::ProgramStage& stage) { return !stage.codec_in.is_raw() || !stage.codec_out.is_raw(); }

// For a peer that knows no programs: the one stage, or nothing when one INSTALL cannot say it.
std::optional<wire::Install> plain_install(std::uint64_t epoch, const std::vector<wire::ProgramStage>& stages,
                                           std::uint32_t route_stages) {
  const wire::ProgramStage& stage = stages.front();
  if (stages.size() > 1 || stage.on_answer || uses_codecs(stage) || has_share(stage) ||
      (stage.calls && stage.next != stage.id + 1))
    return std::nullopt;
  return wire::Install{.epoch = epoch,
                       .stage = stage.id,
                       .stages = stage.calls ? std::max(route_stages, stage.id + 2) : stage.id + 1,
                       .segment = stage.segment,
                       .inputs = stage.inputs,
                       .outputs = stage.outputs,
                       .next_node = stage.next_node,
                       .next_address = stage.next_address};
}

}  // namespace

ClusterClient::Ticket::Ticket(ClusterClient& client, std::shared_ptr<Deployed> plan)
    : client_(client), plan_(std::move(plan)), began_(Clock::now()) {
  answer_.outputs.reserve(plan_->outputs.size());
}

ClusterClient::Ticket::~Ticket() {
  pending_.reset();
  client_.finished(plan_);
}

Result<std::span<std::byte>> ClusterClient::Ticket::buffer_for(std::size_t position, const wire::WireTensor& tensor) {
  if (tensor.index != position || position >= plan_->outputs.size() || position != answer_.outputs.size())
    return Error{ErrorCode::kCorrupt, "[client] the result's tensors are not those of the plan"};
  if (tensor.encoding != wire::Encoding::kRaw)
    return Error{ErrorCode::kCorrupt, "[client] the result comes encoded, but results come raw"};
  const TensorSpec found{plan_->outputs[position].name, tensor.dtype, tensor.shape};
  if (!fits(found, plan_->outputs[position]))
    return Error{ErrorCode::kCorrupt, fmt::format("[client] the result is {}, the plan ends with {}", describe(found),
                                                  describe(plan_->outputs[position]))};
  answer_.outputs.push_back({found, Buffer(tensor.bytes)});
  return answer_.outputs.back().data.span();
}

ClusterClient::ClusterClient(Transport& transport, const Cluster& cluster, std::chrono::nanoseconds connect_timeout)
    : transport_(transport),
      cluster_(cluster),
      connect_timeout_(connect_timeout),
      ways_(cluster.nodes.size()),
      session_(wire::random_session_id()),
      peers_(cluster.nodes.size()),
      has_own_address_(cluster.nodes.size(), false) {
  for (std::size_t node = 0; node < ways_.size(); ++node) ways_[node].peer = node;
  const auto routes = routes_of(cluster_);
  if (!routes) return;
  // The first place of a node is its shortest.
  std::vector<bool> known(ways_.size(), false);
  known[static_cast<std::size_t>(cluster_.source)] = true;
  std::vector<Way> by_place(routes->places.size());
  by_place.front().peer = static_cast<std::size_t>(cluster_.source);
  for (std::size_t i = 1; i < routes->places.size(); ++i) {
    const Place& place = routes->places[i];
    const std::size_t node = static_cast<std::size_t>(place.node);
    const Link& link = cluster_.links[place.link];
    const Address over = address_over(cluster_, link);
    Way& way = by_place[i];
    way = by_place[place.parent];
    way.via.push_back({cluster_.nodes[node].name, to_string(over)});
    // An address besides the one that its neighbours use may be the caller's own way to it.
    if (over != Address{cluster_.nodes[node].host, cluster_.nodes[node].port}) has_own_address_[node] = true;
    if (!known[node]) ways_[node] = way;
    known[node] = true;
  }
}

ClusterClient::~ClusterClient() = default;

ClusterClient::Way ClusterClient::way_to(std::size_t node) {
  bool try_own = false;
  {
    const std::lock_guard lock(mutex_);
    try_own = has_own_address_[node];
  }
  if (!try_own) return ways_[node];
  if (peer(node)) return {node, {}};
  const std::lock_guard lock(mutex_);
  has_own_address_[node] = false;
  return ways_[node];
}

Result<std::shared_ptr<Peer>> ClusterClient::peer(std::size_t node, SteadyTime deadline) {
  const Node& entry = cluster_.nodes[node];
  Slot& slot = peers_[node];
  std::unique_lock lock(mutex_);
  if (!slot.connecting && slot.peer && slot.peer->alive()) return slot.peer;
  deadline = std::min(deadline, deadline_in(connect_timeout_));
  if (!connected_.wait_until(lock, deadline, [&] { return !slot.connecting; }))
    return Error{ErrorCode::kDeadlineExceeded, fmt::format("[client] node '{}' did not answer before the deadline", entry.name)};
  if (slot.peer && slot.peer->alive()) return slot.peer;
  slot.connecting = true;
  // A dead peer goes without the lock.
  std::shared_ptr<Peer> before = std::move(slot.peer);
  slot.peer = nullptr;
  lock.unlock();
  before.reset();
  // Whatever happens, those that wait for it go on.
  auto connected = [&]() -> Result<std::unique_ptr<Peer>> {
    try {
      return Peer::connect({.transport = &transport_,
                            .address = {entry.host, entry.port},
                            .session = session_,
                            .own_name = "caller",
                            .peer_name = entry.name,
                            .role = wire::Role::kCaller},
                           deadline);
    } catch (const std::exception&) {
      return Error{ErrorCode::kOverloaded, "[client] out of memory or threads"};
    }
  }();
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

template <class Call>
auto ClusterClient::manage(const Way& way, Call call) -> decltype(call(std::declval<Peer&>())) {
  TIDELINE_TRY(auto target, peer(way.peer));
  if (!target->still_there()) {
    TIDELINE_TRY(target, peer(way.peer));
  }
  auto result = call(*target);
  // A node that came back since: its old connections have just been found dead.
  if (result || result.error().code != ErrorCode::kDisconnected || target->alive()) return result;
  TIDELINE_TRY(const auto again, peer(way.peer));
  return call(*again);
}

Result<wire::NodeStatus> ClusterClient::status(std::size_t node, SteadyTime deadline) {
  const Way way = way_to(node);
  TIDELINE_TRY(const auto target, peer(way.peer, deadline));
  return target->status(deadline, way.via);
}

Status ClusterClient::install(const Deployed& deployed, const CancelToken& cancel) {
  for (auto part = deployed.parts.rbegin(); part != deployed.parts.rend(); ++part) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[client] interrupted"};
    const Way way = way_to(part->node);
    const Status installed = manage(way, [&](Peer& target) -> Status {
      // What a node behind others knows only that one can say.
      if (way.via.empty() && !target.knows_codecs() && std::any_of(part->stages.begin(), part->stages.end(), uses_codecs))
        return Error{ErrorCode::kUnsupported, fmt::format("[client] node '{}' is too old for codecs; update it, or plan without",
                                                          cluster_.nodes[part->node].name)};
      if (way.via.empty() && !target.knows_shares() && std::any_of(part->stages.begin(), part->stages.end(), has_share))
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[client] node '{}' is too old to keep shares; update it", cluster_.nodes[part->node].name)};
      if (target.flows()) {
        TIDELINE_CHECK_OK(
            target.install(wire::InstallProgram{deployed.epoch, part->stages}, deadline_in(kInstallTimeout), way.via));
        return {};
      }
      const auto plain = plain_install(deployed.epoch, part->stages, deployed.stages);
      if (!plain || !way.via.empty())
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[client] node '{}' is too old for this plan; update it", cluster_.nodes[part->node].name)};
      TIDELINE_CHECK_OK(target.install(*plain, deadline_in(kInstallTimeout)));
      return {};
    });
    if (!installed) return installed;
  }
  return {};
}

void ClusterClient::uninstall(const Deployed& deployed) {
  for (const Deployed::Part& part : deployed.parts) {
    Way way = ways_[part.node];
    std::shared_ptr<Peer> known;
    {
      const std::lock_guard lock(mutex_);
      if (has_own_address_[part.node]) way = {part.node, {}};
      known = peers_[way.peer].peer;
    }
    if (known && known->alive()) (void)known->uninstall(deployed.epoch, deadline_in(limits::kConnectTimeout), way.via);
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
                                           const Progress& progress, const NodeShares& shares) {
  TIDELINE_TRY(const Program program, lower(plan, cluster_, chain));
  const auto next = std::make_shared<Deployed>();
  next->stages = static_cast<std::uint32_t>(program.stages.size());
  if (program.result_to == ResultTo::kSource) next->outputs = chain.cuts.back().tensors;
  std::map<std::string, std::size_t> parts;
  DeployReport report;
  for (const ProgramStage& stage : program.stages) {
    const auto node =
        std::find_if(cluster_.nodes.begin(), cluster_.nodes.end(), [&](const Node& n) { return n.name == stage.node; });
    const std::size_t at = static_cast<std::size_t>(node - cluster_.nodes.begin());
    next->roots.push_back(stage.from == ProgramStage::From::kAnswer ? next->roots[stage.after] : stage.id);
    // lower() knows them all.
    const Codec codec_in = stage.id == 0 ? Codec{} : find_codec(program.stages[stage.id - 1].codec).value();
    const Codec codec_out = find_codec(stage.codec).value();
    // What only hands an answer back needs no stage: a node does that by itself.
    if (stage.from == ProgramStage::From::kAnswer && stage.then == ProgramStage::Then::kAnswer && !stage.blocks &&
        stage.inputs == stage.outputs && codec_in == codec_out)
      continue;
    wire::ProgramStage told{.id = stage.id, .inputs = stage.inputs, .outputs = stage.outputs};
    told.codec_in = codec_in;
    told.codec_out = codec_out;
    told.on_answer = stage.from == ProgramStage::From::kAnswer;
    told.after = told.on_answer ? stage.after : 0;
    told.calls = stage.then == ProgramStage::Then::kCall;
    if (told.calls) {
      told.next = stage.next;
      told.next_node = stage.next_node;
      told.next_address = to_string(address_over(cluster_, cluster_.links[stage.link]));
    }
    if (stage.blocks) {
      // One segment in memory at a time: each may be hundreds of megabytes.
      const Way way = way_to(at);
      TIDELINE_TRY(const Segment segment, extract_segment(model, chain, stage.blocks->first, stage.blocks->second));
      told.segment = segment.hash;
      // The cut has the shapes that were measured once; the segment knows which of them only a run tells.
      for (const TensorSpec& made : segment.outputs)
        for (TensorSpec& output : next->outputs)
          if (output.name == made.name) output = made;
      ++report.segments;
      TIDELINE_TRY(const auto missing, manage(way, [&](Peer& target) {
                     return target.missing_segments({segment.hash}, deadline_in(limits::kRequestDeadlineDefault), way.via);
                   }));
      if (!missing.empty()) {
        std::function<void(std::uint64_t)> pushed;
        if (progress) pushed = [&](std::uint64_t done) { progress(stage.node, done, segment.bytes.size()); };
        TIDELINE_TRY(const auto target, peer(way.peer));
        TIDELINE_CHECK_OK(target->push_segment(segment.hash, segment.bytes, missing.front().have_bytes, cancel, pushed, way.via));
        ++report.segments_pushed;
        report.bytes_pushed += segment.bytes.size() - missing.front().have_bytes;
      }
    }
    told.share = share_of(shares, stage.node, told);
    const auto [part, fresh] = parts.try_emplace(stage.node, next->parts.size());
    if (fresh) next->parts.push_back({at, {}});
    next->parts[part->second].stages.push_back(std::move(told));
  }
  next->epoch = ++epochs_;
  next->inputs = program.stages.front().inputs;

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
  if (installed)
    installed = manage(way_to(static_cast<std::size_t>(cluster_.source)),
                       [](Peer& source) { return source.prepare_runs(deadline_in(limits::kConnectTimeout)); });
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

Result<std::unique_ptr<ClusterClient::Ticket>> ClusterClient::start(const std::vector<TensorView>& inputs,
                                                                    const RunRequest& request) {
  std::unique_ptr<Ticket> ticket;
  {
    const std::lock_guard lock(mutex_);
    if (!deployed_) return Error{ErrorCode::kInvalidArgument, "[client] no plan is deployed"};
    ticket = std::make_unique<Ticket>(*this, deployed_);
    ++deployed_->running;
  }
  const Deployed& plan = *ticket->plan_;
  if (inputs.size() != plan.inputs.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[client] the plan takes {} inputs, {} were given", plan.inputs.size(), inputs.size())};
  // Longer than that nobody waits; and the clock's arithmetic holds.
  const Nanos timeout = std::min<Nanos>(request.timeout, std::chrono::hours(24));
  // The grace lets the nodes' own word about the deadline arrive before ours.
  const SteadyTime deadline = ticket->began_ + timeout + timeout / 20;
  wire::Run run;
  run.epoch = plan.epoch;
  run.deadline_us = static_cast<std::uint64_t>(
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(timeout).count()));
  std::vector<std::span<const std::byte>> payload;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    TIDELINE_TRY(auto tensor, wire::wire_tensor(static_cast<std::uint16_t>(i), inputs[i].spec->dtype, inputs[i].spec->shape));
    if (tensor.bytes != inputs[i].bytes.size())
      return Error{ErrorCode::kInvalidArgument, "[client] an input's bytes do not fit its shape"};
    run.tensors.push_back(std::move(tensor));
    payload.push_back(inputs[i].bytes);
  }
  TIDELINE_TRY(ticket->peer_, peer(static_cast<std::size_t>(cluster_.source), deadline));
  const auto buffer_for = [raw = ticket.get()](std::size_t position, const wire::WireTensor& tensor) {
    return raw->buffer_for(position, tensor);
  };
  TIDELINE_TRY(ticket->pending_, ticket->peer_->start(run, payload, buffer_for, deadline, request.cancel));
  return ticket;
}

Result<RunAnswer> ClusterClient::finish(Ticket& ticket) {
  CallTiming call;
  TIDELINE_TRY(auto result, ticket.peer_->finish(*ticket.pending_, &call));
  RunAnswer answer = std::move(ticket.answer_);
  answer.latency = Clock::now() - ticket.began_;
  if (answer.outputs.size() != ticket.plan_->outputs.size() || result.stages.empty())
    return Error{ErrorCode::kCorrupt, "[client] the result is not complete"};
  answer.inject = inject_time(call, result.stages);
  answer.stages = stage_reports(std::move(result.stages), ticket.plan_->roots);
  return answer;
}

Result<RunAnswer> ClusterClient::run(const std::vector<TensorView>& inputs, const RunRequest& request) {
  TIDELINE_TRY(const auto ticket, start(inputs, request));
  const SteadyTime began = ticket->began_;
  auto answer = finish(*ticket);
  // A connection that had been idle may have ended unnoticed: once more, when nothing was answered.
  if (answer || !ticket->peer_->may_try_again(*ticket->pending_, answer.error())) return answer;
  RunRequest rest = request;
  rest.timeout = request.timeout - (Clock::now() - began);
  TIDELINE_TRY(const auto again, start(inputs, rest));
  return finish(*again);
}

}  // namespace tideline
