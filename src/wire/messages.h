// The messages of the wire protocol as plain structs, and their bytes. The specification is wire/protocol.md.
//
// Values; functions without state: thread-safe. No sockets, no threads: transport/channel.h moves the bytes.
// A decoder reads what a stranger sent: every length is checked against base/limits.h before anything is allocated, every byte
// must be accounted for, and anything wrong is kCorrupt. An encoder refuses with kInvalidArgument what its decoder would refuse.
//
//   std::vector<std::byte> meta;
//   TIDELINE_CHECK_OK(encode(Run{.epoch = 7, .stage = 0, .deadline_us = 50'000, .tensors = {{...}}}, meta));
//   TIDELINE_TRY(const Run run, decode<Run>(meta, payload_bytes));
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/limits.h"
#include "base/result.h"
#include "codec/codec.h"
#include "tensor/tensor.h"

namespace tideline::wire {

// HELLO --------------------------------------------------------------------------------------------------------------
// The first bytes in both directions, in a layout that no version changes.

inline constexpr std::size_t kHelloBytes = 256;
inline constexpr std::uint16_t kVersion = 1;     // the newest that this build speaks
inline constexpr std::uint16_t kVersionMin = 1;  // the oldest

enum class Role : std::uint8_t { kCaller = 1, kNode = 2 };
// Tensors and segments on one kind of connection, heartbeats and cancellation on the other, so that these never wait behind bulk.
enum class ConnectionKind : std::uint8_t { kData = 1, kControl = 2 };

// Bits. Unknown ones are ignored; what both sides have may be used.
enum Capability : std::uint64_t {
  kCapPayloadChecksum = 1u << 0,  // understands kFlagPayloadChecksum
  kCapFlow = 1u << 1,             // CREDIT, several RUNs at a time on one connection, INSTALL_PROGRAM, FORWARD
  kCapCodecs = 1u << 2,           // stages with codecs, tensors in Encoding::kCoded
  kCapShares = 1u << 3,           // stages with shares
};

// Random, made by whoever calls; ties the connections of one caller together along the whole chain.
struct SessionId {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const SessionId&) const = default;
};
// From the operating system's random source.
SessionId random_session_id();

struct Hello {
  std::uint16_t version_max = kVersion;
  std::uint16_t version_min = kVersionMin;
  Role role = Role::kCaller;
  ConnectionKind kind = ConnectionKind::kData;
  // 0 in a caller's HELLO and in a reply that accepts; else the ErrorCode of the refusal, with `message`.
  std::uint16_t status = 0;
  std::uint64_t capabilities = kCapPayloadChecksum | kCapFlow | kCapCodecs | kCapShares;
  SessionId session;
  std::string name;     // [A-Za-z0-9._-]{1,63}
  std::string message;  // printable ASCII, at most 147 bytes; encode cuts and cleans it
  bool operator==(const Hello&) const = default;
};

Result<std::array<std::byte, kHelloBytes>> encode_hello(const Hello& hello);
// kCorrupt for a wrong magic, checksum, number or name. Never fails because of the version: that is for agree_version to say.
Result<Hello> decode_hello(std::span<const std::byte, kHelloBytes> bytes);
// The version that both speak; kUnsupported, naming both ranges, when there is none.
Result<std::uint16_t> agree_version(const Hello& ours, const Hello& theirs);

// Frames -------------------------------------------------------------------------------------------------------------
// header (40 bytes) | meta (meta_bytes) | zeros to a multiple of 64 | payload (payload_bytes)

