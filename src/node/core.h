// NodeCore: what the connections of one node share. Built by NodeServer, which outlives them all; every member is thread-safe on
// its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "engine/engine.h"
#include "node/buffer_pool.h"
#include "node/caller.h"
#include "node/compute_slot.h"
#include "node/next_node.h"
#include "node/options.h"
#include "node/segment_store.h"
#include "node/segments.h"
#include "node/shares.h"
#include "node/slow_engine.h"
#include "transport/transport.h"

namespace tideline {

struct NodeCore {
  NodeCore(const NodeOptions& node_options, Transport& to_next, Engine& node_engine, std::unique_ptr<SegmentStore> segment_store)
      : options(node_options),
        onward(to_next),
        slow_engine(options.slowdown > 1 ? make_slow_engine(node_engine, options.slowdown) : nullptr),
        engine(slow_engine ? *slow_engine : node_engine),
        store(std::move(segment_store)),
        segments(engine, *store, options.memory_bytes) {}

  const NodeOptions options;
  Transport& onward;
  const std::unique_ptr<Engine> slow_engine;
  Engine& engine;
  const std::unique_ptr<SegmentStore> store;
  LoadedSegments segments;
  ComputeSlot slot;
  ShareBook shares;
  BufferPool buffers;
  NextNodes next_nodes;
  Callers callers;
  const SteadyTime started_at = std::chrono::steady_clock::now();
  std::atomic<bool> draining{false};
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> requests_done{0};
  std::atomic<std::uint64_t> requests_failed{0};
  std::atomic<std::uint32_t> connections{0};
  std::atomic<std::uint32_t> worker_processes{0};  // of training
  // The number changes under the mutex, so that who waits for it cannot miss a change.
  std::atomic<std::uint32_t> requests_running{0};
  std::mutex running_mutex;
  std::condition_variable running_changed;
};

}  // namespace tideline
