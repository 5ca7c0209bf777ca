// WorkerLink: the coordinator's end of one worker: a connection and a thread that sends one order, waits for its answer and hands
// it to the coordinator's queue. A worker that does not answer holds up its own thread and nothing else.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

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
  // `codec` decodes updates of `numbers` numbers; set up before the first TRAIN_WORK.
  WorkerLink(std::uint32_t worker, std::unique_ptr<Channel> channel, AnswerQueue& answers);
  ~WorkerLink();
  void expect_updates(std::unique_ptr<UpdateCodec> codec, std::size_t numbers);

  // One at a time (REQUIRES: the last one is answered). The answer has the same tag.
  void setup(std::uint64_t tag, TrainSetup message, SharedBytes model, SharedBytes state);
  void work(std::uint64_t tag, TrainWork message, SharedBytes model);
  void fetch(std::uint64_t tag, TrainFetch message);
  // Says goodbye and ends the connection. REQUIRES: the last order is answered.
  void finish(SteadyTime deadline);
  void shutdown() { channel_->shutdown(); }
  ConnectionCounters counters() const { return channel_->connection().counters(); }

 private:
  using Order = std::function<Answer(Channel&)>;
  void give(std::uint64_t tag, Order order);
  void run();

  const std::uint32_t worker_;
  std::unique_ptr<Channel> channel_;
  AnswerQueue& answers_;
  std::unique_ptr<UpdateCodec> codec_;
  std::size_t numbers_ = 0;
  std::mutex mutex_;  // of the next three
  std::condition_variable changed_;
  Order order_;
  std::uint64_t tag_ = 0;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace tideline::train
