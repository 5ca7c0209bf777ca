#include "fleet/up/task_runner.h"

#include <system_error>

#include <fmt/format.h>

namespace tideline::fleet {

void UseTally::add(const std::string& name, double amount) {
  const std::lock_guard lock(mutex_);
  used_[name] += amount;
}

std::map<std::string, double> UseTally::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

void TaskTally::answered(Millis latency, Millis deadline) {
  const std::lock_guard lock(mutex_);
  ++counters_.requests;
  if (latency > deadline) ++counters_.late;
  counters_.latencies.add(latency.count());
}

void TaskTally::failed(const Error& error) {
  const std::lock_guard lock(mutex_);
  ++counters_.requests;
  ++counters_.late;
  ++counters_.failed;
  last_failure_ = error.message;
}

void TaskTally::dropped(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  counters_.requests += count;
  counters_.dropped += count;
}

TaskCounters TaskTally::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

std::string TaskTally::last_failure() const {
  const std::lock_guard lock(mutex_);
  return last_failure_;
}

std::string link_name(const Cluster& cluster, std::size_t link) {
  return fmt::format("{} -> {}", cluster.nodes[static_cast<std::size_t>(cluster.links[link].from)].name,
                     cluster.nodes[static_cast<std::size_t>(cluster.links[link].to)].name);
}

TaskRunner::TaskRunner(const Setup& setup, std::vector<Way> ways)
    : task_(setup.task),
      number_(setup.number),
      loaded_(setup.loaded),
      cluster_(setup.cluster),
      tally_(setup.tally),
      use_(setup.use),
      ways_(std::move(ways)) {
  for (std::size_t i = 0; i < task_.sources.size(); ++i)
    sources_.push_back(std::make_unique<TaskSource>(task_, i, setup.inputs, setup.transport, cluster_));
}

Result<std::unique_ptr<TaskRunner>> TaskRunner::start(const Setup& setup, std::vector<Way> ways, const CancelToken& cancel) {
  std::unique_ptr<TaskRunner> runner(new TaskRunner(setup, std::move(ways)));
  for (std::size_t i = 0; i < runner->sources_.size(); ++i)
    TIDELINE_CHECK_OK(runner->sources_[i]->deploy(setup.loaded, runner->ways_[i].plan, runner->ways_[i].shares, cancel));
  const SteadyTime start = std::chrono::steady_clock::now();
  runner->threads_.reserve(runner->sources_.size());
  try {
    for (std::size_t i = 0; i < runner->sources_.size(); ++i)
      runner->threads_.emplace_back([raw = runner.get(), i, start] { raw->send(i, start); });
  } catch (const std::system_error&) {
    return Error{ErrorCode::kOverloaded, "[fleet] the system gives no thread to send with; it is tried again"};
  }
  return runner;
}

TaskRunner::~TaskRunner() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

Status TaskRunner::change(std::vector<Way> ways, const CancelToken& cancel) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (ways_[i] == ways[i]) continue;
    TIDELINE_CHECK_OK(sources_[i]->deploy(loaded_, ways[i].plan, ways[i].shares, cancel));
    ways_[i] = std::move(ways[i]);
  }
  return {};
}

Status TaskRunner::install_again(const CancelToken& cancel) {
  lost_ = false;
  for (std::size_t i = 0; i < sources_.size(); ++i)
    TIDELINE_CHECK_OK(sources_[i]->deploy(loaded_, ways_[i].plan, ways_[i].shares, cancel));
  return {};
}

std::optional<Error> TaskRunner::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void TaskRunner::send(std::size_t source, SteadyTime start) {
  const RequestSink sink{.answered =
                             [this](Millis latency, const RunAnswer& answer, bool) {
                               tally_.answered(latency, task_.deadline);
                               add_use(cluster_, answer, [this](bool is_link, std::size_t index, double amount) {
                                 use_.add(is_link ? link_name(cluster_, index) : cluster_.nodes[index].name, amount);
                               });
                             },
                         .failed =
                             [this](const Error& error) {
                               tally_.failed(error);
                               if (error.code == ErrorCode::kNotFound) lost_ = true;
                             },
                         .dropped = [this](std::uint64_t count) { tally_.dropped(count); }};
  Status streamed;
  try {
    streamed = sources_[source]->stream(start, {.number = number_ + source}, sink, stop_);
  } catch (const std::exception&) {
    streamed = Error{ErrorCode::kOverloaded, "[fleet] out of memory or threads"};
  }
  if (streamed) return;
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = streamed.error();
}

}  // namespace tideline::fleet