enum class FrameType : std::uint16_t {
  kError = 1,
  kPing = 2,
  kPong = 3,
  kGoodbye = 4,
  kHasSegments = 16,
  kSegmentsMissing = 17,
  kPutSegment = 18,
  kSegmentProgress = 19,
  kInstall = 20,
  kInstalled = 21,
  kUninstall = 22,
  kUninstalled = 23,
  kInstallProgram = 24,
  kProgramInstalled = 25,
  kForward = 26,
  kRun = 32,
  kResult = 33,
  kCancel = 34,
  kCredit = 35,
  kGetStatus = 48,
  kNodeStatus = 49,
  kHireWorkers = 50,
  kWorkersHired = 51,
  // Between a coordinator of training and its workers, and among these: train/protocol/messages.h.
  kTrainSetup = 64,
  kTrainReady = 65,
  kTrainWork = 66,
  kTrainUpdate = 67,
  kTrainFetch = 68,
  kTrainState = 69,
  kTrainPiece = 70,
};
// "RUN", "RESULT", ...; "UNKNOWN" for numbers that are not above.
std::string_view to_string(FrameType type);

inline constexpr std::size_t kFrameHeaderBytes = 40;
// Where the payload begins. A multiple of 64, so that copies between buffers of that alignment stay aligned all the way.
inline constexpr std::size_t frame_head_bytes(std::size_t meta_bytes) { return (kFrameHeaderBytes + meta_bytes + 63) / 64 * 64; }
// payload_crc32c holds the CRC-32C of the payload. Only when both sides have kCapPayloadChecksum.
inline constexpr std::uint16_t kFlagPayloadChecksum = 1u << 0;

struct FrameHeader {
  FrameType type = FrameType::kError;
  std::uint16_t flags = 0;
  std::uint64_t request_id = 0;  // an answer has its request's; 0 = about the connection
  std::uint64_t payload_bytes = 0;
  std::uint32_t meta_bytes = 0;
  std::uint32_t meta_crc32c = 0;  // with the zeros after it
  std::uint32_t payload_crc32c = 0;
  bool operator==(const FrameHeader&) const = default;
};

// REQUIRES: limits hold (the channel checks them).
std::array<std::byte, kFrameHeaderBytes> encode_frame_header(const FrameHeader& header);
// Checks magic, header checksum, type, flags, limits::kFrameMetaBytesMax and limits::kFramePayloadBytesMax.
Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes);

// CRC-32C (Castagnoli), as in RFC 3720; by the processor's instruction where it has one. `seed` continues an earlier piece.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0);

// Messages -----------------------------------------------------------------------------------------------------------
// Each has kType and, where it says so, a payload after the meta.

// The end of a request that failed, or of the connection (request id 0).
struct ErrorMessage {
  static constexpr FrameType kType = FrameType::kError;
  ErrorCode code = ErrorCode::kInternal;
  std::string node;     // where it happened; may be empty
  std::string message;  // printable ASCII, at most limits::kWireMessageBytesMax; encode cuts and cleans it
  bool operator==(const ErrorMessage&) const = default;
};
ErrorMessage to_message(const Error& error, std::string_view node);
// The Error that a caller sees: "node NAME: message".
Error to_error(const ErrorMessage& message);

// Payload: any bytes up to limits::kPingPayloadBytesMax, ignored. Answered by PONG with `reply_bytes` bytes of payload:
// round-trip time with none, goodput up or down with many.
struct Ping {
  static constexpr FrameType kType = FrameType::kPing;
  std::uint64_t reply_bytes = 0;  // at most limits::kPingPayloadBytesMax
  bool operator==(const Ping&) const = default;
};
struct Pong {
  static constexpr FrameType kType = FrameType::kPong;
  std::uint64_t received_bytes = 0;  // of the PING's payload
  std::uint64_t receive_ns = 0;      // from its header to its last byte
  bool operator==(const Pong&) const = default;
};

// From either side: no further request will be sent (caller) or taken (node: it drains) on this connection.
struct Goodbye {
  static constexpr FrameType kType = FrameType::kGoodbye;
  std::string reason;  // printable ASCII, at most limits::kWireMessageBytesMax
  bool operator==(const Goodbye&) const = default;
};

