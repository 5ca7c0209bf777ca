// Shared by connection.cpp and tcp.cpp: errors of the operating system as Errors, and what both do with sockets. Internal.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "platform/descriptor.h"
#include "transport/transport.h"

namespace tideline::tcp {

using tideline::Descriptor;

// What `number` (an errno) means for who called `what`.
Error error_of(int number, const std::string& what);

// Milliseconds for poll() until `deadline`, rounded up; -1 for kNoDeadline, 0 when it has passed.
int poll_timeout(SteadyTime deadline);

// Counts down when its connection goes: how a listener knows how many are open.
class OpenCount {
 public:
  explicit OpenCount(std::shared_ptr<std::atomic<std::size_t>> count) : count_(std::move(count)) {
    if (count_) count_->fetch_add(1);
  }
  OpenCount(OpenCount&&) = default;
  OpenCount& operator=(OpenCount&&) = delete;
  ~OpenCount() {
    if (count_) count_->fetch_sub(1);
  }

 private:
  // Shared, because connections may outlive their listener.
  std::shared_ptr<std::atomic<std::size_t>> count_;
};

// Takes a connected socket. An error when an option that we rely on cannot be set.
Result<std::unique_ptr<Connection>> make_connection(Descriptor socket, std::string peer, const TcpOptions& options,
                                                    OpenCount count);

}  // namespace tideline::tcp
