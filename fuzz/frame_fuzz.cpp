// Any bytes as a stream of frames. The first byte says in what pieces they arrive and whether the checksums are made right first,
// as a liar would: a fuzzer does not guess CRCs. What is accepted must be written again as it was read.
#include <cstdlib>
#include <vector>

#include "stranger.h"
#include "transport/channel.h"
#include "wire/codec.h"

using namespace tideline;

namespace {

// Repairs what can be found: frame after frame, as long as the lengths stay inside.
void repair(std::vector<std::byte>& bytes) {
  for (std::size_t at = 0; at + wire::kFrameHeaderBytes <= bytes.size();) {
    std::byte* header = bytes.data() + at;
    const std::size_t head = wire::frame_head_bytes(wire::load_le<std::uint32_t>(header + 24));
    const auto payload = wire::load_le<std::uint64_t>(header + 16);
    if (head <= bytes.size() - at) {
      wire::store_le(header + 28, wire::crc32c(std::span(bytes).subspan(at, head).subspan(wire::kFrameHeaderBytes)));
    }
    wire::store_le(header + 36, wire::crc32c(std::span(bytes).subspan(at, 36)));
    if (head > bytes.size() - at || payload > bytes.size() - at - head) return;
    at += head + static_cast<std::size_t>(payload);
  }
}

template <class Message>
void check_round_trip(const Frame& frame) {
  if (frame.header.type != Message::kType) return;
  const auto message = wire::decode<Message>(frame.meta, frame.header.payload_bytes);
  if (!message) {
    if (message.error().code != ErrorCode::kCorrupt) std::abort();
    return;
  }
  std::vector<std::byte> meta;
  if (!wire::encode(*message, meta) || !std::equal(meta.begin(), meta.end(), frame.meta.begin(), frame.meta.end())) std::abort();
}

template <class... Messages>
void check_all(const Frame& frame) {
  (check_round_trip<Messages>(frame), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, reinterpret_cast<const std::byte*>(data) + size);
  if ((data[0] & 1) != 0) repair(bytes);
  Channel channel(std::make_unique<Stranger>(bytes, (data[0] & 2) != 0 ? 1 + data[0] / 4u : bytes.size()));
  std::vector<std::byte> room(1 << 16);
  while (true) {
    const auto frame = channel.receive(kNoDeadline);
    if (!frame) break;
    using namespace wire;
    check_all<ErrorMessage, Ping, Pong, Goodbye, HasSegments, SegmentsMissing, PutSegment, SegmentProgress, Install, Installed,
              Uninstall, Uninstalled, InstallProgram, ProgramInstalled, Forward, Run, RunResult, Cancel, Credit, GetStatus,
              NodeStatus, HireWorkers, WorkersHired>(*frame);
    const auto run = decode<Run>(*frame);
    if (run) {
      std::size_t used = 0;
      const auto buffer_for = [&](std::size_t, const WireTensor& tensor) -> Result<std::span<std::byte>> {
        if (tensor.bytes > room.size() - used) return Error{ErrorCode::kInvalidArgument, "no room"};
        used += tensor.bytes;
        return std::span(room).subspan(used - tensor.bytes, tensor.bytes);
      };
      const Status received = receive_tensors(channel, *frame, run->tensors, buffer_for, kNoDeadline);
      if (!received && received.error().code == ErrorCode::kDisconnected) break;
    } else if (!channel.skip_payload(*frame, kNoDeadline)) {
      break;
    }
  }
  return 0;
}
