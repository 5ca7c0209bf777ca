#include "fleet/run/run_fleet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/limits.h"
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
// A moment for every source to be ready.
constexpr Millis kStartDelay{200};
// Answers that must arrive before sources start: connections are made and engines warm.
constexpr int kWarmUps = 2;

// What one model's sources send, in turn, and what must come back.
struct Inputs {
  std::vector<std::vector<Tensor>> values;
  std::vector<std::vector<Tensor>> references;
};

Result<Inputs> read_inputs(const FleetModel& model, const LoadedModel& loaded, bool verify, const Control& control) {
  Inputs inputs;
  std::vector<std::string> files{""};
  if (!model.input.empty()) {
    TIDELINE_TRY(files, input_files(loaded, model.input));
  }
  for (const std::string& file : files) {
    std::vector<Tensor>& values = inputs.values.emplace_back();
    if (file.empty()) {
      for (const Tensor& tensor : loaded.sample) values.push_back({tensor.spec, Buffer::copy_of(tensor.data.span())});
    } else {
      TIDELINE_TRY(values, read_input(loaded, file));
    }
  }
  if (!verify) return inputs;
  TIDELINE_TRY(Unsplit unsplit, Unsplit::load(loaded));
  for (const std::vector<Tensor>& values : inputs.values) {
    TIDELINE_TRY(std::vector<Tensor> reference, unsplit.run(values, control.cancel));
    inputs.references.push_back(std::move(reference));
  }
  return inputs;
}

// One source of one admitted task.
struct Source {
  std::size_t task = 0;
  double rate_hz = 0;
  std::unique_ptr<ClusterClient> client;
};

// Everything that requests of all sources add to.
class Ledger {
 public:
  Ledger(const Fleet& fleet, const FleetPlan& plan)
      : fleet_(fleet), plan_(plan), used_(plan.resources.size()), tasks_(fleet.tasks.size()) {}

  void add(std::size_t task, const RunAnswer& answer, bool is_right) {
    const std::lock_guard lock(mutex_);
    TaskState& state = tasks_[task];
    ++state.answers;
    if (!is_right) ++state.wrong;
    for (std::size_t i = 0; i < answer.stages.size(); ++i) {
      const StageReport& stage = answer.stages[i];
      const std::size_t node = node_index(fleet_.cluster, stage.node);
      add_to(false, node, (stage.compute + stage.decode + stage.encode).count());
      if (i + 1 == answer.stages.size()) continue;
      const std::size_t next = node_index(fleet_.cluster, answer.stages[i + 1].node);
      for (std::size_t link = 0; link < fleet_.cluster.links.size(); ++link)
        if (static_cast<std::size_t>(fleet_.cluster.links[link].from) == node &&
            static_cast<std::size_t>(fleet_.cluster.links[link].to) == next)
          add_to(true, link, static_cast<double>(stage.bytes));
    }
  }

  void failed(std::size_t task, const Error& error) {
    const std::lock_guard lock(mutex_);
    if (tasks_[task].first_failure.empty()) tasks_[task].first_failure = error.message;
  }

  void report(FleetRun& run, bool verify) const {
    const std::lock_guard lock(mutex_);
    for (std::size_t j = 0; j < tasks_.size(); ++j) {
      run.tasks[j].verified = verify && tasks_[j].answers > 0 && tasks_[j].wrong == 0;
      run.tasks[j].first_failure = tasks_[j].first_failure;
    }
    for (const double used : used_) {
      FleetUse use;
      const FleetResource& resource = plan_.resources[run.resources.size()];
      (resource.is_link ? use.mbit_s : use.cores) = used * (resource.is_link ? 8e-6 : 1e-3) / run.seconds;
      run.resources.push_back(use);
    }
  }

 private:
  struct TaskState {
    std::uint64_t answers = 0;
    std::uint64_t wrong = 0;
    std::string first_failure;
  };

  void add_to(bool is_link, std::size_t index, double amount) {
    for (std::size_t r = 0; r < used_.size(); ++r)
      if (plan_.resources[r].is_link == is_link && plan_.resources[r].index == index) used_[r] += amount;
  }

  const Fleet& fleet_;
  const FleetPlan& plan_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::vector<double> used_;  // bytes of links, milliseconds of nodes
  std::vector<TaskState> tasks_;
};

