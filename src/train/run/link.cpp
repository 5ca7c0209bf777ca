#include "train/run/link.h"

#include <cstring>

#include <fmt/format.h>

#include "base/limits.h"
#include "transport/wait.h"

namespace tideline::train {
namespace {

template <class Message>
Result<Message> answer_of(Channel& channel, std::vector<std::byte>& payload) {
  TIDELINE_TRY(const Frame frame, channel.receive(kNoDeadline));
  auto message = decode_train<Message>(frame);
  if (!message) {
    TIDELINE_CHECK_OK(channel.skip_payload(frame, kNoDeadline));
    return message.error();
  }
  payload.resize(static_cast<std::size_t>(frame.header.payload_bytes));
  const std::span<std::byte> piece(payload);
  if (!payload.empty()) TIDELINE_CHECK_OK(channel.receive_payload(frame, {&piece, 1}, kNoDeadline));
  return message;
}

// A worker that says ERROR is still there.
bool is_lost(Channel& channel, const Status& status) { return !status && channel.connection().ended(); }

}  // namespace

void AnswerQueue::push(Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_.push_back(std::move(answer));
  changed_.notify_all();
}

std::optional<Answer> AnswerQueue::pop(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  wait_for(changed_, lock, deadline, [&] { return woken_ || !answers_.empty(); });
  woken_ = false;
  if (answers_.empty()) return std::nullopt;
  Answer answer = std::move(answers_.front());
  answers_.pop_front();
  return answer;
}

void AnswerQueue::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

WorkerLink::WorkerLink(std::uint32_t worker, std::unique_ptr<Channel> channel, AnswerQueue& answers)
    : worker_(worker), channel_(std::move(channel)), answers_(answers), thread_([this] { run(); }) {}

WorkerLink::~WorkerLink() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  channel_->shutdown();
  thread_.join();
}

void WorkerLink::expect_updates(std::unique_ptr<UpdateCodec> codec, std::size_t numbers) {
  codec_ = std::move(codec);
  numbers_ = numbers;
}

void WorkerLink::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closing_ || order_ != nullptr; });
    if (closing_) return;
    const Order order = std::exchange(order_, nullptr);
    const std::uint64_t tag = tag_;
    lock.unlock();
    Answer answer = order(*channel_);
    answer.worker = worker_;
    answer.tag = tag;
    answer.at = std::chrono::steady_clock::now();
    if (answer.is_lost) channel_->shutdown();
    answers_.push(std::move(answer));
    lock.lock();
  }
}

void WorkerLink::give(std::uint64_t tag, Order order) {
  const std::lock_guard lock(mutex_);
  order_ = std::move(order);
  tag_ = tag;
  changed_.notify_all();
}

void WorkerLink::setup(std::uint64_t tag, TrainSetup message, SharedBytes model, SharedBytes state) {
  give(tag, [message = std::move(message), model, state, tag](Channel& channel) {
    Answer answer;
    const std::span<const std::byte> pieces[] = {*model, *state};
    answer.status = send_train(channel, tag, message, pieces, kNoDeadline);
    if (answer.status) {
      std::vector<std::byte> none;
      if (auto ready = answer_of<TrainReady>(channel, none))
        answer.ready = *ready;
      else
        answer.status = ready.error();
    }
    answer.is_lost = is_lost(channel, answer.status);
    return answer;
  });
}

void WorkerLink::work(std::uint64_t tag, TrainWork message, SharedBytes model) {
  give(tag, [this, message = std::move(message), model, tag](Channel& channel) {
    Answer answer;
    const std::span<const std::byte> piece = model == nullptr ? std::span<const std::byte>() : std::span(*model);
    answer.status = send_train(channel, tag, message, piece.empty() ? ConstPieces{} : ConstPieces{&piece, 1}, kNoDeadline);
    if (answer.status) {
      std::vector<std::byte> payload;
      auto update = answer_of<TrainUpdate>(channel, payload);
      if (!update) {
        answer.status = update.error();
      } else if (answer.update = *update; update->round != message.round || update->attempt != message.attempt) {
        answer.status = Error{ErrorCode::kCorrupt, "an update of another round than was asked for"};
      } else if (message.members.empty()) {
        answer.numbers.resize(numbers_);
        answer.status = codec_->decode(payload, answer.numbers);
      }
    }
    answer.is_lost = is_lost(channel, answer.status);
    return answer;
  });
}

void WorkerLink::fetch(std::uint64_t tag, TrainFetch message) {
  give(tag, [message, tag](Channel& channel) {
    Answer answer;
    answer.status = send_train(channel, tag, message, {}, kNoDeadline);
    if (answer.status) {
      std::vector<std::byte> payload;
      const auto state = answer_of<TrainState>(channel, payload);
      if (!state) {
        answer.status = state.error();
      } else if (message.what == TrainFetch::What::kState) {
        answer.bytes = std::move(payload);
      } else {
        answer.numbers.resize(payload.size() / sizeof(float));
        if (!answer.numbers.empty()) std::memcpy(answer.numbers.data(), payload.data(), answer.numbers.size() * sizeof(float));
      }
    }
    answer.is_lost = is_lost(channel, answer.status);
    return answer;
  });
}

void WorkerLink::finish(SteadyTime deadline) {
  if (channel_->send(0, wire::Goodbye{.reason = "the run is over"}, deadline)) channel_->connection().finish(deadline);
}

}  // namespace tideline::train
