#include "session/run.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/files.h"
#include "session/answer_json.h"
#include "session/inputs.h"
#include "session/verdict.h"
#include "tensor/npy.h"

namespace tideline {
namespace {

struct Request {
  std::string name;  // of its file, in a folder of inputs; empty: the only one
  std::vector<Tensor> inputs;
  std::optional<SeenPicture> picture;
  std::vector<Tensor> reference;  // the unsplit model's outputs; filled when verifying
};

Result<std::vector<Request>> read_requests(const std::string& input, const LoadedModel& loaded) {
  std::vector<Request> requests;
  std::vector<std::string> files{""};
  if (!input.empty()) {
    TIDELINE_TRY(files, input_files(loaded, input));
  }
  for (const std::string& file : files) {
    Request request;
    if (file.empty()) {
      for (const Tensor& tensor : loaded.sample) request.inputs.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    } else {
      TIDELINE_TRY(request.inputs, read_input(loaded, file));
      if (files.size() > 1 || file != input) request.name = file.substr(file.rfind('/') + 1);
    }
    request.picture = seen_picture(loaded, request.inputs);
    requests.push_back(std::move(request));
  }
  return requests;
}

void verify(const Request& request, const RunAnswer& answer, Verification& verification) {
  if (request.reference.size() != answer.outputs.size()) return verification.add_unlike();
  for (std::size_t i = 0; i < request.reference.size(); ++i) verification.add(request.reference[i], answer.outputs[i]);
  if (verification.difference.is_within_tolerance || !verification.culprit.empty()) return;
  for (const Tensor& input : request.inputs) verification.culprit.push_back({input.spec, Buffer::copy_of(input.data.span())});
}

Status save_outputs(const std::string& folder, const LoadedModel& loaded, const Request& request, const RunAnswer& answer) {
  TIDELINE_CHECK_OK(make_folders(folder));
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    TIDELINE_TRY(const std::string bytes, write_npy(view(answer.outputs[i])));
    TIDELINE_CHECK_OK(write_file_atomic(fmt::format("{}/output{}.npy", folder, i), bytes));
  }
  if (const auto json = answer_json(loaded, answer.outputs, request.picture))
    TIDELINE_CHECK_OK(write_file_atomic(folder + "/answer.json", *json));
  return {};
}

Status check(const RunSettings& settings) {
  if (settings.timeout.count() <= 0) return Error{ErrorCode::kInvalidArgument, "--timeout must be above 0"};
  if (settings.in_flight < 1 || settings.in_flight > limits::kStreamInFlightMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("--in-flight must be 1 to {}", limits::kStreamInFlightMax)};
  if (settings.rate_per_s != 0 &&
      !(settings.rate_per_s >= limits::kStreamRateMin && settings.rate_per_s <= limits::kStreamRateMax))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--rate must be {:g} to {:g} frames a second", limits::kStreamRateMin, limits::kStreamRateMax)};
  if (settings.tolerance && !(*settings.tolerance >= 0))
    return Error{ErrorCode::kInvalidArgument, "--tolerance must be 0 or more: a share of the largest number of an output"};
  if (settings.duration.count() < 0) return Error{ErrorCode::kInvalidArgument, "--duration must be above 0"};
  if (settings.requests == 0 && settings.duration.count() == 0)
    return Error{ErrorCode::kInvalidArgument, "say when to end: --requests or --duration"};
  if (settings.drop != DropRule::kNone && settings.rate_per_s == 0)
    return Error{ErrorCode::kInvalidArgument, "--drop needs a source with a --rate: without one no frame comes too early"};
  return {};
}

// What a longer time would be: for ever.
Nanos clamped(Millis time) { return std::chrono::duration_cast<Nanos>(std::min<Millis>(time, limits::kRequestDeadlineMax)); }

// One run_requests() under way.
class Run {
 public:
  Run(const RunSettings& settings, const LoadedModel& loaded, std::vector<Request> requests, ClusterClient& client,
      RunReport& report, const Control& control)
      : settings_(settings),
        loaded_(loaded),
        requests_(std::move(requests)),
        client_(client),
        report_(report),
        control_(control) {}

