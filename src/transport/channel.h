// Channel: frames of the wire protocol over a Connection; the hot path of a request.
//
// A RUN or RESULT costs one gathering send; receiving costs one read for the header, the meta and small payloads, and one more
// (or as many as the operating system makes of it) that puts the tensors straight into the caller's buffers.
// One thread may send while another receives, as in Connection. Owns the connection.
//
//   TIDELINE_TRY(const Frame frame, channel.receive(deadline));
//   TIDELINE_TRY(const wire::Run run, decode<wire::Run>(frame));
//   TIDELINE_CHECK_OK(receive_tensors(channel, frame, run.tensors, allocate, deadline));
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "transport/transport.h"
#include "wire/messages.h"

namespace tideline {

// A frame whose payload is still to be received. `meta` is valid until the channel's next receive.
struct Frame {
  wire::FrameHeader header;
  std::span<const std::byte> meta;
};

// The message of a frame, checked. kCorrupt also when the frame is of another type; an ERROR frame becomes its Error.
template <class Message>
Result<Message> decode(const Frame& frame);

// How a payload leaves that lets others go first: the first `bytes` of it with its head, then as many at a time, each after
// before(), which may wait.
struct Pace {
  std::size_t bytes = 0;                    // above 0
  std::function<void(std::size_t)> before;  // with the bytes that leave next
};

class Channel {
 public:
  explicit Channel(std::unique_ptr<Connection> connection);
  ~Channel();

  // The calling end: sends `ours` and waits for the reply. A refusal comes back as its Error; a peer without a common version as
  // kUnsupported; another protocol's bytes as kCorrupt. After success agreed() holds.
  Result<wire::Hello> greet(const wire::Hello& ours, SteadyTime deadline);
  // The accepting end: first the caller's HELLO, then the reply. welcome with `refusal` sends it, ends the connection politely
  // and returns the refusal.
  Result<wire::Hello> await_hello(SteadyTime deadline);
  Status welcome(const wire::Hello& ours, const wire::Hello& theirs, const Error* refusal, SteadyTime deadline);
  std::uint16_t version() const { return version_; }
  // Sends checksums of payloads from now on. REQUIRES: both sides have kCapPayloadChecksum.
  void checksum_payloads(bool on) { checksum_payloads_ = on; }

  // Message and payload in one go, or at a pace. The pieces of the payload are read in place. kInvalidArgument when a limit does
  // not hold or the payload is not what the message announces; nothing is sent then.
  template <class Message>
  Status send(std::uint64_t request_id, const Message& message, ConstPieces payload, SteadyTime deadline,
              const Pace* pace = nullptr);
  template <class Message>
  Status send(std::uint64_t request_id, const Message& message, SteadyTime deadline) {
    return send(request_id, message, ConstPieces{}, deadline);
  }

  // A frame that came from elsewhere, passed on as it is under another id.
  Status send_frame(std::uint64_t request_id, wire::FrameType type, std::span<const std::byte> meta, ConstPieces payload,
                    SteadyTime deadline);

  // The next frame's header and meta. The payload of the frame before must have been received or skipped (REQUIRES).
  // kDeadlineExceeded loses nothing: call again. Bytes that are no frame: kCorrupt, now and at every later call; one may still
  // say ERROR before the end.
  Result<Frame> receive(SteadyTime deadline);
  // The whole payload into `pieces`, whose sizes add up to header.payload_bytes (REQUIRES). kCorrupt when its checksum is wrong
  // (the connection can go on). After any other error the connection is shut down.
  Status receive_payload(const Frame& frame, Pieces pieces, SteadyTime deadline);
  // Reads the payload and forgets it.
  Status skip_payload(const Frame& frame, SteadyTime deadline);

  // Whether a payload is still to be received or skipped. Of the receiving thread.
  bool owes_payload() const { return payload_left_ > 0; }

  Connection& connection() { return *connection_; }
  void shutdown() { connection_->shutdown(); }  // any thread

 private:
  Status send_encoded(wire::FrameHeader header, ConstPieces payload, SteadyTime deadline, const Pace* pace);
  Status send_at_pace(ConstPieces payload, SteadyTime deadline, const Pace& pace);
  // Until at least that many bytes have been read ahead.
  Status fill(std::size_t bytes, SteadyTime deadline);
  std::size_t read_ahead() const { return end_ - begin_; }
  Result<wire::Hello> receive_hello(SteadyTime deadline);

  std::unique_ptr<Connection> connection_;
  std::uint16_t version_ = 0;
  bool checksum_payloads_ = false;
  // Of the sending thread.
  std::vector<std::byte> head_;
  std::vector<std::span<const std::byte>> gather_;
  // Of the receiving thread: what was read ahead is buffer_[begin_, end_).
  bool corrupt_ = false;
  Buffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t payload_left_ = 0;
};

// Gives the buffer for tensor `position` of the list, of exactly tensor.bytes bytes; checks what it likes first (dtype and shape
// against the stage's). Its error ends the request, not the connection.
using TensorBuffer = std::function<Result<std::span<std::byte>>(std::size_t position, const wire::WireTensor& tensor)>;

// Receives a RUN's or RESULT's tensors straight into buffers that `buffer_for` gives, all asked before the first byte is read.
// When it refuses, the payload is skipped, its error is returned and the connection can go on. REQUIRES: `tensors` was decoded
// from `frame`.
Status receive_tensors(Channel& channel, const Frame& frame, std::span<const wire::WireTensor> tensors,
                       const TensorBuffer& buffer_for, SteadyTime deadline);

}  // namespace tideline
