#include "node/node.h"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>
#include <malloc.h>

#include "base/log.h"
#include "node/connection.h"
#include "node/core.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kWatchPeriod{50};
constexpr std::chrono::milliseconds kReapPeriod{500};
// One line of what repeats per this time: a flood of callers must not become a flood of log.
constexpr std::chrono::seconds kLogPeriod{1};

class SeldomLog {
 public:
  void warn(const std::string& message) {
    ++held_back_;
    const SteadyTime now = Clock::now();
    if (now < next_) return;
    log(LogLevel::kWarning, held_back_ > 1 ? fmt::format("{} ({} times)", message, held_back_) : message);
    held_back_ = 0;
    next_ = now + kLogPeriod;
  }

 private:
  SteadyTime next_{};
  std::uint64_t held_back_ = 0;
};

}  // namespace

struct NodeServer::Served {
  Served(NodeCore& core, std::unique_ptr<Connection> from) : connection(core, std::move(from)) {}
  NodeConnection connection;
  bool evicted = false;  // guarded by the server's mutex: shut down to make room, not yet gone
  std::atomic<bool> finished{false};
  std::thread thread;
};

NodeServer::NodeServer(std::unique_ptr<NodeCore> core) : core_(std::move(core)) {}

Result<std::unique_ptr<NodeServer>> NodeServer::start(const NodeOptions& options, Transport& transport, Transport& onward,
                                                      Engine& engine) {
  TIDELINE_TRY(auto store, SegmentStore::open(options.store_folder, options.store_bytes));
  std::unique_ptr<NodeServer> node(new NodeServer(std::make_unique<NodeCore>(options, onward, engine, std::move(store))));
  TIDELINE_TRY(node->listener_, transport.listen(options.listen));
  node->accept_thread_ = std::thread([raw = node.get()] { raw->accept_loop(); });
  node->watch_thread_ = std::thread([raw = node.get()] { raw->watch_loop(); });
  return node;
}

NodeServer::~NodeServer() { stop(); }

void NodeServer::stop() {
  core_->stopping = true;
  if (listener_) listener_->shutdown();
  if (accept_thread_.joinable()) accept_thread_.join();
  {
    const std::lock_guard lock(mutex_);
    watch_stops_ = true;
  }
  watch_changed_.notify_all();
  if (watch_thread_.joinable()) watch_thread_.join();
  // First the next nodes, so that nobody waits for them; then the callers; then what those have left of the next nodes.
  core_->next_nodes.shut_down();
  reap(true);
  core_->next_nodes.stop();
}

void NodeServer::drain(std::chrono::milliseconds patience) {
  core_->draining = true;
  const SteadyTime until = deadline_in(patience);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& served : served_)
      if (!served->finished) served->connection.say_goodbye();
  }
  {
    std::unique_lock lock(core_->running_mutex);
    core_->running_changed.wait_until(lock, until, [this] { return core_->requests_running == 0; });
  }
  stop();
}

BufferPool::Figures NodeServer::buffer_figures() const { return core_->buffers.figures(); }

void NodeServer::accept_loop() {
  SeldomLog complaints;
  while (!core_->stopping) {
    try {
      auto accepted = listener_->accept(deadline_in(kReapPeriod));
      reap(false);
      if (accepted) {
        admit(std::move(*accepted));
      } else if (accepted.error().code == ErrorCode::kDisconnected) {
        return;
      } else if (accepted.error().code != ErrorCode::kDeadlineExceeded) {
        complaints.warn(accepted.error().message);
      }
    } catch (const std::exception& error) {
      // No thread or no memory to be had: this caller is refused, the next one may have more luck.
      complaints.warn(fmt::format("a connection was refused: {}", error.what()));
    }
  }
}

NodeServer::Served* NodeServer::most_silent(const std::string* address) {
  Served* found = nullptr;
  SteadyTime since = kNoDeadline;
  for (const auto& served : served_) {
    if (served->evicted || served->finished) continue;
    if (address != nullptr && served->connection.address() != *address) continue;
    const SteadyTime silent = served->connection.silent_since();
    if (silent < since) {
      since = silent;
      found = served.get();
    }
  }
  return found;
}

void NodeServer::admit(std::unique_ptr<Connection> connection) {
  auto served = std::make_unique<Served>(*core_, std::move(connection));
  const std::lock_guard lock(mutex_);
  const std::string& address = served->connection.address();
  std::size_t here = 0;
  std::size_t from_there = 0;
  std::size_t refusals = 0;
  for (const auto& other : served_) {
    if (other->finished || other->evicted) continue;
    if (other->connection.is_refusal()) {
      ++refusals;
      continue;
    }
    ++here;
    if (other->connection.address() == address) ++from_there;
  }
  const bool share_used = from_there >= core_->options.connections_per_address_max;
  if (share_used || here >= core_->options.connections_max) {
    if (Served* silent = most_silent(share_used ? &address : nullptr)) {
      silent->evicted = true;
      silent->connection.shutdown();
    } else if (refusals < limits::kNodeRefusalsMax) {
      served->connection.refuse_instead();
    } else {
      return;
    }
  }
  Served& entry = *served_.emplace_back(std::move(served));
  try {
    entry.thread = std::thread([this, &entry] {
      ++core_->connections;
      entry.connection.serve();
      --core_->connections;
      entry.finished = true;
    });
  } catch (...) {
    served_.pop_back();
    throw;
  }
}

void NodeServer::reap(bool all) {
  std::list<std::unique_ptr<Served>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = served_.begin(); it != served_.end();) {
      const auto next = std::next(it);
      if (all) (*it)->connection.shutdown();
      if (all || (*it)->finished) ended.splice(ended.end(), served_, it);
      it = next;
    }
  }
  if (all) core_->callers.cancel_all();
  for (const auto& served : ended) served->thread.join();
}

void NodeServer::watch_loop() {
  bool trim = false;
  SteadyTime next_sweep = deadline_in(kReapPeriod);
  std::unique_lock lock(mutex_);
  while (!watch_stops_) {
    watch_changed_.wait_for(lock, core_->requests_running > 0 ? kWatchPeriod : kReapPeriod, [this] { return watch_stops_; });
    if (core_->requests_running > 0)
      for (const auto& served : served_)
        if (!served->finished) served->connection.notice_end();
    lock.unlock();
    core_->next_nodes.tick(Clock::now());
    lock.lock();
    if (Clock::now() < next_sweep) continue;
    next_sweep = deadline_in(kReapPeriod);
    lock.unlock();
    if (core_->requests_running == 0) core_->buffers.trim();
    trim = core_->callers.sweep() || trim;
    if (trim && core_->requests_running == 0) {
      // glibc keeps what many threads have freed in their arenas; hundreds of megabytes after large models.
      ::malloc_trim(0);
      trim = false;
    }
    lock.lock();
  }
}

}  // namespace tideline