  Status warm_up() {
    for (std::uint32_t i = 0; i < settings_.warmup; ++i) {
      TIDELINE_CHECK_OK(control_.check());
      TIDELINE_TRY(const RunAnswer answer, send(i, control_.cancel));
      if (settings_.verify) verify(request(i), answer, report_.verification);
    }
    return {};
  }

  // Each request when the one before is answered, on this thread.
  std::optional<Error> in_turn() {
    for (std::uint32_t i = 0; i < settings_.requests; ++i) {
      if (Status go = control_.check(); !go) return std::move(go).error();
      const SteadyTime sent = std::chrono::steady_clock::now();
      auto answer = send(i, control_.cancel);
      if (!answer) return std::move(answer).error();
      const SteadyTime answered = std::chrono::steady_clock::now();
      if (Status taken = take({{i, sent}, sent, answered, std::move(*answer)}); !taken) return std::move(taken).error();
    }
    return std::nullopt;
  }

  std::optional<Error> as_stream() {
    const SourceOptions options{.rate_per_s = settings_.rate_per_s,
                                .drop = settings_.drop,
                                .frames = settings_.requests,
                                .duration = clamped(settings_.duration)};
    StreamEnd end = run_stream(
        options, settings_.in_flight,
        [this](const StreamFrame& frame, const CancelToken& cancel) { return send(frame.number, cancel); },
        [this](StreamAnswer&& answer) { return take(std::move(answer)); }, control_.cancel);
    report_.dropped = end.dropped;
    return std::move(end.error);
  }

  // REQUIRES: an answer.
  double throughput_per_s() const {
    const std::size_t count = report_.answers.size();
    if (count == 1) return 1e3 / report_.answers.front().latency.count();
    return static_cast<double>(count - 1) / std::chrono::duration<double>(last_ - first_).count();
  }

 private:
  // Of the only request the folder itself; of a folder of inputs one for each file; of an input that is sent again and again one
  // for each time from the second on, so that no answer writes over another.
  std::string folder_of(const Request& asked, std::uint64_t number) const {
    std::string folder = settings_.save_output;
    if (!asked.name.empty()) folder += "/" + asked.name;
    const std::uint64_t round = number / requests_.size();
    return round == 0 ? folder : fmt::format("{}/again{}", folder, round);
  }

  Request& request(std::uint64_t number) { return requests_[number % requests_.size()]; }

  Result<RunAnswer> send(std::uint64_t number, const CancelToken& cancel) {
    return client_.run(views_of(request(number).inputs), {.timeout = clamped(settings_.timeout), .cancel = cancel});
  }

  Status take(StreamAnswer&& done) {
    const Request& asked = request(done.frame.number);
    if (settings_.verify) verify(asked, done.answer, report_.verification);
    if (!settings_.save_output.empty())
      TIDELINE_CHECK_OK(save_outputs(folder_of(asked, done.frame.number), loaded_, asked, done.answer));
    if (report_.answers.empty()) first_ = done.answered;
    last_ = std::max(last_, done.answered);
    done.answer.outputs.clear();
    const Millis wait(done.sent - done.frame.arrived);
    done.answer.latency += wait;
    report_.waits_ms.push_back(wait.count());
    report_.answers.push_back(std::move(done.answer));
    control_.report({"Running", report_.answers.size(), settings_.requests, ""});
    return {};
  }

  const RunSettings& settings_;
  const LoadedModel& loaded_;
  std::vector<Request> requests_;
  ClusterClient& client_;
  RunReport& report_;
  const Control& control_;
  SteadyTime first_;
  SteadyTime last_;
};

}  // namespace

