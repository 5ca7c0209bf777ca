// FleetStore: what a coordinator must not forget: its tasks, where each runs, and what became of their requests. One SQLite file.
//
// A resource. One coordinator at a time: open() is kOverloaded while another holds the file. What a call has written is on the
// disk when it returns, and is whole or not there at all after a crash. Not thread-safe.
//
//   TIDELINE_TRY(auto store, FleetStore::open("fleet.yaml.state"));
//   TIDELINE_TRY(const StoredFleet known, store->load());
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fleet/up/latencies.h"

namespace tideline::fleet {

struct TaskCounters {
  std::uint64_t requests = 0;
  std::uint64_t late = 0;     // answered after the deadline, or not at all
  std::uint64_t dropped = 0;  // by the task's rule
  std::uint64_t failed = 0;   // not answered
  Latencies latencies;
  bool operator==(const TaskCounters&) const = default;
};

struct StoredTask {
  std::string name;
  std::string spec;                     // as submitted; empty: it stands in the fleet's file
  std::optional<std::uint32_t> blocks;  // where it was cut when it last ran
  bool removed = false;                 // of the file, and not wanted any more
  TaskCounters counters;
  bool operator==(const StoredTask&) const = default;
};

struct StoredFleet {
  std::string file_sha256;             // of the fleet's file when these were written
  double seconds = 0;                  // that the coordinator has been up, all times together
  std::map<std::string, double> used;  // by name of link or node: bytes, or milliseconds
  std::vector<StoredTask> tasks;       // in the order in which they came
  bool operator==(const StoredFleet&) const = default;
};

class FleetStore {
 public:
  // Makes the file when it is not there. kInvalidArgument for one that is no state of a fleet, or of a later version.
  static Result<std::unique_ptr<FleetStore>> open(const std::string& path);
  ~FleetStore();
  FleetStore(const FleetStore&) = delete;
  FleetStore& operator=(const FleetStore&) = delete;

  Result<StoredFleet> load();
  // Writes what differs from what it wrote last; tasks that are not there any more go.
  Status save(const StoredFleet& fleet);

 private:
  struct Database;
  explicit FleetStore(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
  StoredFleet written_;
};

}  // namespace tideline::fleet
