#include "train/run/link.h"

#include <cstring>

#include <fmt/format.h>

#include "base/limits.h"
#include "train/run/guarded.h"
#include "train/run/peers.h"
#include "transport/wait.h"

namespace tideline::train {
namespace {

// Beside the numbers themselves: heads, lengths and what a few numbers take.
constexpr std::uint64_t kSmallBytes = 65'536;
// A worker's model, an optimiser's moments, and what a compressor remembers: in arrays as long as the model.
constexpr std::uint64_t kStateBytesPerNumber = 64;

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

WorkerLink::WorkerLink(std::uint32_t worker, std::unique_ptr<UpdateCodec> codec, std::size_t numbers, AnswerQueue& answers)
    : worker_(worker), codec_(std::move(codec)), numbers_(numbers), answers_(answers), thread_([this] { run(); }) {}

WorkerLink::~WorkerLink() {
  hang_up_.cancel();
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    if (channel_ != nullptr) channel_->shutdown();
  }
  changed_.notify_all();
  thread_.join();
}

void WorkerLink::shutdown() {
  const std::lock_guard lock(mutex_);
  if (channel_ != nullptr) channel_->shutdown();
}

ConnectionCounters WorkerLink::counters() const {
  const std::lock_guard lock(mutex_);
  return channel_ == nullptr ? ConnectionCounters{} : channel_->connection().counters();
}

void WorkerLink::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closing_ || order_ != nullptr; });
    if (closing_) return;
    const Order order = std::exchange(order_, nullptr);
    const std::uint64_t tag = tag_;
    lock.unlock();
    Answer answer;
    if (const Status done = guarded([&] { answer = order(); }); !done) {
      answer.status = done;
      answer.is_lost = true;  // where the next frame begins nobody knows
    }
    answer.worker = worker_;
    answer.tag = tag;
    answer.at = std::chrono::steady_clock::now();
    lock.lock();
    // A worker that says ERROR is still there.
    if (channel_ != nullptr && !answer.status && channel_->connection().ended()) answer.is_lost = true;
    if (answer.is_lost && channel_ != nullptr) channel_->shutdown();
    answers_.push(std::move(answer));
  }
}

void WorkerLink::give(std::uint64_t tag, Order order) {
  const std::lock_guard lock(mutex_);
  order_ = std::move(order);
  tag_ = tag;
  changed_.notify_all();
}

template <class Message>
Result<Message> WorkerLink::receive(Answer& answer, std::uint64_t tag, std::uint64_t bytes_max, std::vector<std::byte>& payload) {
  TIDELINE_TRY(const Frame frame, channel_->receive(kNoDeadline));
  answer.at_fault = worker_;
  const auto refused = [&](Error error) -> Result<Message> {
    TIDELINE_CHECK_OK(channel_->skip_payload(frame, kNoDeadline));
    return error;
  };
  if (frame.header.type == wire::FrameType::kError) {
    const auto error = wire::decode<wire::ErrorMessage>(frame.meta, frame.header.payload_bytes);
    if (!error) return refused(error.error());
    if (const auto other = worker_of_name(error->node)) answer.at_fault = *other;
    return refused({error->code, error->message});
  }
  auto message = decode_train<Message>(frame);
  if (!message) return refused(message.error());
  if (frame.header.request_id != tag) return refused({ErrorCode::kCorrupt, "an answer to another question than was asked"});
  if (frame.header.payload_bytes > bytes_max)
    return refused({ErrorCode::kCorrupt, fmt::format("{} bytes, where {} are the most that such a model may take",
                                                     frame.header.payload_bytes, bytes_max)});
  payload.resize(static_cast<std::size_t>(frame.header.payload_bytes));
  const std::span<std::byte> piece(payload);
  if (!payload.empty()) TIDELINE_CHECK_OK(channel_->receive_payload(frame, {&piece, 1}, kNoDeadline));
  return message;
}

