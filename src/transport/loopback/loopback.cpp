// Connections between threads of one process: two bounded pipes each.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "transport/receive_parts.h"
#include "transport/transport.h"
#include "transport/wait.h"

namespace tideline {
namespace {

constexpr std::size_t kPipeBytes = 256 * 1024;
constexpr std::size_t kWaitingMax = 256;

Error disconnected(const char* what) { return {ErrorCode::kDisconnected, std::string("[transport] loopback: ") + what}; }
Error too_late() { return {ErrorCode::kDeadlineExceeded, "[transport] loopback: nothing happened before the deadline"}; }

// One direction. Thread-safe.
class Pipe {
 public:
  Status write(std::span<const std::byte> bytes, SteadyTime deadline) {
    while (!bytes.empty()) {
      std::unique_lock lock(mutex_);
      if (!wait_for(changed_, lock, deadline, [&] { return used_ < kPipeBytes || no_writer_ || no_reader_; })) return too_late();
      if (no_writer_) return disconnected("the connection was shut down");
      if (no_reader_) return disconnected("the peer closed the connection");
      if (ring_.empty()) ring_.resize(kPipeBytes);
      const std::size_t at = (first_ + used_) % kPipeBytes;
      const std::size_t count = std::min({bytes.size(), kPipeBytes - used_, kPipeBytes - at});
      std::memcpy(ring_.data() + at, bytes.data(), count);
      used_ += count;
      bytes = bytes.subspan(count);
      changed_.notify_all();
    }
    return {};
  }

  Result<std::size_t> read(std::span<std::byte> into, SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    if (!wait_for(changed_, lock, deadline, [&] { return used_ > 0 || no_writer_ || no_reader_; })) return too_late();
    if (no_reader_) return disconnected("the connection was shut down");
    if (used_ == 0) return disconnected("the peer closed the connection");
    const std::size_t count = std::min({into.size(), used_, kPipeBytes - first_});
    std::memcpy(into.data(), ring_.data() + first_, count);
    first_ = (first_ + count) % kPipeBytes;
    used_ -= count;
    changed_.notify_all();
    return count;
  }

  bool writer_closed() {
    const std::lock_guard lock(mutex_);
    return no_writer_;
  }

  // The reader still gets what was written.
  void close_writer() { close(no_writer_); }
  void close_reader() { close(no_reader_); }

 private:
  void close(bool& end) {
    const std::lock_guard lock(mutex_);
    end = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<std::byte> ring_;
  std::size_t first_ = 0;
  std::size_t used_ = 0;
  bool no_writer_ = false;
  bool no_reader_ = false;
};

class LoopbackConnection final : public Connection {
 public:
  // Both ends share both pipes, and each may outlive the other.
  LoopbackConnection(std::shared_ptr<Pipe> out, std::shared_ptr<Pipe> in, std::string peer)
      : out_(std::move(out)), in_(std::move(in)), peer_(std::move(peer)) {}
  ~LoopbackConnection() override { LoopbackConnection::shutdown(); }

  Status send(ConstPieces pieces, SteadyTime deadline) override {
    for (const auto& piece : pieces) {
      send_calls_.fetch_add(1, std::memory_order_relaxed);
      if (auto sent = out_->write(piece, deadline); !sent) {
        shutdown();
        return sent;
      }
      sent_bytes_.fetch_add(piece.size(), std::memory_order_relaxed);
    }
    return {};
  }

  Status receive(Pieces pieces, SteadyTime deadline) override { return receive_parts(*this, pieces, deadline); }

  Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime deadline) override {
    receive_calls_.fetch_add(1, std::memory_order_relaxed);
    auto got = in_->read(into, deadline);
    if (got) received_bytes_.fetch_add(*got, std::memory_order_relaxed);
    return got;
  }

  void shutdown() override {
    out_->close_writer();
    in_->close_reader();
  }

  void finish(SteadyTime deadline) override {
    out_->close_writer();
    std::vector<std::byte> waste(4096);
    while (receive_some(waste, deadline)) {
      if (std::chrono::steady_clock::now() >= deadline) break;
    }
    shutdown();
  }

