#include "fleet/run/task_source.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "base/limits.h"
#include "fleet/site.h"
#include "session/compare.h"
#include "session/inputs.h"
#include "session/stream.h"
#include "session/verdict.h"

namespace tideline::fleet {
namespace {

// A late answer is worth counting; the same for all tasks, so that nodes order requests by their deadlines.
constexpr Nanos kGrace = std::chrono::seconds(5);
// Requests of one source under way at once: those of two deadlines, so that a source that must be answered in time never waits.
constexpr double kDeadlinesInFlight = 2;
constexpr std::uint32_t kFleetInFlightMax = 16;
// Multiples of it, modulo one, are spread evenly: the phases of the sources.
constexpr double kGoldenRatio = 0.6180339887498949;
// Answers that must arrive before sources start: connections are made and engines warm.
constexpr int kWarmUps = 2;
// A cloud is planned to be at most 80 % full: so much of it may all its tasks have together.
constexpr double kCloudRoom = 1.25;
// What a periodic task has of its gateway and uplink over what its rate needs. Its slice of the plan, which is as wide as a
// single request in a hurry needs, would let it send several times as often.
constexpr double kPeriodicRoom = 1.25;
// In the cloud requests come as their gateways let them go: a few of them may come at once.
constexpr double kCloudBurstRequests = 10;

// What a run takes at least, whatever its profile says: to wake up, to copy tensors, to look at the clock. Promises do not count
// it, so shares have it only as far as half of what nobody has reserved goes.
constexpr double kRunLeastS = 1e-3;

// Milliseconds, as parts of each node's engine, that every task has for that, and which part of them there is room for.
struct Spare {
  double least = 0;
  double reserved = 0;
  double room() const { return least <= 0 ? 0 : std::min(1.0, 0.5 * std::max(0.0, 1 - reserved) / least); }
};

Spare spare_of(const Fleet& fleet, const FleetPlan& plan, std::size_t node) {
  Spare spare;
  for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
    const FleetTaskPlan& task = plan.tasks[j];
    if (!task.admitted) continue;
    for (std::size_t i = 0; i < task.shares.size(); ++i) {
      const FleetSource& source = fleet.tasks[j].sources[i];
      const bool is_gateway = task.shares[i].gateway == node;
      const bool is_cloud = task.cloud_cores > 0 && way_of(fleet.cluster, source.node)->cloud == node;
      if ((is_gateway && task.blocks > 0) || is_cloud) spare.least += kRunLeastS * fleet.tasks[j].rate_hz * source.share;
      spare.reserved += is_gateway ? task.shares[i].cores : is_cloud ? kCloudRoom * task.cloud_cores * source.share : 0;
    }
  }
  return spare;
}

std::uint32_t ppm_of(double part) {
  return static_cast<std::uint32_t>(
      std::clamp(std::floor(part * limits::kShareMax), 1.0, static_cast<double>(limits::kShareMax)));
}

std::uint32_t burst_of(Millis time) {
  return static_cast<std::uint32_t>(std::clamp(std::ceil(time.count()), 1.0, static_cast<double>(limits::kShareBurstMsMax)));
}

void share_link(wire::Share& share, double bytes_per_s, double total_bytes_per_s) {
  share.link_total_bytes_per_s =
      static_cast<std::uint64_t>(std::clamp(total_bytes_per_s, 1.0, static_cast<double>(limits::kShareLinkBytesMax)));
  share.link_bytes_per_s = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(bytes_per_s), 1, share.link_total_bytes_per_s);
}

// Bytes per second that a task's source sends over the link to its gateway.
double raw_bytes_per_s(const FleetProfiles& profiles, const FleetTask& task, const FleetSource& source, const Way& way) {
  return task.rate_hz * source.share * static_cast<double>(profiles.of[task.model][way.gateway]->cuts.front().bytes);
}

}  // namespace

bool ModelInputs::is_answer(std::uint64_t number, const std::vector<Tensor>& outputs) const {
  if (references.empty()) return true;
  const std::vector<Tensor>& reference = references[number % references.size()];
  if (reference.size() != outputs.size()) return false;
  for (std::size_t i = 0; i < reference.size(); ++i)
    if (!compare(reference[i], outputs[i], narrowest).is_within_tolerance) return false;
  return true;
}

