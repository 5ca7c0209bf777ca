#include "transport/channel.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"

namespace tideline {
namespace {

// Enough for any usual meta and for a whole small RESULT, so that one read gets it; little enough that copying what of a large
// payload comes with it costs nothing to speak of.
constexpr std::size_t kReadAheadBytes = 8192;

// A checksum over all pieces.
template <class Byte>
std::uint32_t crc32c_of(std::span<const std::span<Byte>> pieces) {
  std::uint32_t crc = 0;
  for (const auto& piece : pieces) crc = wire::crc32c(piece, crc);
  return crc;
}

bool is_error_code(std::uint16_t number) {
  return number >= static_cast<std::uint16_t>(ErrorCode::kInvalidArgument) &&
         number <= static_cast<std::uint16_t>(ErrorCode::kInfeasible);
}

}  // namespace

template <class Message>
Result<Message> decode(const Frame& frame) {
  if (frame.header.type == Message::kType) return wire::decode<Message>(frame.meta, frame.header.payload_bytes);
  if (frame.header.type == wire::FrameType::kError) {
    TIDELINE_TRY(const auto error, wire::decode<wire::ErrorMessage>(frame.meta, frame.header.payload_bytes));
    return wire::to_error(error);
  }
  return Error{ErrorCode::kCorrupt, "[wire] expected " + std::string(to_string(Message::kType)) + ", got " +
                                        std::string(to_string(frame.header.type))};
}

Channel::Channel(std::unique_ptr<Connection> connection) : connection_(std::move(connection)), buffer_(kReadAheadBytes) {}
Channel::~Channel() = default;

Result<wire::Hello> Channel::receive_hello(SteadyTime deadline) {
  std::array<std::byte, wire::kHelloBytes> bytes;
  const std::span<std::byte> piece(bytes);
  TIDELINE_CHECK_OK(connection_->receive({&piece, 1}, deadline));
  return wire::decode_hello(bytes);
}

Result<wire::Hello> Channel::greet(const wire::Hello& ours, SteadyTime deadline) {
  TIDELINE_TRY(const auto bytes, wire::encode_hello(ours));
  const std::span<const std::byte> piece(bytes);
  TIDELINE_CHECK_OK(connection_->send({&piece, 1}, deadline));
  TIDELINE_TRY(auto theirs, receive_hello(deadline));
  if (theirs.status != 0) {
    const ErrorCode code = is_error_code(theirs.status) ? static_cast<ErrorCode>(theirs.status) : ErrorCode::kInternal;
    return Error{code, "node " + theirs.name + " refused the connection: " + theirs.message};
  }
  TIDELINE_TRY(version_, wire::agree_version(ours, theirs));
  if (theirs.role != wire::Role::kNode || theirs.kind != ours.kind || theirs.session != ours.session) {
    return Error{ErrorCode::kCorrupt, "[wire] the reply to HELLO belongs to another connection"};
  }
  return theirs;
}

Result<wire::Hello> Channel::await_hello(SteadyTime deadline) { return receive_hello(deadline); }

Status Channel::welcome(const wire::Hello& ours, const wire::Hello& theirs, const Error* refusal, SteadyTime deadline) {
  const auto version = wire::agree_version(ours, theirs);
  if (refusal == nullptr && !version) refusal = &version.error();
  wire::Hello reply = ours;
  reply.role = wire::Role::kNode;
  reply.kind = theirs.kind;
  reply.session = theirs.session;
  reply.status = refusal == nullptr ? std::uint16_t{0} : static_cast<std::uint16_t>(refusal->code);
  reply.message = refusal == nullptr ? "" : refusal->message;
  TIDELINE_TRY(const auto bytes, wire::encode_hello(reply));
  const std::span<const std::byte> piece(bytes);
  TIDELINE_CHECK_OK(connection_->send({&piece, 1}, deadline));
  if (refusal != nullptr) {
    connection_->finish(deadline);
    return *refusal;
  }
  version_ = *version;
  return {};
}

template <class Message>
Status Channel::send(std::uint64_t request_id, const Message& message, ConstPieces payload, SteadyTime deadline,
                     const Pace* pace) {
  wire::FrameHeader header{.type = Message::kType, .request_id = request_id};
  for (const auto& piece : payload) header.payload_bytes += piece.size();
  head_.resize(wire::kFrameHeaderBytes);
  TIDELINE_CHECK_OK(wire::encode(message, head_));
  if (!wire::fits_payload(message, header.payload_bytes)) {
    return Error{ErrorCode::kInvalidArgument, "[wire] the payload of " + std::string(to_string(Message::kType)) + " has " +
                                                  std::to_string(header.payload_bytes) +
                                                  " bytes, not what the message announces"};
  }
  return send_encoded(header, payload, deadline, pace);
}

Status Channel::send_frame(std::uint64_t request_id, wire::FrameType type, std::span<const std::byte> meta, ConstPieces payload,
                           SteadyTime deadline) {
  wire::FrameHeader header{.type = type, .request_id = request_id};
  for (const auto& piece : payload) header.payload_bytes += piece.size();
  if (meta.size() > limits::kFrameMetaBytesMax || header.payload_bytes > limits::kFramePayloadBytesMax)
    return Error{ErrorCode::kInvalidArgument, "[wire] a frame is over its limits"};
  head_.resize(wire::kFrameHeaderBytes);
  head_.insert(head_.end(), meta.begin(), meta.end());
  return send_encoded(header, payload, deadline, nullptr);
}

Status Channel::send_encoded(wire::FrameHeader header, ConstPieces payload, SteadyTime deadline, const Pace* pace) {
  header.meta_bytes = static_cast<std::uint32_t>(head_.size() - wire::kFrameHeaderBytes);
  head_.resize(wire::frame_head_bytes(header.meta_bytes));
  header.meta_crc32c = wire::crc32c(std::span(head_).subspan(wire::kFrameHeaderBytes));
  if (checksum_payloads_ && header.payload_bytes > 0) {
    header.flags |= wire::kFlagPayloadChecksum;
    header.payload_crc32c = crc32c_of(payload);
  }
  const auto bytes = wire::encode_frame_header(header);
  std::memcpy(head_.data(), bytes.data(), bytes.size());
  gather_.assign(1, head_);
  if (pace != nullptr && header.payload_bytes > pace->bytes) return send_at_pace(payload, deadline, *pace);
  gather_.insert(gather_.end(), payload.begin(), payload.end());
  return connection_->send(gather_, deadline);
}

Status Channel::send_at_pace(ConstPieces payload, SteadyTime deadline, const Pace& pace) {
  std::size_t at = 0, within = 0, left = 0;  // left: of the whole payload
  for (const auto& piece : payload) left += piece.size();
  for (bool is_first = true; left > 0; is_first = false) {
    std::size_t bytes = std::min(pace.bytes, left);
    left -= bytes;
    if (!is_first) {
      pace.before(bytes);
      gather_.clear();
    }
    while (bytes > 0) {
      const std::span<const std::byte> part = payload[at].subspan(within, std::min(bytes, payload[at].size() - within));
      if (!part.empty()) gather_.push_back(part);
      bytes -= part.size();
      within += part.size();
      if (within == payload[at].size()) ++at, within = 0;
    }
    TIDELINE_CHECK_OK(connection_->send(gather_, deadline));
  }
  return {};
}

Status Channel::fill(std::size_t bytes, SteadyTime deadline) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ + bytes > buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, read_ahead());
    end_ -= begin_;
    begin_ = 0;
    if (bytes > buffer_.size()) {  // at most one largest meta: the header's numbers were checked
      Buffer larger(bytes);
      std::memcpy(larger.data(), buffer_.data(), end_);
      buffer_ = std::move(larger);
    }
  }
  while (read_ahead() < bytes) {
    TIDELINE_TRY(const std::size_t got, connection_->receive_some(buffer_.span().subspan(end_), deadline));
    end_ += got;
  }
  return {};
}

