#include "train/protocol/messages.h"

#include <bit>
#include <type_traits>

#include <fmt/format.h>

#include "base/limits.h"
#include "wire/codec.h"

namespace tideline::train {
namespace {

// One function for each message both writes and reads it, as in wire/messages.cpp.
template <class Codec, class T>
using TrainRef = std::conditional_t<Codec::kReading, T&, const T&>;

template <class Codec>
void visit_real(Codec& codec, TrainRef<Codec, double> value) {
  auto bits = std::bit_cast<std::uint64_t>(value);
  codec.number(bits);
  if constexpr (Codec::kReading) value = std::bit_cast<double>(bits);
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainSetup> message) {
  codec.number(message.worker);
  codec.number(message.workers);
  codec.require(message.workers >= 1 && message.workers <= limits::kTrainWorkersMax && message.worker < message.workers,
                "has a worker that there is not, or too many");
  codec.blob(message.job);
  codec.require(message.job.size() <= limits::kTrainJobBytesMax, "has a job that is too long");
  codec.number(message.model_bytes);
  codec.number(message.state_bytes);
  codec.require(message.model_bytes >= 1 && message.model_bytes <= limits::kTrainModelBytesMax, "has no model, or one too large");
  codec.require(message.state_bytes <= limits::kTrainStateBytesMax, "has a state that is too large");
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainReady> message) {
  codec.number(message.samples);
  codec.number(message.parameters);
  codec.number(message.buffers);
  constexpr std::uint64_t kNumbersMax = limits::kTrainModelBytesMax / sizeof(float);
  codec.require(message.parameters <= kNumbersMax && message.buffers <= kNumbersMax, "has more numbers than a model may");
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainWork> message) {
  codec.number(message.round);
  codec.number(message.rounds);
  codec.number(message.attempt);
  codec.flag(message.commit);
  std::int64_t previous = -1;
  codec.list(message.members, limits::kTrainWorkersMax, [&previous](Codec& c, auto& member) {
    c.number(member.worker);
    c.require(member.worker<limits::kTrainWorkersMax&& static_cast<std::int64_t>(member.worker)> previous,
              "has members out of order, or one that there is not");
    previous = member.worker;
    c.message(member.address, limits::kHostBytesMax + 8);
  });
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainUpdate> message) {
  codec.number(message.round);
  codec.number(message.attempt);
  codec.number(message.samples);
  codec.number(message.correct);
  codec.require(message.correct <= message.samples, "has more right answers than samples");
  visit_real(codec, message.loss);
  codec.number(message.compute_ns);
  codec.number(message.peer_sent_bytes);
  codec.number(message.peer_received_bytes);
  codec.number(message.replica_crc32c);
}

template <class Codec>
void visit_what(Codec& codec, TrainRef<Codec, TrainFetch::What> what) {
  codec.number(what);
  codec.require(what == TrainFetch::What::kModel || what == TrainFetch::What::kState, "asks for what no worker has");
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainFetch> message) {
  visit_what<Codec>(codec, message.what);
  codec.flag(message.commit);
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainState> message) {
  visit_what<Codec>(codec, message.what);
}

template <class Codec>
void visit(Codec& codec, TrainRef<Codec, TrainPiece> message) {
  codec.number(message.round);
  codec.number(message.attempt);
  codec.number(message.step);
}

}  // namespace

template <class Message>
Status encode_train(const Message& message, std::vector<std::byte>& meta) {
  const std::size_t before = meta.size();
  wire::Writer writer(meta);
  visit(writer, message);
  writer.require(meta.size() - before <= limits::kFrameMetaBytesMax, "its meta is over 64 KiB");
  return writer.status();
}

template <class Message>
bool fits_train_payload(const Message& message, std::uint64_t payload_bytes) {
  if constexpr (std::is_same_v<Message, TrainSetup>) {
    return payload_bytes == message.model_bytes + message.state_bytes;
  } else if constexpr (std::is_same_v<Message, TrainWork>) {
    return payload_bytes <= limits::kTrainModelBytesMax && payload_bytes % sizeof(float) == 0;
  } else if constexpr (std::is_same_v<Message, TrainPiece>) {
    return payload_bytes <= limits::kTrainUpdateBytesMax && payload_bytes % sizeof(float) == 0;
  } else if constexpr (std::is_same_v<Message, TrainUpdate>) {
    return payload_bytes <= limits::kTrainUpdateBytesMax;
  } else if constexpr (std::is_same_v<Message, TrainState>) {
    return payload_bytes <=
           (message.what == TrainFetch::What::kModel ? limits::kTrainModelBytesMax : limits::kTrainStateBytesMax);
  } else {
    return payload_bytes == 0;
  }
}

template <class Message>
Result<Message> decode_train(std::span<const std::byte> meta, std::uint64_t payload_bytes) {
  wire::Reader reader(meta);
  Message message;
  visit(reader, message);
  TIDELINE_CHECK_OK(reader.status());
  if (!fits_train_payload(message, payload_bytes))
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[train] {} has a payload of another size than it may", to_string(Message::kType))};
  return message;
}

template <class Message>
Result<Message> decode_train(const Frame& frame) {
  if (frame.header.type == Message::kType) return decode_train<Message>(frame.meta, frame.header.payload_bytes);
  if (frame.header.type == wire::FrameType::kError) {
    TIDELINE_TRY(const auto error, wire::decode<wire::ErrorMessage>(frame.meta, frame.header.payload_bytes));
    return wire::to_error(error);
  }
  return Error{ErrorCode::kCorrupt,
               fmt::format("[train] expected {}, got {}", to_string(Message::kType), to_string(frame.header.type))};
}

template <class Message>
Status send_train(Channel& channel, std::uint64_t id, const Message& message, ConstPieces payload, SteadyTime deadline) {
  std::vector<std::byte> meta;
  TIDELINE_CHECK_OK(encode_train(message, meta));
  std::uint64_t bytes = 0;
  for (const auto& piece : payload) bytes += piece.size();
  if (!fits_train_payload(message, bytes))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[train] {} cannot carry {} bytes", to_string(Message::kType), bytes)};
  return channel.send_frame(id, Message::kType, meta, payload, deadline);
}

#define TIDELINE_TRAIN_MESSAGE(Message)                                             \
  template Status encode_train(const Message&, std::vector<std::byte>&);            \
  template bool fits_train_payload(const Message&, std::uint64_t);                  \
  template Result<Message> decode_train(std::span<const std::byte>, std::uint64_t); \
  template Result<Message> decode_train(const Frame&);                              \
  template Status send_train(Channel&, std::uint64_t, const Message&, ConstPieces, SteadyTime)

TIDELINE_TRAIN_MESSAGE(TrainSetup);
TIDELINE_TRAIN_MESSAGE(TrainReady);
TIDELINE_TRAIN_MESSAGE(TrainWork);
TIDELINE_TRAIN_MESSAGE(TrainUpdate);
TIDELINE_TRAIN_MESSAGE(TrainFetch);
TIDELINE_TRAIN_MESSAGE(TrainState);
TIDELINE_TRAIN_MESSAGE(TrainPiece);

}  // namespace tideline::train