bool equals(const std::vector<Tensor>& reference, const std::vector<Tensor>& outputs, DType narrowest) {
  if (reference.size() != outputs.size()) return false;
  for (std::size_t i = 0; i < reference.size(); ++i)
    if (!compare(reference[i], outputs[i], narrowest).is_within_tolerance) return false;
  return true;
}

class Running {
 public:
  Running(const Fleet& fleet, const FleetPlan& plan, const std::vector<LoadedModel>& models, const FleetRunSettings& settings,
          const Control& control)
      : fleet_(fleet), plan_(plan), models_(models), settings_(settings), control_(control), ledger_(fleet, plan) {
    for (const FleetTask& task : fleet.tasks) logs_.push_back(std::make_unique<TaskLog>(task.deadline));
  }

  Status deploy(const FleetProfiles& profiles, const Cluster& cluster, Transport& transport) {
    for (const FleetModel& model : fleet_.models) {
      const LoadedModel& loaded = models_[inputs_.size()];
      TIDELINE_TRY(Inputs inputs, read_inputs(model, loaded, settings_.verify, control_));
      inputs_.push_back(std::move(inputs));
      narrowest_.push_back(narrowest_float(loaded.model.graph()));
    }
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      if (!plan_.tasks[j].admitted) continue;
      control_.report({"Deploying", j, fleet_.tasks.size(), fleet_.tasks[j].name});
      for (const FleetSource& from : fleet_.tasks[j].sources) {
        TIDELINE_CHECK_OK(control_.check());
        const FleetTask& task = fleet_.tasks[j];
        Cluster seen = cluster;
        seen.source = static_cast<NodeId>(from.node);
        Source source{
            .task = j, .rate_hz = task.rate_hz * from.share, .client = std::make_unique<ClusterClient>(transport, seen)};
        const auto deployed =
            source.client->deploy(models_[task.model].model, models_[task.model].chain,
                                  plan_of(fleet_, profiles, task, from, plan_.tasks[j].blocks), control_.cancel, {});
        if (!deployed) return with_context(deployed.error(), fmt::format("[fleet] task '{}'", task.name));
        for (int n = 0; n < kWarmUps; ++n)
          if (const auto answer = ask(source, 0, control_.cancel); !answer)
            return with_context(answer.error(), fmt::format("[fleet] task '{}'", task.name));
        sources_.push_back(std::move(source));
      }
    }
    return {};
  }

  FleetRun run() {
    const SteadyTime start = std::chrono::steady_clock::now() + std::chrono::duration_cast<Nanos>(kStartDelay);
    std::vector<std::thread> threads;
    for (std::size_t n = 0; n < sources_.size(); ++n) threads.emplace_back([this, n, start] { stream(n, start); });
    // On this thread, where the caller wants to hear of it.
    const double total_ms = settings_.duration.count() + kStartDelay.count();
    for (double ms = 0; ms < total_ms && !control_.cancel.cancelled(); ms += 200) {
      control_.report({"Running", static_cast<std::size_t>(ms), static_cast<std::size_t>(total_ms), ""});
      (void)control_.cancel.wait_for(std::chrono::milliseconds(200));
    }
    for (std::thread& thread : threads) thread.join();
    FleetRun run{.tasks = std::vector<FleetTaskRun>(fleet_.tasks.size()), .resources = {}};
    run.seconds = settings_.duration.count() / 1e3;
    ledger_.report(run, settings_.verify);
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      run.tasks[j].figures = logs_[j]->figures();
      if (plan_.tasks[j].admitted && run.tasks[j].figures.on_time()) ++run.on_time;
    }
    return run;
  }

 private:
  Result<RunAnswer> ask(const Source& source, std::uint64_t number, const CancelToken& cancel) {
    const FleetTask& task = fleet_.tasks[source.task];
    const auto& values = inputs_[task.model].values;
    return source.client->run(views_of(values[number % values.size()]),
                              {.timeout = std::chrono::duration_cast<Nanos>(task.deadline) + kGrace, .cancel = cancel});
  }

  void stream(std::size_t n, SteadyTime start) {
    const Source& source = sources_[n];
    const FleetTask& task = fleet_.tasks[source.task];
    double ignored = 0;
    const double phase = std::modf(static_cast<double>(n + 1) * kGoldenRatio, &ignored) / source.rate_hz;
    const double late_start_ms = std::min(1e3 * phase, settings_.duration.count() / 2);
    const SteadyTime begin = start + std::chrono::duration_cast<Nanos>(Millis(late_start_ms));
    if (control_.cancel.wait_for(std::max(Nanos(0), begin - std::chrono::steady_clock::now()))) return;
    const double in_flight = std::ceil(kDeadlinesInFlight * source.rate_hz * task.deadline.count() / 1e3) + 1;
    const auto rule = drop_rule_from(task.drop);
    const SourceOptions options{.rate_per_s = source.rate_hz,
                                .drop = rule ? *rule : DropRule::kNone,
                                .duration = std::chrono::duration_cast<Nanos>(settings_.duration - Millis(late_start_ms))};
    TaskLog& log = *logs_[source.task];
    const StreamEnd end = run_stream(
        options, static_cast<std::uint32_t>(std::min<double>(in_flight, kFleetInFlightMax)),
        [&](const StreamFrame& frame, const CancelToken& cancel) -> Result<RunAnswer> {
          auto answer = ask(source, frame.number, cancel);
          if (answer || cancel.cancelled()) return answer;
          // One request that fails is late; the next may be answered.
          ledger_.failed(source.task, answer.error());
          log.failed();
          return RunAnswer{.outputs = {}, .stages = {}, .latency = Millis(-1)};
        },
        [&](StreamAnswer&& answer) -> Status {
          if (answer.answer.latency < Millis(0)) return {};
          log.answered(Millis(answer.answered - answer.frame.arrived));
          const Inputs& inputs = inputs_[task.model];
          const bool is_right = !settings_.verify || equals(inputs.references[answer.frame.number % inputs.references.size()],
                                                            answer.answer.outputs, narrowest_[task.model]);
          ledger_.add(source.task, answer.answer, is_right);
          return {};
        },
        control_.cancel);
    log.dropped(end.dropped);
  }

  const Fleet& fleet_;
  const FleetPlan& plan_;
  const std::vector<LoadedModel>& models_;
  const FleetRunSettings& settings_;
  const Control& control_;
  std::vector<Inputs> inputs_;  // by model
  std::vector<DType> narrowest_;
  std::vector<std::unique_ptr<TaskLog>> logs_;  // by task
  Ledger ledger_;
  std::vector<Source> sources_;
};

}  // namespace