Result<Frame> Channel::receive(SteadyTime deadline) {
  TIDELINE_CHECK(payload_left_ == 0);
  if (corrupt_) return Error{ErrorCode::kCorrupt, "[wire] an earlier frame was damaged; the next one cannot be found"};
  TIDELINE_CHECK_OK(fill(wire::kFrameHeaderBytes, deadline));
  const auto decoded = wire::decode_frame_header(std::as_const(buffer_).span().subspan(begin_).first<wire::kFrameHeaderBytes>());
  if (!decoded) {
    corrupt_ = true;
    return decoded.error();
  }
  const wire::FrameHeader& header = *decoded;
  const std::size_t head_bytes = wire::frame_head_bytes(header.meta_bytes);
  TIDELINE_CHECK_OK(fill(head_bytes, deadline));
  const auto rest = std::as_const(buffer_).span().subspan(begin_, head_bytes).subspan(wire::kFrameHeaderBytes);
  const auto padding = rest.subspan(header.meta_bytes);
  if (wire::crc32c(rest) != header.meta_crc32c || std::ranges::any_of(padding, [](std::byte b) { return b != std::byte{0}; })) {
    corrupt_ = true;
    return Error{ErrorCode::kCorrupt, "[wire] the meta of a frame has a wrong checksum"};
  }
  begin_ += head_bytes;
  payload_left_ = header.payload_bytes;
  return Frame{header, rest.first(header.meta_bytes)};
}

