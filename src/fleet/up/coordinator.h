// Coordinator: keeps a fleet up. It plans, deploys, lets every source send at its rate, counts what becomes of the requests, and
// keeps the promises when tasks come and go and gateways die and return.
//
//   - A task runs where a plan of the queueing model holds (plan_as()), or is refused with what it lacks, or is down because a
//   node
//     that it needs does not answer. It is let in, or back, by readmit(), and others are moved or put off for it as the limits
//     say.
//   - A gateway that does not answer is found within a second or two. Its tasks are down at once; those whose source has a link
//   to
//     another gateway are placed there when there is room; all return when it does.
//   - A node that has started anew has lost what was installed: its tasks are installed there again at once.
//   - Nothing here ends for want of threads, memory or descriptors: the task or request that lacks them says so, and is tried
//   again.
//   - What must not be forgotten is in a FleetStore, so that a coordinator that was killed continues where it was: same tasks,
//   same
//     cuts, same counters.
//
// A resource of one thread, but for stop().
//
//   TIDELINE_TRY(auto coordinator, Coordinator::start(std::move(setup), *transport, control));
//   while (!coordinator->is_ending()) listener->serve(100ms, [&](auto line) { return coordinator->answer(line); }),
//   coordinator->tick();
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/profiles.h"
#include "fleet/readmit.h"
#include "fleet/up/control.h"
#include "fleet/up/node_watch.h"
#include "fleet/up/task_runner.h"

namespace tideline::fleet {

struct CoordinatorSetup {
  Fleet fleet;
  std::string file_sha256;  // of the fleet's file
  FleetProfiles profiles;
  std::vector<LoadedModel> models;
  FleetPlanOptions plan;  // how the first plan is made
  ReadmitLimits readmit;  // for tasks that come back
  std::string state_file;
};

enum class TaskState : std::uint8_t {
  kRunning,
  kRefused,  // no room
  kDown,     // a node that it needs does not answer
};
std::string_view to_string(TaskState state);

class Coordinator {
 public:
  // Opens the state, plans and deploys. kInvalidArgument for a fleet whose promises are not those of the queueing model.
  static Result<std::unique_ptr<Coordinator>> start(CoordinatorSetup setup, Transport& transport, const Control& control);
  // Ends all sources and writes the state.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // One request of control.h as a line, and its answer.
  std::string answer(std::string_view line);
  // What has to be done now and then: nodes that died or came back, tasks that may run again, the state. An error says that the
  // state can no longer be written.
  Status tick();
  bool is_ending() const { return ending_; }

  // Once no more frames come on standard input: that, how many came, and what was wrong with the last.
  std::optional<std::string> frames_end() const;
  // The keys of docs/formats/fleet.md, as JSON.
  std::string status_json();
  std::size_t task_count() const { return tasks_.size(); }
  std::size_t running_count() const;

 private:
  struct Task {
    FleetTask task;
    std::string spec;      // as in the store
    bool removed = false;  // of the file, and not wanted
    TaskState state = TaskState::kDown;
    std::string why;
    std::optional<std::uint32_t> blocks;  // where it is cut, or was when it ran last
    FleetTaskPlan plan;                   // of a task that runs
    std::vector<std::size_t> nodes;       // that it was deployed on
    SteadyTime installed{};               // when it was last installed again
    std::size_t number = 0;
    std::unique_ptr<TaskTally> tally;
    std::unique_ptr<TaskRunner> runner;
  };
  // The part of the fleet that may run now, and which of tasks_ its tasks are.
  struct Reachable {
    Fleet fleet;
    std::vector<std::size_t> tasks;
  };

  Coordinator(CoordinatorSetup setup, Transport& transport, const Control& control);
  // Of one run of the policy while others wait for the answer.
  FleetPlanOptions quick_search() const;
  Status open();
  Status first_plan();
  Status adopt_stored(StoredFleet stored);
  void adopt(const FleetTask& task, std::string spec, const StoredTask* before, bool is_same_file);
  bool is_in_file(const std::string& name) const;
  // Has the nodes of a task watched; kOverloaded when the system gives no threads for that.
  Status watch(const FleetTask& task);
  // Waits until what is watched has been asked, and takes over what is seen.
  bool look(bool settle);
  Reachable reachable();
  // The tasks of what runs go on, the others are let in where there is room, by rising priority; then everything is as the plan
  // says.
  void reconcile(const ReadmitLimits& limits);
  void place_others(const Reachable& now, Placement& placement, const ReadmitLimits& limits);
  std::optional<FleetPlan> plan_that_fits(const Reachable& now, Placement& placement);
  void apply(const Reachable& now, const FleetPlan& plan);
  // Starts or changes one task; an error when a node refused or did not answer.
  Status deploy(Task& task, std::vector<TaskRunner::Way> ways, const Cluster& cluster);
  // An error when a node that the task needs does not answer by now: then nobody has to wait for it.
  Status check_alive(const Task& task) const;
  // Tasks on nodes that have lost what was installed, and those whose sources have ended.
  void mend();
  Status tick_once();
  std::string answer_to(const ControlRequest& request);
  Result<std::string> submit(const ControlRequest& request);
  Result<std::string> remove(const std::string& name);
  Status save();
  StoredFleet snapshot() const;

  CoordinatorSetup setup_;
  Transport& transport_;
  const Control control_;
  std::vector<ModelInputs> inputs_;  // by model
  std::unique_ptr<FleetStore> store_;
  std::unique_ptr<UseTally> use_;
  std::unique_ptr<NodeWatch> watch_;
  double seconds_before_ = 0;
  SteadyTime started_{};
  std::vector<std::unique_ptr<Task>> tasks_;
  std::size_t next_number_ = 0;
  NodesSeen seen_;
  std::set<std::size_t> clouds_by_gateway_;  // gateways whose clouds are watched
  FleetPlan plan_;                           // of what runs now
  SteadyTime saved_{};
  SteadyTime retried_{};
  bool ending_ = false;
  bool is_open_ = false;  // the state has been read, all of it
};

}  // namespace tideline::fleet
