// NodeWatch: whether the nodes of a site answer, asked a few times a second by the ways that requests take, each way by a thread
// of its own. A node is dead when living sources have a way to it and none of them reaches it: of a gateway whose only camera
// does not answer nothing is known. Nodes that have started anew are noticed by how long they say they have been up; of clouds
// that alone counts, since whether one lives only its gateways can say.
//
// A resource of one thread.
//
//   TIDELINE_CHECK_OK(watch.add(gateway, camera));
//   watch.settle(deadline_in(5s));
//   if (watch.seen() != before) plan_again();
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/cancel.h"
#include "base/result.h"
#include "cluster/cluster.h"
#include "transport/transport.h"
#include "wire/messages.h"

namespace tideline::fleet {

// From one source to one node, itself included; indices of the cluster.
struct WatchedWay {
  std::size_t source = 0;
  std::size_t node = 0;
  auto operator<=>(const WatchedWay&) const = default;
};

struct NodesSeen {
  std::set<std::size_t> dead;   // nodes that no living source reaches
  std::set<WatchedWay> broken;  // ways on which nobody answers, of dead sources too
  bool operator==(const NodesSeen&) const = default;
};
// `answers`: by way. The rule, without threads.
NodesSeen seen_on(const std::map<WatchedWay, bool>& answers);

// When a node has started, as far as its own words say it: between two points of this clock. Says true when it has started anew
// since it was asked last.
class StartTime {
 public:
  bool has_restarted(SteadyTime asked, SteadyTime answered, Millis uptime);

 private:
  std::optional<SteadyTime> latest_;
};

class NodeWatch {
 public:
  // `transport` must outlive it.
  NodeWatch(Transport& transport, Cluster cluster);
  ~NodeWatch();
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  // From now on asks this node, by the way that requests which arise at `source` take to it; at once, and returns without the
  // answer. Nothing when it is asked so already. kOverloaded when the system gives no thread.
  Status add(std::size_t node, std::size_t source);
  // Waits until every way has been asked once; all at the same time, so the slowest one counts.
  void settle(SteadyTime deadline);
  // Ways that did not answer when they were asked last, twice in a row. One that was not asked yet counts as living.
  NodesSeen seen() const;
  // What a node said of itself when it answered last.
  std::optional<wire::NodeStatus> status(std::size_t node) const;
  // Nodes that have started anew since this was asked last, and have lost what was installed.
  std::set<std::size_t> take_restarted();

 private:
  struct Watched {
    // Guarded by mutex_:
    bool asked = false;
    bool answers = true;
    bool restarted = false;
    std::optional<wire::NodeStatus> status;
    std::thread thread;
  };
  bool is_cloud(std::size_t node) const { return cluster_.nodes[node].tier == Tier::kCloud; }
  void watch(Watched& watched, std::size_t node, std::size_t source);

  Transport& transport_;
  const Cluster cluster_;
  CancelToken stop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<WatchedWay, std::unique_ptr<Watched>> watched_;  // of the thread that adds and asks
};

}  // namespace tideline::fleet