Fleet stretched(Fleet fleet, double factor) {
  for (Node& node : fleet.cluster.nodes) node.slowdown *= factor;
  for (Link& link : fleet.cluster.links) {
    link.bytes_per_s /= factor;
    link.back_bytes_per_s /= factor;
    link.rtt *= factor;
  }
  for (FleetTask& task : fleet.tasks) {
    task.rate_hz /= factor;
    task.deadline *= factor;
  }
  return fleet;
}

Result<std::vector<LoadedModel>> load_models(const Fleet& fleet, const FleetProfiles& profiles, const Control& control) {
  std::vector<LoadedModel> models;
  for (const FleetModel& model : fleet.models) {
    // A folder's first picture says what the others are like.
    ModelArguments arguments{.model = model.file, .config = model.config, .input = model.input};
    TIDELINE_TRY(LoadedModel loaded, load_model(arguments, control));
    for (const Profile* profile : profiles.of[models.size()])
      if (profile != nullptr && profile->chain_sha256 != loaded.chain.sha256)
        return Error{
            ErrorCode::kInvalidArgument,
            fmt::format("[fleet] a profile of model '{}' is of another file, configuration or cut than {}: measure it again "
                        "with `tideline profile`",
                        model.name, model.file)};
    models.push_back(std::move(loaded));
  }
  return models;
}

Result<FleetRun> run_fleet(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan,
                           const std::vector<LoadedModel>& models, const Cluster& cluster, Transport& transport,
                           const FleetRunSettings& settings, const Control& control) {
  if (settings.duration.count() <= 0) return Error{ErrorCode::kInvalidArgument, "[fleet] --duration must be above 0"};
  Running running(fleet, plan, models, settings, control);
  TIDELINE_CHECK_OK(running.deploy(profiles, cluster, transport));
  FleetRun run = running.run();
  TIDELINE_CHECK_OK(control.check());
  return run;
}

}  // namespace tideline::fleet
