#include "fleet/up/node_watch.h"

#include "client/client.h"

namespace tideline::fleet {
namespace {

constexpr std::chrono::milliseconds kAskPeriod{250};
constexpr std::chrono::milliseconds kAskTimeout{1500};

}  // namespace

NodeWatch::NodeWatch(Transport& transport, Cluster cluster) : transport_(transport), cluster_(std::move(cluster)) {}

NodeWatch::~NodeWatch() {
  stop_.cancel();
  for (auto& [node, watched] : watched_) watched->thread.join();
}

void NodeWatch::add(std::size_t node, std::size_t source) {
  auto& watched = watched_[node];
  if (watched) return;
  watched = std::make_unique<Watched>();
  watched->thread = std::thread([this, &one = *watched, node, source] { watch(one, node, source); });
  watched->asked.wait(false);
}

void NodeWatch::watch(Watched& watched, std::size_t node, std::size_t source) {
  Cluster seen = cluster_;
  seen.source = static_cast<NodeId>(source);
  ClusterClient client(transport_, seen, kAskTimeout);
  const auto answers = [&] { return client.status(node, deadline_in(kAskTimeout)).has_value(); };
  do {
    // One broken connection is no dead node.
    watched.alive = answers() || answers();
    watched.asked = true;
    watched.asked.notify_all();
  } while (!stop_.wait_for(kAskPeriod));
}

std::set<std::size_t> NodeWatch::dead() const {
  std::set<std::size_t> dead;
  for (const auto& [node, watched] : watched_)
    if (!watched->alive) dead.insert(node);
  return dead;
}

}  // namespace tideline::fleet