// Answered by SEGMENTS_MISSING with those that the node has not.
struct HasSegments {
  static constexpr FrameType kType = FrameType::kHasSegments;
  std::vector<Sha256> hashes;  // at most limits::kWireHashesMax
  bool operator==(const HasSegments&) const = default;
};
struct SegmentsMissing {
  static constexpr FrameType kType = FrameType::kSegmentsMissing;
  struct Entry {
    Sha256 hash;
    std::uint64_t have_bytes = 0;  // received before a disconnection: go on from there
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> missing;
  bool operator==(const SegmentsMissing&) const = default;
};
// One piece of a segment package. Payload: the bytes from `offset` on, 1 to limits::kSegmentPieceBytes. Answered by
// SEGMENT_PROGRESS. An offset that is not what the node has is answered with what it has, and changes nothing.
struct PutSegment {
  static constexpr FrameType kType = FrameType::kPutSegment;
  Sha256 hash;
  std::uint64_t total_bytes = 0;  // of the package, at most limits::kSegmentBytesMax; the same in all pieces
  std::uint64_t offset = 0;
  bool operator==(const PutSegment&) const = default;
};
// `complete` only after the SHA-256 was verified and the package is stored; a wrong hash is ERROR kCorrupt and forgets the bytes.
struct SegmentProgress {
  static constexpr FrameType kType = FrameType::kSegmentProgress;
  Sha256 hash;
  std::uint64_t have_bytes = 0;
  bool complete = false;
  bool operator==(const SegmentProgress&) const = default;
};

// Prepares one stage of a plan: loads the segment and makes the onward connection. Answered by INSTALLED.
struct Install {
  static constexpr FrameType kType = FrameType::kInstall;
  std::uint64_t epoch = 0;        // of the plan; later plans of a session have greater ones
  std::uint32_t stage = 0;        // 0..stages-1 along the chain
  std::uint32_t stages = 1;       // at most limits::kPlanHopsMax
  std::optional<Sha256> segment;  // none: pass tensors on
  // What arrives and what leaves; a RUN names its tensors by their index here. Equal for a stage that passes on.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string next_node;  // name and "host:port" of the node of stage+1; both empty at the last stage
  std::string next_address;
  bool operator==(const Install&) const = default;
};
struct Installed {
  static constexpr FrameType kType = FrameType::kInstalled;
  std::uint64_t epoch = 0;
  std::uint32_t stage = 0;
  std::uint64_t load_ns = 0;  // 0 when the segment was loaded already
  bool operator==(const Installed&) const = default;
};
// Forgets all stages of the session's plans up to and with `epoch`. Answered by UNINSTALLED.
struct Uninstall {
  static constexpr FrameType kType = FrameType::kUninstall;
  std::uint64_t epoch = 0;
  bool operator==(const Uninstall&) const = default;
};
struct Uninstalled {
  static constexpr FrameType kType = FrameType::kUninstalled;
  std::uint32_t stages = 0;  // how many went
  bool operator==(const Uninstalled&) const = default;
};

// What a session has of a node: a part of the engine's time, and of the link over which the stage calls. A node keeps to it when
// others want the same (node/shares.h).
struct Share {
  std::uint32_t compute_ppm = 0;             // millionths of the engine's time, at most limits::kShareMax; 0: none
  std::uint32_t burst_ms = 0;                // so far its requests may run ahead of the share, at most limits::kShareBurstMsMax
  std::uint64_t link_bytes_per_s = 0;        // of a stage that calls; 0: none
  std::uint64_t link_total_bytes_per_s = 0;  // what that link carries for all, at least the same; 0 without a share of it
  bool operator==(const Share&) const = default;
};

// One stage of a program, as its node needs it. Its id is its position in the plan's route.
struct ProgramStage {
  std::uint32_t id = 0;           // below limits::kPlanStagesMax; unique and ascending in its message
  std::optional<Sha256> segment;  // none: pass tensors on
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;  // none: it answers with the word that the request is done, and no tensors
  // Fires with the caller's RUN, or with the answer to the call that stage `after` (before it in the message) has made.
  bool on_answer = false;
  std::uint32_t after = 0;  // 0 unless on_answer
  // Then answers its caller, or calls stage `next` of that node; the three are 0 and empty unless `calls`.
  bool calls = false;
  std::uint32_t next = 0;
  std::string next_node;
  std::string next_address;  // "host:port"
  // How its inputs arrive, and how its outputs leave. Any number that a byte holds: who installs it says whether it knows them.
  Codec codec_in;
  Codec codec_out;
  Share share;
  bool operator==(const ProgramStage&) const = default;
};
// A node's part of a program, whole: all stages of one epoch at once. Answered by PROGRAM_INSTALLED.
struct InstallProgram {
  static constexpr FrameType kType = FrameType::kInstallProgram;
  std::uint64_t epoch = 0;
  std::vector<ProgramStage> stages;  // 1 to limits::kPlanStagesMax
  bool operator==(const InstallProgram&) const = default;
};
struct ProgramInstalled {
  static constexpr FrameType kType = FrameType::kProgramInstalled;
  std::uint64_t epoch = 0;
  std::uint64_t load_ns = 0;  // of all segments together
  bool operator==(const ProgramInstalled&) const = default;
};

// A management message for a node further along the route, which answers it; the payload is the inner message's. The receiver
// takes the first hop off the path and passes the rest on, or the inner message itself when there is none.
struct Forward {
  static constexpr FrameType kType = FrameType::kForward;
  struct Hop {
    std::string node;
    std::string address;  // "host:port", as the node before it reaches it
    bool operator==(const Hop&) const = default;
  };
  std::vector<Hop> path;  // 1 to limits::kForwardHopsMax
  FrameType inner = FrameType::kGetStatus;
  std::vector<std::byte> meta;  // of the inner message
  bool operator==(const Forward&) const = default;
};
// What may be forwarded: management, and nothing that runs.
bool is_forwardable(FrameType type);

// kCoded: the payload is the encoded form of codec/codec.h, which says the rest itself. Which codec it must be is known at both
// ends by their stages.
enum class Encoding : std::uint8_t { kRaw = 0, kCoded = 1 };

struct WireTensor {
  std::uint16_t index = 0;  // into the stage's `inputs` (RUN) or `outputs` (RESULT)
  DType dtype = DType::kUndefined;
  Encoding encoding = Encoding::kRaw;
  std::vector<std::int64_t> shape;  // no unknown dimension
  // Of its payload; for kRaw what byte_size() says, for kCoded at most that and the encoded form's head.
  std::uint64_t bytes = 0;
  bool operator==(const WireTensor&) const = default;
};
// kInvalidArgument or kUnsupported as byte_size.
Result<WireTensor> wire_tensor(std::uint16_t index, DType dtype, std::span<const std::int64_t> shape);
// The same in encoded form, of so many bytes.
Result<WireTensor> coded_tensor(std::uint16_t index, DType dtype, std::span<const std::int64_t> shape, std::uint64_t bytes);

// One request at one stage. Payload: the tensors' bytes, one after another, without padding.
struct Run {
  static constexpr FrameType kType = FrameType::kRun;
  std::uint64_t epoch = 0;
  std::uint32_t stage = 0;        // which of the plan's stages the receiver runs
  std::uint64_t deadline_us = 0;  // what is left; a duration, because clocks differ. 0 = it is over
  std::vector<WireTensor> tensors;
  bool operator==(const Run&) const = default;
};

// Where the time went at one stage, by that node's own clock.
struct StageTiming {
  std::string node;
  std::uint32_t stage = 0;
  std::uint64_t receive_ns = 0;  // from the RUN's header to its last payload byte
  std::uint64_t queue_ns = 0;    // waiting for the engine
  std::uint64_t compute_ns = 0;  // in the engine, stretching included
  std::uint64_t send_ns = 0;     // of the RUN to the next node; 0 at the last stage
  std::uint64_t wait_ns = 0;     // from the end of that to the RESULT's header
  std::uint64_t return_ns = 0;   // receiving the RESULT's payload from the next node
  std::uint64_t total_ns = 0;    // from the RUN's header to the start of sending the RESULT back
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  // Of its tensors, those that arrive and those that leave; with those of a stage that only hands an answer to its call on.
  std::uint64_t decode_ns = 0;
  std::uint64_t encode_ns = 0;
  bool operator==(const StageTiming&) const = default;
};
// The answer to RUN. Payload as there.
struct RunResult {
  static constexpr FrameType kType = FrameType::kResult;
  std::uint64_t epoch = 0;
  std::vector<WireTensor> tensors;  // indices into the last stage's `outputs`
  std::vector<StageTiming> stages;  // each node appends its own on the way back: the last stage is first
  bool operator==(const RunResult&) const = default;
};

// On the control connection; the frame's request id is the request to give up. No answer here: the RUN gets its own, ERROR
// kCancelled or, when it was done already, RESULT.
struct Cancel {
  static constexpr FrameType kType = FrameType::kCancel;
  bool operator==(const Cancel&) const = default;
};

// How much a node takes on one DATA connection before it has answered or passed on. With request id 0, from the accepting end as
// soon as the connection is open: so many requests and bytes more. With a request's id: that request has left the node's queue,
// and its credit is back before its answer is; an answer without a CREDIT before it gives it back too. One request larger than
// all bytes may be sent when nothing else is out.
struct Credit {
  static constexpr FrameType kType = FrameType::kCredit;
  std::uint32_t requests = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Credit&) const = default;
};
// What a node of this build grants. Enough for a queue in front of the engine, one arriving and some under way on a long link.
inline constexpr std::uint32_t kCreditRequests = 16;
inline constexpr std::uint64_t kCreditBytes = 64u << 20;

