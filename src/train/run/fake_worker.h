// A worker that speaks the protocol by hand and says what a test wants: for tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "train/protocol/messages.h"
#include "train/run/peers.h"
#include "transport/channel.h"

namespace tideline::train {

class FakeWorker {
 public:
  struct Asked {
    Channel& channel;
    std::uint64_t id = 0;
    TrainWork work;
    wire::SessionId session;
    // The update an honest worker with this gradient would send.
    void answer(const TrainUpdate& update, std::span<const std::byte> payload) const {
      (void)send_train(channel, id, update, payload.empty() ? ConstPieces{} : ConstPieces{&payload, 1}, kNoDeadline);
    }
    void answer(const Error& error) const { (void)channel.send(id, wire::to_message(error, ""), kNoDeadline); }
  };
  using OnWork = std::function<void(const Asked&)>;

  FakeWorker(Transport& transport, TrainReady ready, OnWork on_work)
      : listener_(transport.listen({"127.0.0.1", 0}).value()), thread_([this, ready, on_work] { serve(ready, on_work); }) {}
  ~FakeWorker() {
    listener_->shutdown();
    thread_.join();
  }
  Address address() const { return listener_->address(); }

 private:
  void serve(const TrainReady& ready, const OnWork& on_work) {
    auto connection = listener_->accept(kNoDeadline);
    if (!connection) return;
    Channel channel(std::move(*connection));
    const auto hello = channel.await_hello(kNoDeadline);
    if (!hello || !channel.welcome({.role = wire::Role::kNode, .name = "worker"}, *hello, nullptr, kNoDeadline)) return;
    while (true) {
      const auto frame = channel.receive(kNoDeadline);
      if (!frame) return;
      const Frame kept = *frame;
      const auto work =
          kept.header.type == wire::FrameType::kTrainWork ? decode_train<TrainWork>(kept) : Result<TrainWork>(Error{});
      if (!channel.skip_payload(kept, kNoDeadline)) return;
      if (work)
        on_work({channel, kept.header.request_id, *work, hello->session});
      else if (kept.header.type == wire::FrameType::kTrainSetup)
        (void)send_train(channel, kept.header.request_id, ready, {}, kNoDeadline);
      else
        return;
    }
  }

  std::unique_ptr<Listener> listener_;
  std::thread thread_;
};

}  // namespace tideline::train