Result<ModelInputs> read_inputs(const FleetModel& model, const LoadedModel& loaded, bool verify, const Control& control) {
  ModelInputs inputs{.values = {}, .references = {}, .narrowest = narrowest_float(loaded.model.graph()), .frames = nullptr};
  std::vector<std::string> files{""};
  if (!model.input.empty()) {
    TIDELINE_TRY(files, input_files(loaded, model.input));
  }
  if (model.is_live && verify)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[fleet] the frames of model '{}' come on standard input, and cannot be run a second time to verify "
                             "their answers: leave --verify out",
                             model.name)};
  for (const std::string& file : files) {
    std::vector<Tensor>& values = inputs.values.emplace_back();
    if (file.empty()) {
      for (const Tensor& tensor : loaded.sample) values.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    } else {
      TIDELINE_TRY(values, read_input(loaded, file));
    }
  }
  if (model.is_live) {
    TIDELINE_TRY(inputs.frames, FramePipe::open(STDIN_FILENO, [&loaded](const std::string& frame) {
                   return read_input_bytes(loaded, frame, "a frame on standard input");
                 }));
  }
  if (!verify) return inputs;
  TIDELINE_TRY(Unsplit unsplit, Unsplit::load(loaded));
  for (const std::vector<Tensor>& values : inputs.values) {
    TIDELINE_TRY(std::vector<Tensor> reference, unsplit.run(values, control.cancel));
    inputs.references.push_back(std::move(reference));
  }
  return inputs;
}

NodeShares shares_of(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan, std::size_t task,
                     std::size_t source) {
  const FleetTask& own = fleet.tasks[task];
  const FleetTaskPlan& planned = plan.tasks[task];
  // What other models reserve promises nothing, and may be more than there is.
  if (!planned.bound) return {};
  const auto way = way_of(fleet.cluster, own.sources[source].node);
  const FleetShare& reserved = planned.shares[source];
  const auto name_of = [&](std::size_t node) { return fleet.cluster.nodes[node].name; };
  NodeShares shares;
  wire::Share& gateway = shares[name_of(way->gateway)];
  const double rate_hz = own.rate_hz * own.sources[source].share;
  const double least = kRunLeastS * rate_hz;
  double cores = reserved.cores, bytes_per_s = 1e6 / 8 * reserved.mbit_s;
  if (fleet.periodic) {
    const double run_s = run_ms(fleet, profiles, own.model, way->gateway, 0, planned.blocks) / 1e3;
    const Profile& profile = *profiles.of[own.model][way->gateway];
    cores = std::min(cores, kPeriodicRoom * rate_hz * run_s);
    bytes_per_s = std::min(bytes_per_s, kPeriodicRoom * rate_hz * static_cast<double>(profile.cuts[planned.blocks].bytes));
  }
  if (planned.blocks > 0) gateway.compute_ppm = ppm_of(cores + least * spare_of(fleet, plan, way->gateway).room());
  if (bytes_per_s > 0) share_link(gateway, bytes_per_s, fleet.cluster.links[way->uplink].bytes_per_s);
  gateway.burst_ms = burst_of(own.deadline);
  if (planned.cloud_cores > 0)
    shares[name_of(way->cloud)] = {
        .compute_ppm = ppm_of(kCloudRoom * planned.cloud_cores * own.sources[source].share +
                              least * spare_of(fleet, plan, way->cloud).room()),
        .burst_ms = burst_of(own.deadline + Millis(1e3 * kCloudBurstRequests / (own.rate_hz * own.sources[source].share)))};
  if (way->access == Way::kNoLink) return shares;
  double all_bytes_per_s = 0;
  for (std::size_t j = 0; j < fleet.tasks.size(); ++j)
    for (const FleetSource& other : fleet.tasks[j].sources)
      if (const auto other_way = way_of(fleet.cluster, other.node);
          plan.tasks[j].admitted && other_way && other_way->access == way->access)
        all_bytes_per_s += raw_bytes_per_s(profiles, fleet.tasks[j], other, *other_way);
  const double total = fleet.cluster.links[way->access].bytes_per_s;
  wire::Share& device = shares[name_of(own.sources[source].node)];
  share_link(device, total * raw_bytes_per_s(profiles, own, own.sources[source], *way) / all_bytes_per_s, total);
  device.burst_ms = burst_of(own.deadline);
  return shares;
}

TaskSource::TaskSource(FleetTask task, std::size_t source, const ModelInputs& inputs, Transport& transport,
                       const Cluster& cluster)
    : task_(std::move(task)), source_(source), inputs_(inputs) {
  Cluster seen = cluster;
  seen.source = static_cast<NodeId>(task_.sources[source_].node);
  client_ = std::make_unique<ClusterClient>(transport, seen);
}

Status TaskSource::deploy(const LoadedModel& loaded, const Plan& plan, const NodeShares& shares, const CancelToken& cancel) {
  const auto deployed = client_->deploy(loaded.model, loaded.chain, plan, cancel, {}, shares);
  if (!deployed) return deployed.error();
  for (int n = 0; n < kWarmUps; ++n)
    if (const auto answer = ask(inputs_.values.front(), cancel); !answer) return answer.error();
  return {};
}