struct GetStatus {
  static constexpr FrameType kType = FrameType::kGetStatus;
  bool operator==(const GetStatus&) const = default;
};
struct NodeStatus {
  static constexpr FrameType kType = FrameType::kNodeStatus;
  std::string name;
  std::string version;  // of the program
  std::string engine;   // "ONNX Runtime 1.30.0"
  std::uint32_t threads = 0;
  std::uint64_t uptime_ms = 0;
  std::uint64_t memory_bytes = 0;        // resident
  std::uint64_t memory_limit_bytes = 0;  // 0 = none
  std::uint32_t connections = 0;
  std::uint32_t segments_stored = 0;
  std::uint32_t segments_loaded = 0;
  std::uint64_t requests_done = 0;
  std::uint64_t requests_failed = 0;
  std::uint32_t requests_running = 0;
  bool draining = false;
  std::uint64_t segments_dropped = 0;   // from memory, for others
  std::uint64_t segments_reloaded = 0;  // for a request, after that
  bool operator==(const NodeStatus&) const = default;
};

// Start workers of training, numbers `first` and up, whose data are `data` (a word as train/data reads it) in the folder that the
// node was given for them. They last as long as this connection.
struct HireWorkers {
  static constexpr FrameType kType = FrameType::kHireWorkers;
  std::uint32_t first = 0;
  std::uint32_t count = 1;  // 1 to limits::kNodeWorkersMax
  std::string data;         // at most limits::kTrainDataWordBytesMax
  bool operator==(const HireWorkers&) const = default;
};
struct WorkersHired {
  static constexpr FrameType kType = FrameType::kWorkersHired;
  std::vector<std::uint16_t> ports;  // of this node's host, in the workers' order
  bool operator==(const WorkersHired&) const = default;
};

// Appends the meta of `message` to `meta`.
template <class Message>
Status encode(const Message& message, std::vector<std::byte>& meta);
// Whether a frame with this message may have a payload of that size: the tensors' sum, a piece of a segment, none, ...
template <class Message>
bool fits_payload(const Message& message, std::uint64_t payload_bytes);
// `payload_bytes` is the frame's: checked against what the message announces.
template <class Message>
Result<Message> decode(std::span<const std::byte> meta, std::uint64_t payload_bytes);

}  // namespace tideline::wire