Status WorkerLink::connect(Transport& transport, const Address& address, const wire::Hello& hello) {
  TIDELINE_TRY(auto connection, transport.connect(address, deadline_in(limits::kConnectTimeout), &hang_up_));
  {
    const std::lock_guard lock(mutex_);
    channel_ = std::make_unique<Channel>(std::move(connection));
    if (closing_) channel_->shutdown();
  }
  TIDELINE_TRY([[maybe_unused]] const auto theirs, channel_->greet(hello, deadline_in(limits::kHandshakeTimeout)));
  return {};
}

Answer WorkerLink::set_up(std::uint64_t tag, const TrainSetup& message, const SharedBytes& model, const SharedBytes& state) {
  Answer answer;
  const std::span<const std::byte> pieces[] = {*model, *state};
  answer.status = send_train(*channel_, tag, message, pieces, kNoDeadline);
  if (!answer.status) return answer;
  std::vector<std::byte> none;
  if (auto ready = receive<TrainReady>(answer, tag, 0, none))
    answer.ready = *ready;
  else
    answer.status = ready.error();
  return answer;
}

void WorkerLink::call(std::uint64_t tag, Transport& transport, const Address& address, const wire::Hello& hello,
                      TrainSetup message, SharedBytes model, SharedBytes state) {
  give(tag, [this, tag, &transport, address, hello, message = std::move(message), model, state] {
    Answer answer;
    answer.status = connect(transport, address, hello);
    if (answer.status) answer = set_up(tag, message, model, state);
    answer.is_lost = !answer.status;
    return answer;
  });
}

void WorkerLink::setup(std::uint64_t tag, TrainSetup message, SharedBytes model, SharedBytes state) {
  give(tag, [this, tag, message = std::move(message), model, state] { return set_up(tag, message, model, state); });
}

void WorkerLink::work(std::uint64_t tag, TrainWork message, SharedBytes model) {
  give(tag, [this, message = std::move(message), model, tag] {
    Answer answer;
    const std::span<const std::byte> piece = model == nullptr ? std::span<const std::byte>() : std::span(*model);
    answer.status = send_train(*channel_, tag, message, piece.empty() ? ConstPieces{} : ConstPieces{&piece, 1}, kNoDeadline);
    if (!answer.status) return answer;
    std::vector<std::byte> payload;
    const bool is_central = message.members.empty();
    auto update = receive<TrainUpdate>(answer, tag, is_central ? codec_->bytes_max() : 0, payload);
    if (!update) {
      answer.status = update.error();
    } else if (answer.update = *update; update->round != message.round || update->attempt != message.attempt) {
      answer.status = Error{ErrorCode::kCorrupt, "an update of another round than was asked for"};
    } else if (is_central) {
      answer.numbers.resize(numbers_);
      answer.status = codec_->decode(payload, answer.numbers);
    }
    return answer;
  });
}

void WorkerLink::fetch(std::uint64_t tag, TrainFetch message) {
  give(tag, [this, message, tag] {
    Answer answer;
    answer.status = send_train(*channel_, tag, message, {}, kNoDeadline);
    if (!answer.status) return answer;
    const bool is_model = message.what == TrainFetch::What::kModel;
    const std::uint64_t most = numbers_ * (is_model ? sizeof(float) : kStateBytesPerNumber) + (is_model ? 0 : kSmallBytes);
    std::vector<std::byte> payload;
    const auto state = receive<TrainState>(answer, tag, most, payload);
    if (!state) {
      answer.status = state.error();
    } else if (state->what != message.what) {
      answer.status = Error{ErrorCode::kCorrupt, "an answer to another question than was asked"};
    } else if (!is_model) {
      answer.bytes = std::move(payload);
    } else {
      answer.numbers.resize(payload.size() / sizeof(float));
      if (!answer.numbers.empty()) std::memcpy(answer.numbers.data(), payload.data(), answer.numbers.size() * sizeof(float));
    }
    return answer;
  });
}

void WorkerLink::finish(SteadyTime deadline) {
  if (channel_ == nullptr) return;
  if (channel_->send(0, wire::Goodbye{.reason = "the run is over"}, deadline)) channel_->connection().finish(deadline);
}

}  // namespace tideline::train
