#include "fleet/run/run_fleet.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "fleet/run/task_source.h"

namespace tideline::fleet {
namespace {

// A moment for every source to be ready.
constexpr Millis kStartDelay{200};

// One source of one admitted task.
struct Source {
  std::size_t task = 0;
  std::unique_ptr<TaskSource> source;
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
    add_use(fleet_.cluster, answer, [this](bool is_link, std::size_t index, double amount) { add_to(is_link, index, amount); });
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

class Running {
 public:
  Running(const Fleet& fleet, const FleetPlan& plan, const std::vector<LoadedModel>& models, const FleetRunSettings& settings,
          const Control& control)
      : fleet_(fleet), plan_(plan), models_(models), settings_(settings), control_(control), ledger_(fleet, plan) {
    for (const FleetTask& task : fleet.tasks) logs_.push_back(std::make_unique<TaskLog>(task.deadline));
  }

  Status deploy(const FleetProfiles& profiles, const Cluster& cluster, Transport& transport) {
    inputs_.reserve(fleet_.models.size());
    for (const FleetModel& model : fleet_.models) {
      const LoadedModel& loaded = models_[inputs_.size()];
      TIDELINE_TRY(ModelInputs inputs, read_inputs(model, loaded, settings_.verify, control_));
      inputs_.push_back(std::move(inputs));
    }
    for (std::size_t j = 0; j < fleet_.tasks.size(); ++j) {
      if (!plan_.tasks[j].admitted) continue;
      control_.report({"Deploying", j, fleet_.tasks.size(), fleet_.tasks[j].name});
      const FleetTask& task = fleet_.tasks[j];
      for (std::size_t i = 0; i < task.sources.size(); ++i) {
        TIDELINE_CHECK_OK(control_.check());
        Source source{.task = j, .source = std::make_unique<TaskSource>(task, i, inputs_[task.model], transport, cluster)};
        const Status deployed =
            source.source->deploy(models_[task.model], plan_of(fleet_, profiles, task, task.sources[i], plan_.tasks[j].blocks),
                                  settings_.shares ? shares_of(fleet_, profiles, plan_, j, i) : NodeShares{}, control_.cancel);
        if (!deployed) return with_context(deployed.error(), fmt::format("[fleet] task '{}'", task.name));
        sources_.push_back(std::move(source));
      }
    }
    return {};
  }

  Result<FleetRun> run() {
    const SteadyTime start = std::chrono::steady_clock::now() + std::chrono::duration_cast<Nanos>(kStartDelay);
    std::vector<std::thread> threads;
    threads.reserve(sources_.size());
    const CancelToken stop;
    const auto interrupted = control_.cancel.watch([stop] { stop.cancel(); });
    std::optional<Error> failed;
    try {
      for (std::size_t n = 0; n < sources_.size(); ++n) threads.emplace_back([this, n, start, stop] { stream(n, start, stop); });
    } catch (const std::system_error&) {
      failed = Error{ErrorCode::kOverloaded, fmt::format("[fleet] the system gives no more threads: {} of {} sources have one",
                                                         threads.size(), sources_.size())};
      stop.cancel();
    }
    // On this thread, where the caller wants to hear of it.
    const double total_ms = settings_.duration.count() + kStartDelay.count();
    for (double ms = 0; ms < total_ms && !stop.cancelled(); ms += 200) {
      control_.report({"Running", static_cast<std::size_t>(ms), static_cast<std::size_t>(total_ms), ""});
      (void)control_.cancel.wait_for(std::chrono::milliseconds(200));
    }
    for (std::thread& thread : threads) thread.join();
    if (failed) return std::move(*failed);
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
  void stream(std::size_t n, SteadyTime start, const CancelToken& stop) {
    const std::size_t j = sources_[n].task;
    TaskLog& log = *logs_[j];
    const RequestSink sink{.answered =
                               [&](Millis latency, const RunAnswer& answer, bool is_right) {
                                 log.answered(latency);
                                 ledger_.add(j, answer, is_right);
                               },
                           .failed =
                               [&](const Error& error) {
                                 ledger_.failed(j, error);
                                 log.failed();
                               },
                           .dropped = [&](std::uint64_t count) { log.dropped(count); }};
    const auto times = settings_.overdrive.find(fleet_.tasks[j].name);
    const Status streamed = sources_[n].source->stream(start,
                                                       {.number = n,
                                                        .duration = std::chrono::duration_cast<Nanos>(settings_.duration),
                                                        .times_rate = times == settings_.overdrive.end() ? 1 : times->second},
                                                       sink, stop);
    if (!streamed) ledger_.failed(j, streamed.error());
  }

  const Fleet& fleet_;
  const FleetPlan& plan_;
  const std::vector<LoadedModel>& models_;
  const FleetRunSettings& settings_;
  const Control& control_;
  std::vector<ModelInputs> inputs_;             // by model
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
  for (const auto& [name, times] : settings.overdrive)
    if (std::none_of(fleet.tasks.begin(), fleet.tasks.end(), [&](const FleetTask& task) { return task.name == name; }))
      return Error{ErrorCode::kInvalidArgument, fmt::format("[fleet] no task is named '{}' (--overdrive)", name)};
  if (settings.duration.count() <= 0) return Error{ErrorCode::kInvalidArgument, "[fleet] --duration must be above 0"};
  Running running(fleet, plan, models, settings, control);
  TIDELINE_CHECK_OK(running.deploy(profiles, cluster, transport));
  TIDELINE_TRY(FleetRun run, running.run());
  TIDELINE_CHECK_OK(control.check());
  return run;
}

}  // namespace tideline::fleet
