// NodeWatch: whether the nodes of a site answer, asked a few times a second, each by a thread of its own. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "base/cancel.h"
#include "cluster/cluster.h"
#include "transport/transport.h"

namespace tideline::fleet {

class NodeWatch {
 public:
  // `transport` must outlive it.
  NodeWatch(Transport& transport, Cluster cluster);
  ~NodeWatch();
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  // From now on asks this node, by the way that requests which arise at `source` take to it. Returns when it has answered, or was
  // found not to.
  void add(std::size_t node, std::size_t source);
  // Those that did not answer when they were asked last, twice in a row.
  std::set<std::size_t> dead() const;

 private:
  struct Watched {
    std::atomic<bool> asked{false};
    std::atomic<bool> alive{true};
    std::thread thread;
  };
  void watch(Watched& watched, std::size_t node, std::size_t source);

  Transport& transport_;
  const Cluster cluster_;
  CancelToken stop_;
  std::map<std::size_t, std::unique_ptr<Watched>> watched_;  // of the thread that adds and asks
};

}  // namespace tideline::fleet
