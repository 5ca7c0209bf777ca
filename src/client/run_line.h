// RunLine: one DATA connection with several RUNs on it at a time, as a caller has it. There is no thread of its own: whoever
// waits for an answer reads for all, and hands the reading over to another who waits when its own answer is there. So one caller
// pays for no hand-off, and many share one connection. Thread-safe.
//
// Who owns what: the buffers of a result belong to the Call's `buffer_for`, which is asked and whose buffers are filled by
// whichever thread reads, before wait() returns and never after it.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "transport/channel.h"
#include "wire/messages.h"

namespace tideline {

// Where the time of one RUN call went, by the caller's clock. The transfer both ways is total - the callee's own total.
struct CallTiming {
  Nanos send{0};     // until the transport took the last byte
  Nanos wait{0};     // until the RESULT's header
  Nanos receive{0};  // its payload
  Nanos total{0};
};

class RunLine {
 public:
  struct Call {
    std::uint64_t id = 0;
    std::uint64_t epoch = 0;
    TensorBuffer buffer_for;
    SteadyTime deadline;
    CancelToken cancel;
    // Of the line, until wait() has returned:
    std::uint64_t bytes = 0;
    bool credited = false;
    bool receiving = false;
    bool answered = false;  // a frame of its answer has come
    std::optional<Result<wire::RunResult>> result;
    SteadyTime began{}, sent{};
    CallTiming timing;
  };

  // `flow`: the peer says by CREDIT how much it takes; without, it takes one request at a time. `name` is for errors.
  RunLine(std::unique_ptr<Channel> channel, bool flow, std::string name);

  // Waits until the peer has room, at most until the call's deadline, and sends. After an error nothing of it will come.
  Status send(const std::shared_ptr<Call>& call, const wire::Run& run, ConstPieces payload);
  // The answer; kCancelled or kDeadlineExceeded when it did not come before. Once per call that was sent.
  Result<wire::RunResult> wait(const std::shared_ptr<Call>& call);

  // For who does not wait: whether the call was still under way. Its buffers are not touched after it.
  bool abandon(const std::shared_ptr<Call>& call);

  bool ended() const;
  Channel& channel() { return *channel_; }

 private:
  // Reads for all, or waits for who reads, until `ready` or `until`. With the lock, but not while it waits.
  template <class Ready>
  void serve(std::unique_lock<std::mutex>& lock, SteadyTime until, Ready ready);
  // False when nothing came in time.
  bool read_one(SteadyTime deadline);
  Status dispatch(const Frame& frame);
  bool has_room(std::uint64_t bytes) const;  // with mutex_
  void give_back(std::uint64_t bytes);       // with mutex_
  void end(const Error& reason);

  const std::unique_ptr<Channel> channel_;
  const bool flow_;
  const std::string name_;
  std::mutex send_mutex_;  // held while sending

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable changed_;
  std::map<std::uint64_t, std::shared_ptr<Call>> calls_;
  std::map<std::uint64_t, std::uint64_t> abandoned_;  // bytes of calls that nobody waits for, whose credit is not back
  std::uint64_t credit_requests_ = 0;
  std::uint64_t credit_bytes_ = 0;
  std::uint64_t granted_bytes_ = 0;
  bool reading_ = false;
  SteadyTime used_{};  // when the last call was sent
  std::optional<Error> ended_;
};

}  // namespace tideline
