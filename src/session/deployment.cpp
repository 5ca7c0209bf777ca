#include "session/deployment.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "client/client.h"
#include "session/choose.h"
#include "session/inputs.h"
#include "session/load.h"
#include "session/source.h"
#include "session/stream.h"
#include "transport/transport.h"

namespace tideline {
struct Deployment::State {
  LoadedModel loaded;
  Cluster cluster;
  ChosenPlan chosen;
  std::vector<Placed> placed;
  Nanos timeout{0};
  // In this order: the client ends before its transport.
  std::unique_ptr<Transport> transport;
  std::unique_ptr<ClusterClient> client;
};

Deployment::Deployment(std::unique_ptr<State> state) : state_(std::move(state)) {}
Deployment::Deployment(Deployment&&) noexcept = default;
Deployment& Deployment::operator=(Deployment&&) noexcept = default;
Deployment::~Deployment() = default;

Result<Deployment> Deployment::open(const DeploymentOptions& options, const Control& control) {
  if (options.timeout.count() <= 0) return Error{ErrorCode::kInvalidArgument, "a timeout must be above 0"};
  PlanInputArguments arguments;
  arguments.model = {.model = options.model, .config = options.config, .shapes = options.shapes, .input = options.sample};
  arguments.profiles = options.profiles;
  arguments.profile_seconds = options.profile_seconds;
  TIDELINE_TRY(Cluster cluster, read_cluster(options.cluster));
  TIDELINE_TRY(LoadedModel loaded, load_model(arguments.model, control));
  TIDELINE_TRY(ChosenPlan chosen, choose_plan({.plan = options.plan, .cuts = options.cuts, .codecs = options.codecs}, arguments,
                                              loaded, cluster, control));
  auto state = std::unique_ptr<State>(new State{std::move(loaded), std::move(cluster), std::move(chosen), {}, Nanos(0), {}, {}});
  state->timeout = std::chrono::duration_cast<Nanos>(std::min<Millis>(options.timeout, limits::kRequestDeadlineMax));
  for (const PlanSegment& segment : state->chosen.plan.segments)
    state->placed.push_back({segment.node, segment.first_block, segment.last_block});
  state->transport = make_tcp_transport({});
  state->client = std::make_unique<ClusterClient>(*state->transport, state->cluster);
  TIDELINE_TRY(
      [[maybe_unused]] const DeployReport report,
      state->client->deploy(
          state->loaded.model, state->loaded.chain, state->chosen.plan, control.cancel,
          [&](const std::string& node, Bytes done, Bytes total) {
            control.report({"Pushing segments", static_cast<std::size_t>(100 * done / std::max<Bytes>(1, total)), 100, node});
          }));
  return Deployment(std::move(state));
}

const std::vector<Deployment::Placed>& Deployment::placed() const { return state_->placed; }

std::optional<Millis> Deployment::predicted() const {
  if (!state_->chosen.estimate) return std::nullopt;
  return state_->chosen.estimate->latency;
}

const std::vector<Tensor>& Deployment::sample() const { return state_->loaded.sample; }

std::vector<Tensor> Deployment::copy_of_sample() const {
  std::vector<Tensor> copy;
  for (const Tensor& tensor : state_->loaded.sample) copy.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
  return copy;
}

Result<std::vector<Tensor>> Deployment::read(const std::string& file) const { return read_input(state_->loaded, file); }

Result<Deployment::Answer> Deployment::run(const std::vector<Tensor>& inputs, const CancelToken& cancel) const {
  TIDELINE_TRY(RunAnswer answer, state_->client->run(views_of(inputs), {.timeout = state_->timeout, .cancel = cancel}));
  return Answer{std::move(answer.outputs), answer.latency};
}

Result<Deployment::StreamResult> Deployment::stream(const StreamOptions& options,
                                                    const std::function<Result<std::vector<Tensor>>(std::uint64_t)>& source,
                                                    const std::function<Status(std::uint64_t, Answer)>& sink,
                                                    const CancelToken& cancel) const {
  StreamResult result;
  const StreamEnd end = run_stream(
      {.rate_per_s = options.rate_per_s,
       .drop = options.drop_oldest ? DropRule::kOldest : DropRule::kNone,
       .frames = options.frames},
      std::min(options.in_flight, limits::kStreamInFlightMax),
      [&](const StreamFrame& frame, const CancelToken& stop) -> Result<RunAnswer> {
        TIDELINE_TRY(const std::vector<Tensor> inputs, source(frame.number));
        return state_->client->run(views_of(inputs), {.timeout = state_->timeout, .cancel = stop});
      },
      [&](StreamAnswer&& answer) {
        ++result.answers;
        return sink(answer.frame.number, {std::move(answer.answer.outputs), answer.answer.latency});
      },
      cancel);
  result.dropped = end.dropped;
  if (end.error) return *end.error;
  return result;
}

Result<std::vector<Tensor>> Deployment::run_unsplit(const std::vector<Tensor>& inputs) const {
  TIDELINE_TRY(Unsplit unsplit, Unsplit::load(state_->loaded));
  return unsplit.run(inputs, {});
}

}  // namespace tideline
