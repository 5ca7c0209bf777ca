// A link made of a bandwidth and a delay, around any transport.
//
// What is to be sent goes through the lane of its direction in small chunks, connection after connection, so that a heartbeat
// waits for one chunk of somebody's tensor and not for all of it. A chunk departs when its last byte has left, and arrives half a
// round trip later:
//
//   out: send() -> waiting_ -> pace thread (lane) -> flying_ -> deliver thread -> inner connection
//   in:  inner connection -> pump thread (lane) -> arriving_ -> receive()
#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "transport/receive_parts.h"
#include "transport/shaped/link.h"
#include "transport/wait.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;
using shaped::Chunk;
using shaped::ChunkQueue;
using shaped::Lane;

struct Link {
  explicit Link(const LinkShape& shape) : up(shape.up_bytes_per_s), down(shape.down_bytes_per_s), delay(shape.round_trip / 2) {}
  Lane up, down;
  const Nanos delay;
};

Error was_shut_down() { return {ErrorCode::kDisconnected, "[transport] the connection was shut down"}; }

class ShapedConnection final : public Connection {
 public:
  ShapedConnection(std::unique_ptr<Connection> inner, std::shared_ptr<Link> link)
      : inner_(std::move(inner)),
        link_(std::move(link)),
        waiting_(link_->up.queue_bytes()),
        flying_(link_->up.window_bytes(link_->delay)),
        arriving_(link_->down.window_bytes(link_->delay)),
        pace_thread_([this] { pace(); }),
        deliver_thread_([this] { deliver(); }),
        pump_thread_([this] { pump(); }) {}

  ~ShapedConnection() override {
    ShapedConnection::shutdown();
    pace_thread_.join();
    deliver_thread_.join();
    pump_thread_.join();
  }

  Status send(ConstPieces pieces, SteadyTime deadline) override {
    send_calls_.fetch_add(1, std::memory_order_relaxed);
    std::size_t left = 0;
    for (const auto& piece : pieces) left += piece.size();
    auto piece = pieces.begin();
    std::size_t at = 0;
    while (left > 0) {
      Chunk chunk{.bytes = Buffer(std::min(left, link_->up.chunk_bytes()))};
      const std::size_t size = chunk.bytes.size();
      for (std::size_t filled = 0; filled < size;) {
        const std::size_t part = std::min(piece->size() - at, size - filled);
        if (part > 0) std::memcpy(chunk.bytes.data() + filled, piece->data() + at, part);
        filled += part;
        at += part;
        if (at == piece->size()) {
          ++piece;
          at = 0;
        }
      }
      left -= size;
      chunk.time = Clock::now();
      auto pushed = waiting_.push(std::move(chunk), deadline);
      if (!pushed) return std::move(pushed).error();
      if (!*pushed) {
        shutdown();
        return Error{ErrorCode::kDeadlineExceeded,
                     "[transport] the shaped link to " + peer() + " was not fast enough for the deadline"};
      }
      sent_bytes_.fetch_add(size, std::memory_order_relaxed);
    }
    return {};
  }

  Status receive(Pieces pieces, SteadyTime deadline) override { return receive_parts(*this, pieces, deadline); }

  Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime deadline) override {
    receive_calls_.fetch_add(1, std::memory_order_relaxed);
    auto got = arriving_.read(into, deadline);
    if (got) received_bytes_.fetch_add(*got, std::memory_order_relaxed);
    return got;
  }

  void shutdown() override {
    stop_.store(true);
    waiting_.abort(was_shut_down());
    flying_.abort(was_shut_down());
    arriving_.abort(was_shut_down());
    inner_->shutdown();
    link_->up.wake();
    link_->down.wake();
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  void finish(SteadyTime deadline) override {
    discarding_.store(true);
    arriving_.discard();
    waiting_.close(was_shut_down());
    {
      std::unique_lock lock(mutex_);
      wait_for(changed_, lock, deadline, [&] { return delivered_all_ || stop_.load(); });
    }
    // The pump reads from it too; both forget what they get.
    inner_->finish(deadline);
    shutdown();
  }

  bool ended() const override { return inner_->ended(); }
  std::string peer() const override { return inner_->peer(); }
  ConnectionCounters counters() const override {
    return {sent_bytes_.load(std::memory_order_relaxed), received_bytes_.load(std::memory_order_relaxed),
            send_calls_.load(std::memory_order_relaxed), receive_calls_.load(std::memory_order_relaxed)};
  }

 private:
  void pace() {
    while (true) {
      auto chunk = waiting_.pop(false);
      if (!chunk) return flying_.close(chunk.error());
      const auto departed = link_->up.pass(chunk->bytes.size(), chunk->time, stop_);
      if (!departed) return;
      chunk->time = *departed + link_->delay;
      if (!flying_.push(std::move(*chunk), kNoDeadline)) return;
    }
  }

  void deliver() {
    while (true) {
      const auto chunk = flying_.pop(true);
      if (!chunk) break;
      const std::span<const std::byte> bytes = chunk->bytes.span();
      if (const auto sent = inner_->send({&bytes, 1}, kNoDeadline); !sent) {
        waiting_.abort(sent.error());
        flying_.abort(sent.error());
        break;
      }
    }
    const std::lock_guard lock(mutex_);
    delivered_all_ = true;
    changed_.notify_all();
  }

  void pump() {
    std::vector<std::byte> buffer(link_->down.chunk_bytes());
    while (true) {
      // What is there without waiting came while the chunk before it was on the link.
      SteadyTime ready = link_->down.backlog_since();
      auto got = inner_->receive_some(buffer, Clock::now());
      if (!got && got.error().code == ErrorCode::kDeadlineExceeded) {
        got = inner_->receive_some(buffer, kNoDeadline);
        ready = Clock::now();
      }
      if (!got) return arriving_.close(got.error());
      if (discarding_.load()) continue;
      const auto departed = link_->down.pass(*got, ready, stop_);
      if (!departed) return;
      Chunk chunk{.bytes = Buffer::copy_of(std::span(buffer).first(*got)), .time = *departed + link_->delay};
      if (!arriving_.push(std::move(chunk), kNoDeadline)) return;
    }
  }

  const std::unique_ptr<Connection> inner_;
  const std::shared_ptr<Link> link_;  // shared by the transport and all its connections
  ChunkQueue waiting_, flying_, arriving_;
  std::atomic<bool> stop_{false}, discarding_{false};
  std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, send_calls_{0}, receive_calls_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool delivered_all_ = false;  // guarded by mutex_
  // Last: they use everything above.
  std::thread pace_thread_, deliver_thread_, pump_thread_;
};

class ShapedTransport final : public Transport {
 public:
  ShapedTransport(Transport& inner, const LinkShape& shape)
      : inner_(inner),
        shaped_(shape.up_bytes_per_s > 0 || shape.down_bytes_per_s > 0 || shape.round_trip > Nanos{0}),
        link_(std::make_shared<Link>(shape)) {}

  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline) override {
    auto connected = inner_.connect(address, deadline);
    if (!connected || !shaped_) return connected;
    return std::unique_ptr<Connection>(std::make_unique<ShapedConnection>(std::move(*connected), link_));
  }
  Result<std::unique_ptr<Listener>> listen(const Address& address) override { return inner_.listen(address); }

 private:
  Transport& inner_;
  const bool shaped_;
  const std::shared_ptr<Link> link_;
};

}  // namespace

std::unique_ptr<Transport> make_shaped_transport(Transport& inner, const LinkShape& shape) {
  return std::make_unique<ShapedTransport>(inner, shape);
}

}  // namespace tideline