  bool ended() const override { return in_->writer_closed(); }
  std::string peer() const override { return peer_; }
  ConnectionCounters counters() const override {
    return {sent_bytes_.load(std::memory_order_relaxed), received_bytes_.load(std::memory_order_relaxed),
            send_calls_.load(std::memory_order_relaxed), receive_calls_.load(std::memory_order_relaxed)};
  }

 private:
  const std::shared_ptr<Pipe> out_, in_;
  const std::string peer_;
  std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, send_calls_{0}, receive_calls_{0};
};

// Who has connected and waits to be accepted. Thread-safe.
struct Waiting {
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex.
  std::deque<std::unique_ptr<Connection>> connections;
  bool shut_down = false;
};

// Which address is listened at. Shared by the transport and its listeners.
struct Registry {
  std::mutex mutex;
  // Guarded by mutex.
  std::map<std::string, std::shared_ptr<Waiting>> listeners;
  std::uint16_t next_port = 49152;
};

class LoopbackListener final : public Listener {
 public:
  LoopbackListener(std::shared_ptr<Registry> registry, std::shared_ptr<Waiting> waiting, Address address)
      : registry_(std::move(registry)), waiting_(std::move(waiting)), address_(std::move(address)) {}
  ~LoopbackListener() override { LoopbackListener::shutdown(); }

  Result<std::unique_ptr<Connection>> accept(SteadyTime deadline) override {
    std::unique_lock lock(waiting_->mutex);
    const auto ready = [&] { return !waiting_->connections.empty() || waiting_->shut_down; };
    if (!wait_for(waiting_->changed, lock, deadline, ready)) return too_late();
    if (waiting_->shut_down) return disconnected("the listener was shut down");
    auto connection = std::move(waiting_->connections.front());
    waiting_->connections.pop_front();
    return connection;
  }
  Address address() const override { return address_; }
  void shutdown() override {
    {
      const std::lock_guard lock(registry_->mutex);
      const auto found = registry_->listeners.find(to_string(address_));
      if (found != registry_->listeners.end() && found->second == waiting_) registry_->listeners.erase(found);
    }
    std::deque<std::unique_ptr<Connection>> refused;
    const std::lock_guard lock(waiting_->mutex);
    waiting_->shut_down = true;
    refused.swap(waiting_->connections);
    waiting_->changed.notify_all();
  }

 private:
  const std::shared_ptr<Registry> registry_;
  const std::shared_ptr<Waiting> waiting_;
  const Address address_;
};

class LoopbackTransport final : public Transport {
 public:
  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime) override {
    std::shared_ptr<Waiting> waiting;
    {
      const std::lock_guard lock(registry_->mutex);
      const auto found = registry_->listeners.find(to_string(address));
      if (found == registry_->listeners.end()) return disconnected("nobody listens at that address");
      waiting = found->second;
    }
    auto up = std::make_shared<Pipe>();
    auto down = std::make_shared<Pipe>();
    const std::lock_guard lock(waiting->mutex);
    if (waiting->shut_down || waiting->connections.size() >= kWaitingMax) return disconnected("nobody accepts at that address");
    waiting->connections.push_back(std::make_unique<LoopbackConnection>(down, up, "loopback"));
    waiting->changed.notify_one();
    return std::unique_ptr<Connection>(std::make_unique<LoopbackConnection>(up, down, to_string(address)));
  }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    const std::lock_guard lock(registry_->mutex);
    Address real = address;
    while (real.port == 0 || (address.port == 0 && registry_->listeners.contains(to_string(real))))
      real.port = registry_->next_port++;
    if (registry_->listeners.contains(to_string(real))) {
      return Error{ErrorCode::kInvalidArgument, "[transport] loopback: the address " + to_string(real) + " is in use"};
    }
    auto waiting = std::make_shared<Waiting>();
    registry_->listeners[to_string(real)] = waiting;
    return std::unique_ptr<Listener>(std::make_unique<LoopbackListener>(registry_, waiting, real));
  }

 private:
  const std::shared_ptr<Registry> registry_ = std::make_shared<Registry>();
};

}  // namespace

std::unique_ptr<Transport> make_loopback_transport() { return std::make_unique<LoopbackTransport>(); }

}  // namespace tideline