Status Channel::receive_payload(const Frame& frame, Pieces pieces, SteadyTime deadline) {
  std::uint64_t total = 0;
  for (const auto& piece : pieces) total += piece.size();
  TIDELINE_CHECK(total == frame.header.payload_bytes && total == payload_left_);
  payload_left_ = 0;
  // First what was read ahead, then the rest straight from the connection.
  std::vector<std::span<std::byte>> rest;
  rest.reserve(pieces.size());
  for (const auto& piece : pieces) {
    const std::size_t here = std::min(piece.size(), read_ahead());
    if (here > 0) std::memcpy(piece.data(), buffer_.data() + begin_, here);
    begin_ += here;
    if (here < piece.size()) rest.push_back(piece.subspan(here));
  }
  if (!rest.empty()) {
    if (auto received = connection_->receive(rest, deadline); !received) {
      shutdown();
      return received;
    }
  }
  if ((frame.header.flags & wire::kFlagPayloadChecksum) != 0 && crc32c_of(pieces) != frame.header.payload_crc32c) {
    return Error{ErrorCode::kCorrupt,
                 "[wire] the payload of " + std::string(to_string(frame.header.type)) + " has a wrong checksum"};
  }
  return {};
}

Status Channel::skip_payload(const Frame& frame, SteadyTime deadline) {
  TIDELINE_CHECK(payload_left_ == frame.header.payload_bytes);
  const std::size_t here = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, read_ahead()));
  begin_ += here;
  payload_left_ -= here;
  std::vector<std::byte> waste(static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, 65536)));
  while (payload_left_ > 0) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, waste.size()));
    auto got = connection_->receive_some(std::span(waste).first(size), deadline);
    if (!got) {
      payload_left_ = 0;
      shutdown();
      return std::move(got).error();
    }
    payload_left_ -= *got;
  }
  return {};
}

Status receive_tensors(Channel& channel, const Frame& frame, std::span<const wire::WireTensor> tensors,
                       const TensorBuffer& buffer_for, SteadyTime deadline) {
  std::vector<std::span<std::byte>> pieces(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto buffer = buffer_for(i, tensors[i]);
    if (!buffer) {
      TIDELINE_CHECK_OK(channel.skip_payload(frame, deadline));
      return std::move(buffer).error();
    }
    TIDELINE_CHECK(buffer->size() == tensors[i].bytes);
    pieces[i] = *buffer;
  }
  return channel.receive_payload(frame, pieces, deadline);
}

#define TIDELINE_CHANNEL_MESSAGE(Message)                    \
  template Result<wire::Message> decode(const Frame& frame); \
  template Status Channel::send(std::uint64_t, const wire::Message&, ConstPieces, SteadyTime, const Pace*)

TIDELINE_CHANNEL_MESSAGE(ErrorMessage);
TIDELINE_CHANNEL_MESSAGE(Ping);
TIDELINE_CHANNEL_MESSAGE(Pong);
TIDELINE_CHANNEL_MESSAGE(Goodbye);
TIDELINE_CHANNEL_MESSAGE(HasSegments);
TIDELINE_CHANNEL_MESSAGE(SegmentsMissing);
TIDELINE_CHANNEL_MESSAGE(PutSegment);
TIDELINE_CHANNEL_MESSAGE(SegmentProgress);
TIDELINE_CHANNEL_MESSAGE(Install);
TIDELINE_CHANNEL_MESSAGE(Installed);
TIDELINE_CHANNEL_MESSAGE(Uninstall);
TIDELINE_CHANNEL_MESSAGE(Uninstalled);
TIDELINE_CHANNEL_MESSAGE(InstallProgram);
TIDELINE_CHANNEL_MESSAGE(ProgramInstalled);
TIDELINE_CHANNEL_MESSAGE(Forward);
TIDELINE_CHANNEL_MESSAGE(Credit);
TIDELINE_CHANNEL_MESSAGE(Run);
TIDELINE_CHANNEL_MESSAGE(RunResult);
TIDELINE_CHANNEL_MESSAGE(Cancel);
TIDELINE_CHANNEL_MESSAGE(GetStatus);
TIDELINE_CHANNEL_MESSAGE(NodeStatus);
TIDELINE_CHANNEL_MESSAGE(HireWorkers);
TIDELINE_CHANNEL_MESSAGE(WorkersHired);

}  // namespace tideline
