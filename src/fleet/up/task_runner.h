// TaskRunner: one task that a coordinator runs: its sources, each with a thread of its own that sends at the task's rate, and
// what becomes of the requests. A resource; its destructor ends the sources. Tallies are thread-safe, the rest is the
// coordinator's.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fleet/run/task_source.h"
#include "fleet/up/store.h"

namespace tideline::fleet {

// What requests took of links and nodes, all tasks together, by name: bytes, or milliseconds.
class UseTally {
 public:
  explicit UseTally(std::map<std::string, double> before) : used_(std::move(before)) {}
  void add(const std::string& name, double amount);
  std::map<std::string, double> used() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, double> used_;  // guarded by mutex_
};

// What became of the requests of one task since it was first known.
class TaskTally {
 public:
  explicit TaskTally(TaskCounters before) : counters_(std::move(before)) {}
  void answered(Millis latency, Millis deadline);
  void failed(const Error& error);
  void dropped(std::uint64_t count);
  TaskCounters counters() const;
  std::string last_failure() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  TaskCounters counters_;
  std::string last_failure_;
};

std::string link_name(const Cluster& cluster, std::size_t link);

class TaskRunner {
 public:
  // What one source is to do.
  struct Way {
    Plan plan;
    NodeShares shares;
    bool operator==(const Way&) const = default;
  };
  struct Setup {
    FleetTask task;
    std::size_t number = 0;  // of the task: sources of a fleet do not start in step
    const LoadedModel& loaded;
    const ModelInputs& inputs;
    Transport& transport;
    const Cluster& cluster;
    TaskTally& tally;
    UseTally& use;
  };
  // Deploys, and then sends. Everything that `setup` refers to must outlive it, but for the cluster. kOverloaded when a node has
  // no room, or the system gives no thread.
  static Result<std::unique_ptr<TaskRunner>> start(const Setup& setup, std::vector<Way> ways, const CancelToken& cancel);
  ~TaskRunner();
  TaskRunner(const TaskRunner&) = delete;
  TaskRunner& operator=(const TaskRunner&) = delete;

  const std::vector<Way>& ways() const { return ways_; }
  // Goes on under other plans over the same nodes, without a pause.
  Status change(std::vector<Way> ways, const CancelToken& cancel);
  // The same once more, after nodes have lost what was installed.
  Status install_again(const CancelToken& cancel);
  // A node has answered that it knows nothing of the plan; once for each time.
  bool take_lost() { return lost_.exchange(false); }
  // Why a source has ended that was not told to.
  std::optional<Error> failure() const;
  // Sends nothing more; what is under way is given up. The destructor waits for that.
  void stop() { stop_.cancel(); }

 private:
  TaskRunner(const Setup& setup, std::vector<Way> ways);
  void send(std::size_t source, SteadyTime start);

  const FleetTask task_;
  const std::size_t number_;
  const LoadedModel& loaded_;
  const Cluster cluster_;
  TaskTally& tally_;
  UseTally& use_;
  std::vector<Way> ways_;
  std::vector<std::unique_ptr<TaskSource>> sources_;
  CancelToken stop_;
  std::atomic<bool> lost_{false};
  mutable std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace tideline::fleet
