// Ruin and recreate: the local search of the `price` policy.
//
// A step picks a server, takes a few of its deployed tasks off and fills the room again with tasks of the same server in the
// order of their costs, some of them skipped at random. The result stays when it deploys as many tasks, with those that use less
// of the priced resources preferred; a loss of one stays now and then. A step costs the servers of the tasks it moves, whatever
// the size of the instance. Parts of the instance that do not share a server keep a best of their own, and are left alone
// once they are proven optimal.
//
// Search is a resource of one thread; several searches of one instance share a SearchSpace.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/instance.h"
#include "schedule/parts.h"
#include "schedule/price_list.h"
#include "schedule/random.h"
#include "schedule/room.h"

namespace tideline::schedule {

// Per task the position of its cut among CutTable::of(task), or kOut.
using Placement = std::vector<std::uint16_t>;
inline constexpr std::uint16_t kOut = 0xffff;

// What the searches read: the tasks' prices, of every server its tasks by rising cost, and of every part how many tasks it can
// deploy.
struct SearchSpace {
  SearchSpace(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers, unsigned threads);

  std::span<const std::uint32_t> tasks_of(std::uint32_t server) const {
    return std::span(tasks).subspan(first[server], first[server + 1] - first[server]);
  }
  std::uint32_t part_of(const Task& task) const { return parts.of_server[instance.touches_of(task).front().server]; }

  const Instance& instance;
  const CutTable& cuts;
  Parts parts;
  std::vector<TaskPrices> prices;
  std::vector<double> cost;          // of the cheapest cut
  std::vector<std::uint64_t> first;  // per server, into tasks
  std::vector<std::uint32_t> tasks;
  std::vector<std::uint32_t> edge;      // per server: where in its list the cost passes 1
  std::vector<std::uint32_t> part_max;  // U of the part at these multipliers, rounded down
  std::uint64_t tasks_max = 0;          // their sum: no schedule deploys more
};

class Search {
 public:
  Search(const SearchSpace& space, std::uint64_t seed);

  // Starts from this. REQUIRES: it keeps the constraints.
  void set(const Placement& placement);
  // REQUIRES: set() before.
  void step();

  const Placement& best() const { return best_; }
  std::uint32_t best_count() const { return best_count_; }
  const std::vector<std::uint32_t>& best_of_parts() const { return part_best_; }
  // Every part deploys as many tasks as its bound allows.
  bool proven() const { return open_servers_.empty(); }

 private:
  struct Move {
    std::uint32_t task;
    std::uint16_t before;
  };
  struct Window {
    std::uint32_t begin, end;
  };

  Window window_of(std::uint32_t server) const;
  void put(std::uint32_t task, std::uint16_t cut);
  void take_off(std::uint32_t task);
  void ruin(std::span<const std::uint32_t> tasks);
  void recreate(std::span<const std::uint32_t> tasks);
  void undo();
  bool accepts(int gain, double extra_use);
  void keep_best(std::uint32_t part);
  void close_proven_parts();
  void refresh_room();

  const SearchSpace& space_;
  Random random_;
  Room room_;
  Placement now_, best_;
  std::uint32_t best_count_ = 0;
  std::vector<std::uint32_t> part_now_, part_best_;
  std::vector<std::vector<std::uint32_t>> part_changed_;  // tasks that may differ between now_ and best_
  std::vector<std::uint32_t> open_servers_;
  // Of the step under way.
  std::vector<Move> moves_;
  int gain_ = 0;
  double extra_use_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace tideline::schedule