Result<RunAnswer> TaskSource::ask(const std::vector<Tensor>& values, const CancelToken& cancel) const {
  return client_->run(views_of(values),
                      {.timeout = std::chrono::duration_cast<Nanos>(task_.deadline) + kGrace, .cancel = cancel});
}

SourcePace pace_of(const FleetTask& task, std::size_t source, const SourceTiming& timing) {
  SourcePace pace{.rate_hz = task.rate_hz * task.sources[source].share * timing.times_rate};
  double ignored = 0;
  pace.late_start = Millis(1e3 * std::modf(static_cast<double>(timing.number + 1) * kGoldenRatio, &ignored) / pace.rate_hz);
  if (timing.duration > Nanos(0)) pace.late_start = std::min(pace.late_start, Millis(timing.duration) / 2);
  const double in_flight = std::ceil(kDeadlinesInFlight * pace.rate_hz * task.deadline.count() / 1e3) + 1;
  pace.in_flight = static_cast<std::uint32_t>(std::min<double>(in_flight, kFleetInFlightMax));
  return pace;
}

Status TaskSource::stream(SteadyTime start, const SourceTiming& timing, const RequestSink& sink,
                          const CancelToken& cancel) const {
  const SourcePace pace = pace_of(task_, source_, timing);
  const Nanos late_start = std::chrono::duration_cast<Nanos>(pace.late_start);
  if (cancel.wait_for(std::max(Nanos(0), start + late_start - std::chrono::steady_clock::now()))) return {};
  const auto rule = drop_rule_from(task_.drop);
  SourceOptions options{.rate_per_s = pace.rate_hz, .drop = rule ? *rule : DropRule::kNone};
  if (timing.duration > Nanos(0)) options.duration = timing.duration - late_start;
  // Answers come in the order of the frames: numbers that are left out were dropped.
  std::uint64_t next = 0;
  std::uint64_t dropped = 0;
  // What went while nobody was there to send it is no loss of the task's.
  std::uint64_t frames_dropped = inputs_.frames ? inputs_.frames->counts().dropped : 0;
  if (inputs_.frames) inputs_.frames->set_rule(options.drop);
  const auto no_request = [] { return RunAnswer{.outputs = {}, .stages = {}, .latency = Millis(-1)}; };
  const StreamEnd end = run_stream(
      options, pace.in_flight,
      [&](const StreamFrame& frame, const CancelToken& stop) -> Result<RunAnswer> {
        std::optional<std::vector<Tensor>> live;
        if (inputs_.frames && !(live = inputs_.frames->take())) return no_request();
        auto answer = ask(live ? *live : inputs_.values[frame.number % inputs_.values.size()], stop);
        if (answer || stop.cancelled()) return answer;
        // One request that fails is late; the next may be answered.
        sink.failed(answer.error());
        return no_request();
      },
      [&](StreamAnswer&& answer) -> Status {
        const std::uint64_t left_out = answer.frame.number - next;
        next = answer.frame.number + 1;
        // A frame on standard input that was not sent now waits for the next turn.
        if (left_out > 0 && !inputs_.frames) sink.dropped(left_out);
        dropped += left_out;
        if (inputs_.frames) {
          const std::uint64_t now = inputs_.frames->counts().dropped;
          if (now > frames_dropped) sink.dropped(now - frames_dropped);
          frames_dropped = now;
        }
        if (answer.answer.latency < Millis(0)) return {};
        sink.answered(Millis(answer.answered - answer.frame.arrived), answer.answer,
                      inputs_.is_answer(answer.frame.number, answer.answer.outputs));
        return {};
      },
      cancel);
  if (end.dropped > dropped && !inputs_.frames) sink.dropped(end.dropped - dropped);
  return end.error && !cancel.cancelled() ? Status(*end.error) : Status();
}

void add_use(const Cluster& cluster, const RunAnswer& answer,
             const std::function<void(bool is_link, std::size_t index, double amount)>& add) {
  for (std::size_t i = 0; i < answer.stages.size(); ++i) {
    const StageReport& stage = answer.stages[i];
    const std::size_t node = node_index(cluster, stage.node);
    add(false, node, (stage.compute + stage.decode + stage.encode).count());
    if (i + 1 == answer.stages.size()) continue;
    const std::size_t next = node_index(cluster, answer.stages[i + 1].node);
    for (std::size_t link = 0; link < cluster.links.size(); ++link)
      if (static_cast<std::size_t>(cluster.links[link].from) == node && static_cast<std::size_t>(cluster.links[link].to) == next)
        add(true, link, static_cast<double>(stage.bytes));
  }
}

}  // namespace tideline::fleet
