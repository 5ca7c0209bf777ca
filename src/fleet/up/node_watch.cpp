#include "fleet/up/node_watch.h"

#include <algorithm>
#include <system_error>

#include "client/client.h"

namespace tideline::fleet {
namespace {

constexpr std::chrono::milliseconds kAskPeriod{250};
constexpr std::chrono::milliseconds kAskTimeout{1500};

}  // namespace

NodesSeen seen_on(const std::map<WatchedWay, bool>& answers) {
  NodesSeen seen;
  const auto lives = [&](std::size_t source) {
    const auto own = answers.find({source, source});
    return own == answers.end() || own->second;
  };
  std::map<std::size_t, bool> reached;
  for (const auto& [way, answered] : answers) {
    if (!answered) seen.broken.insert(way);
    // A source says of itself whether it lives.
    if (way.source != way.node && !lives(way.source)) continue;
    reached[way.node] = reached[way.node] || answered;
  }
  for (const auto& [node, is_reached] : reached)
    if (!is_reached) seen.dead.insert(node);
  return seen;
}

bool StartTime::has_restarted(SteadyTime asked, SteadyTime answered, Millis uptime) {
  const auto up = std::chrono::duration_cast<Nanos>(uptime);
  // Uptimes are told in whole milliseconds.
  constexpr std::chrono::milliseconds kRounding{1};
  const bool later = latest_ && asked - up - kRounding > *latest_;
  latest_ = later || !latest_ ? answered - up : std::min(*latest_, answered - up);
  return later;
}

NodeWatch::NodeWatch(Transport& transport, Cluster cluster) : transport_(transport), cluster_(std::move(cluster)) {}

NodeWatch::~NodeWatch() {
  stop_.cancel();
  for (auto& [way, watched] : watched_) watched->thread.join();
}

Status NodeWatch::add(std::size_t node, std::size_t source) {
  auto& watched = watched_[{source, node}];
  if (watched) return {};
  watched = std::make_unique<Watched>();
  try {
    watched->thread = std::thread([this, &one = *watched, node, source] { watch(one, node, source); });
  } catch (const std::system_error&) {
    watched_.erase({source, node});
    return Error{ErrorCode::kOverloaded, "[fleet] the system gives no more threads to watch nodes with"};
  }
  return {};
}

void NodeWatch::watch(Watched& watched, std::size_t node, std::size_t source) {
  Cluster seen = cluster_;
  seen.source = static_cast<NodeId>(source);
  ClusterClient client(transport_, seen, kAskTimeout);
  StartTime started;
  const auto ask = [&](bool& restarted) {
    const SteadyTime asked = std::chrono::steady_clock::now();
    const auto status = client.status(node, deadline_in(kAskTimeout));
    // Nodes that are too busy live, and what this process lacks says nothing of them.
    if (!status) return status.error().code == ErrorCode::kOverloaded;
    const Millis uptime(static_cast<double>(status->uptime_ms));
    restarted = started.has_restarted(asked, std::chrono::steady_clock::now(), uptime);
    const std::lock_guard lock(mutex_);
    watched.status = *status;
    return true;
  };
  do {
    bool restarted = false, answers = true;
    try {
      // One broken connection is no dead node.
      answers = ask(restarted) || ask(restarted);
    } catch (const std::exception&) {
      // Out of memory or threads here.
    }
    const std::lock_guard lock(mutex_);
    watched.answers = answers;
    watched.restarted = watched.restarted || restarted;
    watched.asked = true;
    changed_.notify_all();
  } while (!stop_.wait_for(kAskPeriod));
}

void NodeWatch::settle(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] {
    return std::all_of(watched_.begin(), watched_.end(),
                       [&](const auto& entry) { return entry.second->asked || is_cloud(entry.first.node); });
  });
}

NodesSeen NodeWatch::seen() const {
  std::map<WatchedWay, bool> answers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [way, watched] : watched_)
      if (!is_cloud(way.node)) answers[way] = watched->answers;
  }
  return seen_on(answers);
}

std::optional<wire::NodeStatus> NodeWatch::status(std::size_t node) const {
  std::optional<wire::NodeStatus> latest;
  const std::lock_guard lock(mutex_);
  for (const auto& [way, watched] : watched_)
    if (way.node == node && watched->status && (!latest || watched->status->uptime_ms > latest->uptime_ms))
      latest = watched->status;
  return latest;
}

std::set<std::size_t> NodeWatch::take_restarted() {
  std::set<std::size_t> restarted;
  const std::lock_guard lock(mutex_);
  for (const auto& [way, watched] : watched_)
    if (std::exchange(watched->restarted, false)) restarted.insert(way.node);
  return restarted;
}

}  // namespace tideline::fleet