Bottleneck bottleneck_of(const std::vector<RunAnswer>& answers) {
  // By name in the order of the route: what each request took of a node's engine, all its stages together, and of each direction
  // of a call.
  std::vector<std::pair<std::string, std::vector<double>>> parts;
  const auto add = [&](const std::string& name, std::size_t answer, Millis time) {
    auto part = std::find_if(parts.begin(), parts.end(), [&](const auto& known) { return known.first == name; });
    if (part == parts.end()) part = parts.insert(parts.end(), {name, {}});
    if (part->second.size() <= answer) part->second.resize(answer + 1);
    part->second[answer] += time.count();
  };
  for (std::size_t k = 0; k < answers.size(); ++k) {
    const std::vector<StageReport>& stages = answers[k].stages;
    for (std::size_t i = 0; i < stages.size(); ++i) {
      // A node's codecs take their turn with its engine.
      add(stages[i].node + " computes", k, stages[i].compute + stages[i].decode + stages[i].encode);
      // What the caller sends to the first node is no link of the cluster.
      if (i > 0) add(fmt::format("{} -> {}", stages[i - 1].node, stages[i].node), k, stages[i].receive);
      if (i + 1 < stages.size()) add(fmt::format("{} <- {}", stages[i].node, stages[i + 1].node), k, stages[i].back);
    }
  }
  Bottleneck slowest;
  for (auto& [name, times] : parts) {
    const Millis time(std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(answers.size()));
    if (slowest.what.empty() || time > slowest.time) slowest = {name, time};
  }
  return slowest;
}

Result<RunReport> run_requests(const RunSettings& settings, const std::string& input, const LoadedModel& loaded,
                               const Cluster& cluster, Transport& transport, const ChosenPlan& chosen, const Control& control) {
  TIDELINE_CHECK_OK(check(settings));
  if (chosen.plan.result_to == ResultTo::kNowhere && (settings.verify || !settings.save_output.empty()))
    return Error{ErrorCode::kInvalidArgument,
                 "--verify and --save-output need the answer here: leave out --result-to nowhere (or the plan's result_to)"};
  RunReport report{.predicted = chosen.estimate,
                   .planner = chosen.plan.planner,
                   .exit = chosen.plan.exit,
                   .result_to = chosen.plan.result_to,
                   .settings = settings};
  TIDELINE_TRY(std::vector<Request> requests, read_requests(input, loaded));
  report.verification.narrowest = narrowest_float(loaded.model.graph());
  report.verification.lossy_codecs = lossy_codecs(chosen.plan);
  report.verification.allowed = settings.tolerance;
  if (!settings.tolerance && !report.verification.lossy_codecs.empty()) report.verification.allowed = chosen.plan.tolerance;
  if (settings.verify) {
    TIDELINE_TRY(Unsplit unsplit, Unsplit::load(loaded));
    for (Request& request : requests) {
      TIDELINE_TRY(request.reference, unsplit.run(request.inputs, control.cancel));
    }
  }

  // Whoever waits a second for an answer waits no longer for a node that says nothing.
  ClusterClient client(transport, cluster, std::min<Nanos>(clamped(settings.timeout), limits::kConnectTimeout));
  TIDELINE_TRY(
      report.deployed,
      client.deploy(
          loaded.model, loaded.chain, chosen.plan, control.cancel, [&](const std::string& node, Bytes done, Bytes total) {
            control.report({"Pushing segments", static_cast<std::size_t>(100 * done / std::max<Bytes>(1, total)), 100, node});
          }));
  Run run(settings, loaded, std::move(requests), client, report, control);
  TIDELINE_CHECK_OK(run.warm_up());
  report.ended = settings.is_stream() ? run.as_stream() : run.in_turn();
  if (report.answers.empty())
    return report.ended ? std::move(*report.ended)
                        : Error{ErrorCode::kInvalidArgument, "--duration ended before the first answer"};
  report.throughput_per_s = run.throughput_per_s();
  report.bottleneck = bottleneck_of(report.answers);
  TIDELINE_CHECK_OK(find_cause(loaded, control.cancel, report.verification));
  report.made_up_inputs = loaded.made_up_inputs;
  return report;
}

}  // namespace tideline
