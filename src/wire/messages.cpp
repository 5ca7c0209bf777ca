// One visit() per message: the order of its fields and what they may be, for Writer and Reader alike.
#include "wire/messages.h"

#include <fmt/format.h>

#include "base/name.h"
#include "wire/codec.h"

namespace tideline::wire {
namespace {

// What visit() gets: a message to fill when reading, a constant one when writing.
template <class Codec, class Message>
using Ref = std::conditional_t<Codec::kReading, Message&, const Message&>;

template <class Codec>
void visit(Codec& codec, Ref<Codec, ErrorMessage> message) {
  codec.number(message.code);
  codec.require(message.code >= ErrorCode::kInvalidArgument && message.code <= ErrorCode::kInfeasible,
                "has an unknown error code");
  codec.name(message.node, true);
  codec.message(message.message, limits::kWireMessageBytesMax);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Ping> message) {
  codec.number(message.reply_bytes);
  codec.require(message.reply_bytes <= limits::kPingPayloadBytesMax, "asks for too large an echo");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Pong> message) {
  codec.number(message.received_bytes);
  codec.number(message.receive_ns);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Goodbye> message) {
  codec.message(message.reason, limits::kWireMessageBytesMax);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, HasSegments> message) {
  codec.list(message.hashes, limits::kWireHashesMax, [](Codec& c, auto& hash) { c.hash(hash); });
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, SegmentsMissing> message) {
  codec.list(message.missing, limits::kWireHashesMax, [](Codec& c, auto& entry) {
    c.hash(entry.hash);
    c.number(entry.have_bytes);
    c.require(entry.have_bytes <= limits::kSegmentBytesMax, "has more of a segment than is allowed");
  });
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, PutSegment> message) {
  codec.hash(message.hash);
  codec.number(message.total_bytes);
  codec.number(message.offset);
  codec.require(message.total_bytes >= 1 && message.total_bytes <= limits::kSegmentBytesMax,
                "announces an empty or too large segment");
  codec.require(message.offset < message.total_bytes, "has an offset behind the segment's end");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, SegmentProgress> message) {
  codec.hash(message.hash);
  codec.number(message.have_bytes);
  codec.flag(message.complete);
  codec.require(message.have_bytes <= limits::kSegmentBytesMax, "has more of a segment than is allowed");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Install> message) {
  codec.number(message.epoch);
  codec.number(message.stage);
  codec.number(message.stages);
  codec.require(message.stages >= 1 && message.stages <= limits::kPlanHopsMax && message.stage < message.stages,
                "has a stage outside the plan, or a plan with too many");
  bool has_segment = message.segment.has_value();
  codec.flag(has_segment);
  if (has_segment) {
    if constexpr (Codec::kReading) message.segment.emplace();
    codec.hash(*message.segment);
  }
  const auto name = [](Codec& c, auto& text) { c.text(text, limits::kWireTextBytesMax); };
  codec.list(message.inputs, limits::kFrameTensorsMax, name);
  codec.list(message.outputs, limits::kFrameTensorsMax, name);
  codec.require(has_segment || message.inputs == message.outputs, "passes on other tensors than it gets");
  codec.name(message.next_node, true);
  codec.message(message.next_address, limits::kWireMessageBytesMax);
  const bool last = message.stage + 1 == message.stages;
  codec.require(last == message.next_node.empty() && last == message.next_address.empty(),
                "names a next node at the last stage, or none before it");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Installed> message) {
  codec.number(message.epoch);
  codec.number(message.stage);
  codec.number(message.load_ns);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Uninstall> message) {
  codec.number(message.epoch);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Uninstalled> message) {
  codec.number(message.stages);
}

template <class Codec>
void visit_names(Codec& codec, Ref<Codec, std::vector<std::string>> names) {
  codec.list(names, limits::kFrameTensorsMax, [](Codec& c, auto& text) { c.text(text, limits::kWireTextBytesMax); });
}

template <class Codec>
void visit_share(Codec& codec, Ref<Codec, Share> share, bool calls) {
  codec.number(share.compute_ppm);
  codec.number(share.burst_ms);
  codec.number(share.link_bytes_per_s);
  codec.number(share.link_total_bytes_per_s);
  codec.require(share.compute_ppm <= limits::kShareMax && share.burst_ms <= limits::kShareBurstMsMax, "has too large a share");
  codec.require(share.compute_ppm > 0 || share.link_bytes_per_s > 0, "says that it has a share, and has none");
  codec.require(share.link_bytes_per_s == 0 ? share.link_total_bytes_per_s == 0
                                            : calls && share.link_bytes_per_s <= share.link_total_bytes_per_s,
                "has a share of no link, or more than there is");
  codec.require(share.link_total_bytes_per_s <= limits::kShareLinkBytesMax, "has a link of no real speed");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, InstallProgram> message) {
  codec.number(message.epoch);
  int previous = -1;
  codec.list(message.stages, limits::kPlanStagesMax, [&previous](Codec& c, auto& stage) {
    c.number(stage.id);
    c.require(stage.id<limits::kPlanStagesMax&& static_cast<int>(stage.id)> previous, "has stages out of order, or one too many");
    previous = static_cast<int>(stage.id);
    bool has_segment = stage.segment.has_value();
    c.flag(has_segment);
    if (has_segment) {
      if constexpr (Codec::kReading) stage.segment.emplace();
      c.hash(*stage.segment);
    }
    visit_names<Codec>(c, stage.inputs);
    visit_names<Codec>(c, stage.outputs);
    c.require(!stage.inputs.empty(), "has a stage without tensors");
    c.flag(stage.on_answer);
    c.number(stage.after);
    c.require(stage.on_answer ? stage.after < stage.id : stage.after == 0, "has a stage that fires before what it waits for");
    // Bit 1: codecs follow, which raw ones need not. Bit 2: a share does, unless there is none.
    constexpr tideline::Codec kNone;
    auto flags = static_cast<std::uint8_t>((stage.calls ? 1 : 0) | (stage.codec_in != kNone || stage.codec_out != kNone ? 2 : 0) |
                                           (stage.share != Share{} ? 4 : 0));
    c.number(flags);
    c.require(flags <= 7, "has a stage with unknown flags");
    if constexpr (Codec::kReading) stage.calls = (flags & 1) != 0;
    c.require(!stage.outputs.empty() || !stage.calls, "has a stage that calls without tensors");
    c.number(stage.next);
    c.name(stage.next_node, true);
    c.message(stage.next_address, limits::kWireMessageBytesMax);
    c.require(stage.calls == !stage.next_node.empty() && stage.calls == !stage.next_address.empty(),
              "names a next node where none is called, or none where one is");
    c.require(stage.calls ? stage.next > stage.id && stage.next < limits::kPlanStagesMax : stage.next == 0,
              "calls a stage that has been passed already");
    if ((flags & 2) != 0) {
      for (auto* end : {&stage.codec_in, &stage.codec_out}) {
        c.number(end->scheme);
        c.number(end->packing);
      }
      c.require(stage.codec_in != kNone || stage.codec_out != kNone, "says that it has codecs, and has none");
    }
    if ((flags & 4) != 0) visit_share<Codec>(c, stage.share, stage.calls);
  });
  codec.require(!message.stages.empty(), "has no stage");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, ProgramInstalled> message) {
  codec.number(message.epoch);
  codec.number(message.load_ns);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Forward> message) {
  codec.list(message.path, limits::kForwardHopsMax, [](Codec& c, auto& hop) {
    c.name(hop.node);
    c.message(hop.address, limits::kWireMessageBytesMax);
  });
  codec.require(!message.path.empty(), "goes nowhere");
  codec.number(message.inner);
  codec.require(is_forwardable(message.inner), "carries what may not be forwarded");
  codec.blob(message.meta);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Credit> message) {
  codec.number(message.requests);
  codec.number(message.bytes);
}

bool fits_encoded(std::uint64_t bytes, std::uint64_t raw_bytes, std::size_t rank) {
  return bytes >= encoded_head_bytes(rank) && bytes - encoded_head_bytes(rank) <= raw_bytes;
}

// What the stages at `index` of a RESULT's list took for their codecs.
struct StageCoding {
  std::uint16_t index = 0;
  std::uint64_t decode_ns = 0;
  std::uint64_t encode_ns = 0;
};
std::vector<StageCoding> codings_of(const std::vector<StageTiming>& stages) {
  std::vector<StageCoding> codings;
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (stages[i].decode_ns > 0 || stages[i].encode_ns > 0)
      codings.push_back({static_cast<std::uint16_t>(i), stages[i].decode_ns, stages[i].encode_ns});
  return codings;
}
template <class Codec>
void visit_coding(Codec& codec, Ref<Codec, StageCoding> coding) {
  codec.number(coding.index);
  codec.number(coding.decode_ns);
  codec.number(coding.encode_ns);
}

template <class Codec>
void visit_tensors(Codec& codec, Ref<Codec, std::vector<WireTensor>> tensors) {
  int previous = -1;
  codec.list(tensors, limits::kFrameTensorsMax, [&previous](Codec& c, auto& tensor) {
    c.number(tensor.index);
    c.require(tensor.index > previous, "has tensors out of order or twice");
    previous = tensor.index;
    c.number(tensor.dtype);
    c.number(tensor.encoding);
    c.require(tensor.encoding == Encoding::kRaw || tensor.encoding == Encoding::kCoded, "has a tensor in an unknown encoding");
    auto rank = static_cast<std::uint8_t>(tensor.shape.size());
    c.require(tensor.shape.size() <= limits::kTensorRankMax, "has a tensor with too many dimensions");
    c.number(rank);
    c.require(rank <= limits::kTensorRankMax, "has a tensor with too many dimensions");
    if constexpr (Codec::kReading) tensor.shape.resize(rank <= limits::kTensorRankMax ? rank : 0);
    for (auto& dimension : tensor.shape) c.number(dimension);
    c.number(tensor.bytes);
    const auto expected = byte_size(tensor.dtype, tensor.shape);
    const bool fits =
        expected && (tensor.encoding == Encoding::kRaw ? *expected == tensor.bytes
                                                       : fits_encoded(tensor.bytes, *expected, tensor.shape.size()));
    c.require(fits, "has a tensor whose size is not what its type and shape say");
    c.require(expected && *expected <= limits::kFramePayloadBytesMax, "has a tensor that is too large for a frame");
  });
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, Run> message) {
  codec.number(message.epoch);
  codec.number(message.stage);
  codec.require(message.stage < limits::kPlanStagesMax, "has a stage that no plan has");
  codec.number(message.deadline_us);
  visit_tensors(codec, message.tensors);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, RunResult> message) {
  codec.number(message.epoch);
  visit_tensors(codec, message.tensors);
  codec.list(message.stages, limits::kPlanHopsMax, [](Codec& c, auto& timing) {
    c.name(timing.node);
    c.number(timing.stage);
    c.number(timing.receive_ns);
    c.number(timing.queue_ns);
    c.number(timing.compute_ns);
    c.number(timing.send_ns);
    c.number(timing.wait_ns);
    c.number(timing.return_ns);
    c.number(timing.total_ns);
    c.number(timing.input_bytes);
    c.number(timing.output_bytes);
  });
  // Behind the rest, and only where there is something to say.
  std::vector<StageCoding> codings = codings_of(message.stages);
  if constexpr (Codec::kReading) {
    if (codec.at_end()) return;
    codec.list(codings, limits::kPlanHopsMax, visit_coding<Codec>);
    codec.require(!codings.empty(), "has an empty list of codings");
    int previous = -1;
    for (const StageCoding& coding : codings) {
      codec.require(coding.index > previous && coding.index < message.stages.size(), "times the codings of no stage");
      codec.require(coding.decode_ns > 0 || coding.encode_ns > 0, "times codings that there were not");
      previous = coding.index;
      if (coding.index >= message.stages.size()) return;
      message.stages[coding.index].decode_ns = coding.decode_ns;
      message.stages[coding.index].encode_ns = coding.encode_ns;
    }
  } else if (!codings.empty()) {
    codec.list(codings, limits::kPlanHopsMax, visit_coding<Codec>);
  }
}

template <class Codec>
void visit(Codec&, Ref<Codec, Cancel>) {}

template <class Codec>
void visit(Codec&, Ref<Codec, GetStatus>) {}

template <class Codec>
void visit(Codec& codec, Ref<Codec, NodeStatus> message) {
  codec.name(message.name);
  codec.message(message.version, limits::kWireMessageBytesMax);
  codec.message(message.engine, limits::kWireMessageBytesMax);
  codec.number(message.threads);
  codec.number(message.uptime_ms);
  codec.number(message.memory_bytes);
  codec.number(message.memory_limit_bytes);
  codec.number(message.connections);
  codec.number(message.segments_stored);
  codec.number(message.segments_loaded);
  codec.number(message.requests_done);
  codec.number(message.requests_failed);
  codec.number(message.requests_running);
  codec.flag(message.draining);
  // Behind the rest, and only where there is something to say.
  if constexpr (Codec::kReading) {
    if (codec.at_end()) return;
  } else if (message.segments_dropped == 0 && message.segments_reloaded == 0) {
    return;
  }
  codec.number(message.segments_dropped);
  codec.number(message.segments_reloaded);
  codec.require(message.segments_dropped > 0 || message.segments_reloaded > 0, "counts segments that were not dropped");
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, HireWorkers> message) {
  codec.number(message.first);
  codec.number(message.count);
  codec.require(message.count >= 1 && message.count <= limits::kNodeWorkersMax && message.first < limits::kTrainWorkersMax,
                "asks for no workers, or for too many");
  codec.text(message.data, limits::kTrainDataWordBytesMax);
}

template <class Codec>
void visit(Codec& codec, Ref<Codec, WorkersHired> message) {
  codec.list(message.ports, limits::kNodeWorkersMax, [](Codec& c, auto& port) { c.number(port); });
}

// Cannot wrap: each is at most kFramePayloadBytesMax, and there are at most kFrameTensorsMax.
std::uint64_t sum_of_bytes(const std::vector<WireTensor>& tensors) {
  std::uint64_t sum = 0;
  for (const WireTensor& tensor : tensors) sum += tensor.bytes;
  return sum;
}
static_assert(limits::kFramePayloadBytesMax <= (~std::uint64_t{0}) / limits::kFrameTensorsMax);

}  // namespace

bool is_forwardable(FrameType type) {
  switch (type) {
    case FrameType::kHasSegments:
    case FrameType::kPutSegment:
    case FrameType::kInstall:
    case FrameType::kInstallProgram:
    case FrameType::kUninstall:
    case FrameType::kGetStatus:
    case FrameType::kPing: return true;
    default: return false;
  }
}

ErrorMessage to_message(const Error& error, std::string_view node) {
  return {error.code, is_name(node) ? std::string(node) : std::string(), error.message};
}

Error to_error(const ErrorMessage& message) {
  if (message.node.empty()) return {message.code, message.message};
  return {message.code, "node " + message.node + ": " + message.message};
}

Result<WireTensor> coded_tensor(std::uint16_t index, DType dtype, std::span<const std::int64_t> shape, std::uint64_t bytes) {
  TIDELINE_TRY(const Bytes raw_bytes, byte_size(dtype, shape));
  if (!fits_encoded(bytes, raw_bytes, shape.size()))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[wire] an encoded tensor has {} bytes for {}", bytes, raw_bytes)};
  return WireTensor{index, dtype, Encoding::kCoded, {shape.begin(), shape.end()}, bytes};
}

Result<WireTensor> wire_tensor(std::uint16_t index, DType dtype, std::span<const std::int64_t> shape) {
  TIDELINE_TRY(const Bytes bytes, byte_size(dtype, shape));
  return WireTensor{.index = index, .dtype = dtype, .shape = {shape.begin(), shape.end()}, .bytes = bytes};
}

template <class Message>
Status encode(const Message& message, std::vector<std::byte>& meta) {
  const std::size_t before = meta.size();
  Writer writer(meta);
  visit(writer, message);
  writer.require(meta.size() - before <= limits::kFrameMetaBytesMax, "its meta is over 64 KiB");
  return writer.status();
}

template <class Message>
bool fits_payload(const Message& message, std::uint64_t payload_bytes) {
  if constexpr (std::is_same_v<Message, Ping> || std::is_same_v<Message, Pong> || std::is_same_v<Message, Forward>) {
    return payload_bytes <= limits::kPingPayloadBytesMax;
  } else if constexpr (std::is_same_v<Message, PutSegment>) {
    return payload_bytes >= 1 && payload_bytes <= limits::kSegmentPieceBytes &&
           payload_bytes <= message.total_bytes - message.offset;
  } else if constexpr (std::is_same_v<Message, Run> || std::is_same_v<Message, RunResult>) {
    return payload_bytes <= limits::kFramePayloadBytesMax && payload_bytes == sum_of_bytes(message.tensors);
  } else {
    return payload_bytes == 0;
  }
}

template <class Message>
Result<Message> decode(std::span<const std::byte> meta, std::uint64_t payload_bytes) {
  Reader reader(meta);
  Message message;
  visit(reader, message);
  TIDELINE_CHECK_OK(reader.status());
  if (!fits_payload(message, payload_bytes)) {
    return Error{ErrorCode::kCorrupt,
                 "[wire] " + std::string(to_string(Message::kType)) + " has a payload of another size than it announces"};
  }
  return message;
}

#define TIDELINE_WIRE_MESSAGE(Message)                             \
  template Status encode(const Message&, std::vector<std::byte>&); \
  template bool fits_payload(const Message&, std::uint64_t);       \
  template Result<Message> decode(std::span<const std::byte>, std::uint64_t)

TIDELINE_WIRE_MESSAGE(ErrorMessage);
TIDELINE_WIRE_MESSAGE(Ping);
TIDELINE_WIRE_MESSAGE(Pong);
TIDELINE_WIRE_MESSAGE(Goodbye);
TIDELINE_WIRE_MESSAGE(HasSegments);
TIDELINE_WIRE_MESSAGE(SegmentsMissing);
TIDELINE_WIRE_MESSAGE(PutSegment);
TIDELINE_WIRE_MESSAGE(SegmentProgress);
TIDELINE_WIRE_MESSAGE(Install);
TIDELINE_WIRE_MESSAGE(Installed);
TIDELINE_WIRE_MESSAGE(Uninstall);
TIDELINE_WIRE_MESSAGE(Uninstalled);
TIDELINE_WIRE_MESSAGE(InstallProgram);
TIDELINE_WIRE_MESSAGE(ProgramInstalled);
TIDELINE_WIRE_MESSAGE(Forward);
TIDELINE_WIRE_MESSAGE(Credit);
TIDELINE_WIRE_MESSAGE(Run);
TIDELINE_WIRE_MESSAGE(RunResult);
TIDELINE_WIRE_MESSAGE(Cancel);
TIDELINE_WIRE_MESSAGE(GetStatus);
TIDELINE_WIRE_MESSAGE(NodeStatus);
TIDELINE_WIRE_MESSAGE(HireWorkers);
TIDELINE_WIRE_MESSAGE(WorkersHired);

}  // namespace tideline::wire
