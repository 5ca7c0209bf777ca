// WorkerLink: the coordinator's end of one worker: a connection and a thread that sends one order, waits for its answer and hands
// it to the coordinator's queue. A worker that does not answer, or cannot be reached, holds up its own thread and nothing else.
// What a worker may send is held against the model's size before anything is allocated for it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "train/exchange/update_codec.h"
#include "train/protocol/messages.h"
#include "train/strategy/strategy.h"
#include "transport/channel.h"

namespace tideline::train {

struct Answer {
  std::uint32_t worker = 0;
  std::uint64_t tag = 0;  // of its order
  SteadyTime at{};
  bool is_lost = false;  // the connection has ended: there will be no other answer
  Status status;         // why there is nothing of what follows
  // Whose fault that is, as far as the worker can tell: its own, or another member's whose numbers it was sent.
  std::uint32_t at_fault = 0;
  TrainReady ready;
  TrainUpdate update;
  std::vector<float> numbers;    // of an update, decoded; of a model
  std::vector<std::byte> bytes;  // of a state
};

// Thread-safe.
class AnswerQueue {
 public:
  void push(Answer answer);
  // Nothing when none has come until then.
  std::optional<Answer> pop(SteadyTime deadline);
  // pop() returns at once, for now.
  void wake();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> answers_;
  bool woken_ = false;
};

// Bytes that several orders send alike.
using SharedBytes = std::shared_ptr<const std::vector<std::byte>>;

class WorkerLink {
 public:
  // `codec` decodes updates of `numbers` numbers. Throws std::system_error when there is no thread to be had.
  WorkerLink(std::uint32_t worker, std::unique_ptr<UpdateCodec> codec, std::size_t numbers, AnswerQueue& answers);
  ~WorkerLink();

  // One at a time (REQUIRES: the last one is answered). The answer has the same tag. The first one is call(): connects, says
  // HELLO and sets the worker up; is_lost when any of it fails. `transport` outlives the link.
  void call(std::uint64_t tag, Transport& transport, const Address& address, const wire::Hello& hello, TrainSetup message,
            SharedBytes model, SharedBytes state);
  // Once more, of a worker that has been called: another state.
  void setup(std::uint64_t tag, TrainSetup message, SharedBytes model, SharedBytes state);
  void work(std::uint64_t tag, TrainWork message, SharedBytes model);
  void fetch(std::uint64_t tag, TrainFetch message);
  // Says goodbye and ends the connection. REQUIRES: the last order is answered.
  void finish(SteadyTime deadline);
  void shutdown();
  ConnectionCounters counters() const;

 private:
  using Order = std::function<Answer()>;
  Status connect(Transport& transport, const Address& address, const wire::Hello& hello);
  Answer set_up(std::uint64_t tag, const TrainSetup& message, const SharedBytes& model, const SharedBytes& state);
  template <class Message>
  Result<Message> receive(Answer& answer, std::uint64_t tag, std::uint64_t bytes_max, std::vector<std::byte>& payload);
  void give(std::uint64_t tag, Order order);
  void run();

  const std::uint32_t worker_;
  const std::unique_ptr<UpdateCodec> codec_;
  const std::size_t numbers_;
  AnswerQueue& answers_;
  const CancelToken hang_up_;  // while it is called
  mutable std::mutex mutex_;   // of what follows, but the thread; the channel is this thread's to use once it is there
  std::condition_variable changed_;
  std::unique_ptr<Channel> channel_;
  Order order_;
  std::uint64_t tag_ = 0;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace tideline::train
