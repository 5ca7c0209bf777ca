// HELLO and the frame header: the two layouts with fixed offsets.
#include <random>

#include "base/name.h"
#include "base/text.h"
#include "wire/codec.h"
#include "wire/messages.h"

namespace tideline::wire {
namespace {

// HELLO. These numbers never change.
constexpr std::string_view kHelloMagic = "TIDELINE";
constexpr std::size_t kVersionMaxAt = 8, kVersionMinAt = 10, kRoleAt = 12, kKindAt = 13, kStatusAt = 14, kCapabilitiesAt = 16,
                      kSessionAt = 24, kNameAt = 40, kMessageAt = 104, kHelloCrcAt = 252;
constexpr std::size_t kNameMax = kMessageAt - kNameAt - 1, kMessageMax = kHelloCrcAt - kMessageAt - 1;
static_assert(kHelloBytes == 256 && kHelloMagic.size() == kVersionMaxAt && kHelloCrcAt + 4 == kHelloBytes);
static_assert(kSessionAt + sizeof(SessionId::bytes) == kNameAt && kNameMax == 63 && kMessageMax == 147);
static_assert(static_cast<int>(Role::kCaller) == 1 && static_cast<int>(Role::kNode) == 2);
static_assert(static_cast<int>(ConnectionKind::kData) == 1 && static_cast<int>(ConnectionKind::kControl) == 2);
static_assert(sizeof(Hello::version_max) == 2 && sizeof(Hello::status) == 2 && sizeof(Hello::capabilities) == 8);

// The frame header.
constexpr std::uint32_t kFrameMagic = 0x31464c54;  // "TLF1"
constexpr std::size_t kTypeAt = 4, kFlagsAt = 6, kRequestAt = 8, kPayloadBytesAt = 16, kMetaBytesAt = 24, kMetaCrcAt = 28,
                      kPayloadCrcAt = 32, kHeaderCrcAt = 36;
static_assert(kHeaderCrcAt + 4 == kFrameHeaderBytes);

Error corrupt(const char* what) { return {ErrorCode::kCorrupt, std::string("[wire] ") + what}; }

void put_text(std::byte* at, std::string_view text) {
  at[0] = static_cast<std::byte>(text.size());
  if (!text.empty()) std::memcpy(at + 1, text.data(), text.size());
}

// The text of a field of `max` bytes after its length, or nothing when it is longer or what follows is not zero.
std::optional<std::string> get_text(const std::byte* at, std::size_t max) {
  const auto size = static_cast<std::size_t>(at[0]);
  if (size > max) return std::nullopt;
  for (std::size_t i = size; i < max; ++i) {
    if (at[1 + i] != std::byte{0}) return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(at + 1), size);
}

std::string range(const Hello& hello) { return std::to_string(hello.version_min) + " to " + std::to_string(hello.version_max); }

}  // namespace

SessionId random_session_id() {
  std::random_device source;
  SessionId id;
  for (std::size_t i = 0; i < id.bytes.size(); i += sizeof(std::uint32_t)) {
    store_le(reinterpret_cast<std::byte*>(id.bytes.data() + i), static_cast<std::uint32_t>(source()));
  }
  return id;
}

Result<std::array<std::byte, kHelloBytes>> encode_hello(const Hello& hello) {
  const auto refuse = [](const char* what) { return Error{ErrorCode::kInvalidArgument, std::string("[wire] HELLO: ") + what}; };
  if (!is_name(hello.name)) return refuse("its name is malformed");
  if (hello.version_min == 0 || hello.version_min > hello.version_max) return refuse("the range of versions is empty");
  std::array<std::byte, kHelloBytes> bytes{};
  std::memcpy(bytes.data(), kHelloMagic.data(), kHelloMagic.size());
  store_le(bytes.data() + kVersionMaxAt, hello.version_max);
  store_le(bytes.data() + kVersionMinAt, hello.version_min);
  store_le(bytes.data() + kRoleAt, static_cast<std::uint8_t>(hello.role));
  store_le(bytes.data() + kKindAt, static_cast<std::uint8_t>(hello.kind));
  store_le(bytes.data() + kStatusAt, hello.status);
  store_le(bytes.data() + kCapabilitiesAt, hello.capabilities);
  std::memcpy(bytes.data() + kSessionAt, hello.session.bytes.data(), hello.session.bytes.size());
  put_text(bytes.data() + kNameAt, hello.name);
  put_text(bytes.data() + kMessageAt,
           printable(hello.message, hello.message.size() <= kMessageMax ? kMessageMax : kMessageMax - 3));
  store_le(bytes.data() + kHelloCrcAt, crc32c(std::span(bytes).first(kHelloCrcAt)));
  return bytes;
}

Result<Hello> decode_hello(std::span<const std::byte, kHelloBytes> bytes) {
  if (std::memcmp(bytes.data(), kHelloMagic.data(), kHelloMagic.size()) != 0) {
    return corrupt("the peer does not speak Tideline's protocol: its first bytes are others than TIDELINE");
  }
  if (load_le<std::uint32_t>(bytes.data() + kHelloCrcAt) != crc32c(bytes.first(kHelloCrcAt))) {
    return corrupt("HELLO has a wrong checksum");
  }
  Hello hello;
  hello.version_max = load_le<std::uint16_t>(bytes.data() + kVersionMaxAt);
  hello.version_min = load_le<std::uint16_t>(bytes.data() + kVersionMinAt);
  if (hello.version_min == 0 || hello.version_min > hello.version_max) return corrupt("HELLO has an empty range of versions");
  hello.role = static_cast<Role>(bytes[kRoleAt]);
  if (hello.role != Role::kCaller && hello.role != Role::kNode) return corrupt("HELLO has an unknown role");
  hello.kind = static_cast<ConnectionKind>(bytes[kKindAt]);
  if (hello.kind != ConnectionKind::kData && hello.kind != ConnectionKind::kControl) {
    return corrupt("HELLO has an unknown kind of connection");
  }
  hello.status = load_le<std::uint16_t>(bytes.data() + kStatusAt);
  hello.capabilities = load_le<std::uint64_t>(bytes.data() + kCapabilitiesAt);
  std::memcpy(hello.session.bytes.data(), bytes.data() + kSessionAt, hello.session.bytes.size());
  auto name = get_text(bytes.data() + kNameAt, kNameMax);
  if (!name || !is_name(*name)) return corrupt("HELLO has a malformed name");
  auto message = get_text(bytes.data() + kMessageAt, kMessageMax);
  if (!message || !is_printable(*message)) return corrupt("HELLO has a malformed message");
  hello.name = std::move(*name);
  hello.message = std::move(*message);
  return hello;
}

Result<std::uint16_t> agree_version(const Hello& ours, const Hello& theirs) {
  const std::uint16_t version = std::min(ours.version_max, theirs.version_max);
  if (version >= ours.version_min && version >= theirs.version_min) return version;
  return Error{ErrorCode::kUnsupported, "[wire] no common protocol version: " + ours.name + " speaks " + range(ours) + ", " +
                                            theirs.name + " speaks " + range(theirs) + "; update the older one"};
}

std::string_view to_string(FrameType type) {
  switch (type) {
    case FrameType::kError: return "ERROR";
    case FrameType::kPing: return "PING";
    case FrameType::kPong: return "PONG";
    case FrameType::kGoodbye: return "GOODBYE";
    case FrameType::kHasSegments: return "HAS_SEGMENTS";
    case FrameType::kSegmentsMissing: return "SEGMENTS_MISSING";
    case FrameType::kPutSegment: return "PUT_SEGMENT";
    case FrameType::kSegmentProgress: return "SEGMENT_PROGRESS";
    case FrameType::kInstall: return "INSTALL";
    case FrameType::kInstalled: return "INSTALLED";
    case FrameType::kUninstall: return "UNINSTALL";
    case FrameType::kUninstalled: return "UNINSTALLED";
    case FrameType::kInstallProgram: return "INSTALL_PROGRAM";
    case FrameType::kProgramInstalled: return "PROGRAM_INSTALLED";
    case FrameType::kForward: return "FORWARD";
    case FrameType::kRun: return "RUN";
    case FrameType::kResult: return "RESULT";
    case FrameType::kCancel: return "CANCEL";
    case FrameType::kCredit: return "CREDIT";
    case FrameType::kGetStatus: return "GET_STATUS";
    case FrameType::kNodeStatus: return "NODE_STATUS";
    case FrameType::kHireWorkers: return "HIRE_WORKERS";
    case FrameType::kWorkersHired: return "WORKERS_HIRED";
    case FrameType::kTrainSetup: return "TRAIN_SETUP";
    case FrameType::kTrainReady: return "TRAIN_READY";
    case FrameType::kTrainWork: return "TRAIN_WORK";
    case FrameType::kTrainUpdate: return "TRAIN_UPDATE";
    case FrameType::kTrainFetch: return "TRAIN_FETCH";
    case FrameType::kTrainState: return "TRAIN_STATE";
    case FrameType::kTrainPiece: return "TRAIN_PIECE";
  }
  return "UNKNOWN";
}

std::array<std::byte, kFrameHeaderBytes> encode_frame_header(const FrameHeader& header) {
  std::array<std::byte, kFrameHeaderBytes> bytes;
  store_le(bytes.data(), kFrameMagic);
  store_le(bytes.data() + kTypeAt, static_cast<std::uint16_t>(header.type));
  store_le(bytes.data() + kFlagsAt, header.flags);
  store_le(bytes.data() + kRequestAt, header.request_id);
  store_le(bytes.data() + kPayloadBytesAt, header.payload_bytes);
  store_le(bytes.data() + kMetaBytesAt, header.meta_bytes);
  store_le(bytes.data() + kMetaCrcAt, header.meta_crc32c);
  store_le(bytes.data() + kPayloadCrcAt, header.payload_crc32c);
  store_le(bytes.data() + kHeaderCrcAt, crc32c(std::span(bytes).first(kHeaderCrcAt)));
  return bytes;
}

Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  if (load_le<std::uint32_t>(bytes.data()) != kFrameMagic) return corrupt("a frame does not begin with TLF1");
  if (load_le<std::uint32_t>(bytes.data() + kHeaderCrcAt) != crc32c(bytes.first(kHeaderCrcAt))) {
    return corrupt("a frame header has a wrong checksum");
  }
  FrameHeader header;
  header.type = static_cast<FrameType>(load_le<std::uint16_t>(bytes.data() + kTypeAt));
  header.flags = load_le<std::uint16_t>(bytes.data() + kFlagsAt);
  header.request_id = load_le<std::uint64_t>(bytes.data() + kRequestAt);
  header.payload_bytes = load_le<std::uint64_t>(bytes.data() + kPayloadBytesAt);
  header.meta_bytes = load_le<std::uint32_t>(bytes.data() + kMetaBytesAt);
  header.meta_crc32c = load_le<std::uint32_t>(bytes.data() + kMetaCrcAt);
  header.payload_crc32c = load_le<std::uint32_t>(bytes.data() + kPayloadCrcAt);
  if (to_string(header.type) == "UNKNOWN") return corrupt("a frame has an unknown type");
  if ((header.flags & ~kFlagPayloadChecksum) != 0) return corrupt("a frame has an unknown flag");
  if (header.flags == 0 && header.payload_crc32c != 0) return corrupt("a frame has a payload checksum without its flag");
  if (header.meta_bytes > limits::kFrameMetaBytesMax) return corrupt("a frame announces more meta than is allowed");
  if (header.payload_bytes > limits::kFramePayloadBytesMax) return corrupt("a frame announces more payload than is allowed");
  return header;
}

}  // namespace tideline::wire
