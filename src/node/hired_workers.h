// HiredWorkers: training workers that this node has started for a coordinator, in one process of their own.
//
// The daemon links no library that trains: `tideline-train worker` does, which reads its data from the folder that the node was
// given and nothing else. A resource: the destructor ends the process, and so does the end of the thread that started it. Not
// thread-safe.
//
//   TIDELINE_TRY(const auto workers, HiredWorkers::start(options, request, running, [&] { return stopping; }));
//   answer({workers->ports()});
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "node/options.h"
#include "platform/process.h"
#include "wire/messages.h"

namespace tideline {

class HiredWorkers {
 public:
  // kUnsupported when the node has no folder of training data; kInvalidArgument when the data's name is none or leads out of it;
  // kOverloaded when `running`, which counts the processes of this node, is at its limit; kDisconnected when the process ends at
  // once; kCancelled when `is_over` says so while it starts, kDeadlineExceeded when that takes too long.
  static Result<std::unique_ptr<HiredWorkers>> start(const NodeOptions& options, const wire::HireWorkers& request,
                                                     std::atomic<std::uint32_t>& running, const std::function<bool()>& is_over);
  ~HiredWorkers();
  HiredWorkers(const HiredWorkers&) = delete;
  HiredWorkers& operator=(const HiredWorkers&) = delete;

  // Where they listen, on the node's own address, in the workers' order.
  const std::vector<std::uint16_t>& ports() const { return ports_; }
  pid_t process() const { return process_.id(); }

 private:
  HiredWorkers(Process process, std::atomic<std::uint32_t>& running) : process_(std::move(process)), running_(running) {}

  Process process_;
  std::atomic<std::uint32_t>& running_;
  std::vector<std::uint16_t> ports_;
};

}  // namespace tideline
