// The codecs, message by message: what is encoded comes back, and whatever else arrives is an error and nothing worse.
#include "wire/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "wire/codec.h"
#include "wire/samples.h"

namespace tideline::wire {
namespace {

template <class Message>
std::vector<std::byte> encoded(const Message& message) {
  std::vector<std::byte> meta;
  const Status status = encode(message, meta);
  EXPECT_TRUE(status) << status.error().message;
  return meta;
}

template <class Message>
class EveryMessage : public testing::Test {};
using AllMessages = testing::Types<ErrorMessage, Ping, Pong, Goodbye, HasSegments, SegmentsMissing, PutSegment, SegmentProgress,
                                   Install, Installed, Uninstall, Uninstalled, InstallProgram, ProgramInstalled, Forward, Run,
                                   RunResult, Cancel, Credit, GetStatus, NodeStatus, HireWorkers, WorkersHired>;
TYPED_TEST_SUITE(EveryMessage, AllMessages);

TYPED_TEST(EveryMessage, ComesBackAsItWas) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    Samples samples(seed);
    const auto sample = samples.make<TypeParam>();
    const auto back = decode<TypeParam>(encoded(sample), samples.payload_for(sample));
    ASSERT_TRUE(back) << "seed " << seed << ": " << back.error().message;
    ASSERT_TRUE(*back == sample) << "seed " << seed;
  }
}

TYPED_TEST(EveryMessage, IsAppendedToWhatIsThere) {
  Samples samples(1);
  const auto sample = samples.make<TypeParam>();
  std::vector<std::byte> bytes(40, std::byte{7});
  ASSERT_TRUE(encode(sample, bytes));
  EXPECT_EQ(bytes[39], std::byte{7});
  EXPECT_TRUE(std::ranges::equal(std::span(bytes).subspan(40), encoded(sample)));
}

TYPED_TEST(EveryMessage, CutAnywhereOrLongerIsCorrupt) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    Samples samples(seed);
    const auto sample = samples.make<TypeParam>();
    auto meta = encoded(sample);
    const auto payload = samples.payload_for(sample);
    for (std::size_t size = 0; size < meta.size(); size += 1 + size / 100) {
      const auto back = decode<TypeParam>(std::span(meta).first(size), payload);
      ASSERT_FALSE(back) << "seed " << seed << ", cut to " << size << " of " << meta.size();
      ASSERT_EQ(back.error().code, ErrorCode::kCorrupt);
    }
    meta.push_back(std::byte{0});
    ASSERT_FALSE(decode<TypeParam>(meta, payload)) << "seed " << seed;
  }
}

TYPED_TEST(EveryMessage, DamagedIsAnErrorOrAnotherValidMessage) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    Samples samples(seed);
    const auto sample = samples.make<TypeParam>();
    auto meta = encoded(sample);
    if (meta.empty()) return;
    for (auto i = 1 + samples.number(3); i > 0; --i)
      meta[samples.number(meta.size() - 1)] = static_cast<std::byte>(samples.number(255));
    const auto back = decode<TypeParam>(meta, samples.payload_for(sample));
    if (back) {
      // One message has one encoding: what was accepted is written as it was read.
      ASSERT_TRUE(encoded(*back) == meta) << "seed " << seed;
    } else {
      ASSERT_EQ(back.error().code, ErrorCode::kCorrupt) << "seed " << seed;
    }
  }
}

TYPED_TEST(EveryMessage, RandomBytesAreNeverTrouble) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    Samples samples(seed);
    const std::string bytes = samples.text(seed % 200);
    const auto back = decode<TypeParam>(std::as_bytes(std::span(bytes)), samples.number64());
    ASSERT_TRUE(back || back.error().code == ErrorCode::kCorrupt);
  }
}

TYPED_TEST(EveryMessage, HasAPayloadOfItsOwnSizeOnly) {
  Samples samples(5);
  const auto sample = samples.make<TypeParam>();
  const auto meta = encoded(sample);
  const auto back = decode<TypeParam>(meta, limits::kFramePayloadBytesMax);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kCorrupt);
}

// System: frames of protocol version 1 as they were written to fuzz/seeds/frame. Expectation: every one is still read, and
// written as it was: a field that moves in the encoder and the decoder alike would not be noticed otherwise.
TYPED_TEST(EveryMessage, IsReadAsVersion1WroteIt) {
  const char* source = std::getenv("TIDELINE_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "TIDELINE_SOURCE_DIR is not set; ctest sets it";
  std::ifstream file(std::string(source) + "/fuzz/seeds/frame/" + std::string(to_string(TypeParam::kType)), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  ASSERT_GT(text.size(), kFrameHeaderBytes);
  const auto bytes = std::as_bytes(std::span(text)).subspan(1);  // the fuzz target's own byte
  const auto header = decode_frame_header(bytes.template first<kFrameHeaderBytes>());
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->type, TypeParam::kType);
  ASSERT_EQ(bytes.size(), frame_head_bytes(header->meta_bytes) + header->payload_bytes);
  const auto meta = bytes.subspan(kFrameHeaderBytes, header->meta_bytes);
  const auto message = decode<TypeParam>(meta, header->payload_bytes);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_TRUE(std::ranges::equal(encoded(*message), meta));
}

TEST(Error, IsCleanedAndCutRatherThanRefused) {
  ErrorMessage error = to_message({ErrorCode::kOverloaded, "a\nb\x1b[31m" + std::string(1000, 'x')}, "not a name!");
  EXPECT_EQ(error.node, "");
  const auto back = decode<ErrorMessage>(encoded(error), 0);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->message.size(), limits::kWireMessageBytesMax);
  EXPECT_THAT(back->message, testing::StartsWith("a?b?[31mxxx"));
  EXPECT_EQ(back->code, ErrorCode::kOverloaded);
  EXPECT_EQ(to_error({ErrorCode::kNotFound, "edge", "no segment"}).message, "node edge: no segment");
}

TEST(Run, TensorSizeMustBeWhatTypeAndShapeSay) {
  const wire::Run good{.epoch = 1, .tensors = {wire_tensor(0, DType::kFloat32, std::array<std::int64_t, 2>{2, 3}).value()}};
  EXPECT_TRUE(decode<wire::Run>(encoded(good), 24));
  EXPECT_FALSE(decode<wire::Run>(encoded(good), 23));
  wire::Run bad = good;
  bad.tensors[0].bytes = 25;
  std::vector<std::byte> meta;
  const Status refused = encode(bad, meta);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

// Sizes that wrap around, negative dimensions, types without a size, one tensor twice, more tensors than allowed.
TEST(Run, HostileTensorsAreRefused) {
  const auto refused = [](std::vector<WireTensor> tensors) {
    std::vector<std::byte> meta;
    return !encode(wire::Run{.tensors = std::move(tensors)}, meta);
  };
  constexpr std::int64_t kBig = std::int64_t{1} << 33;
  EXPECT_FALSE(refused({{.index = 0, .dtype = DType::kUint8, .shape = {4}, .bytes = 4}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kFloat32, .shape = {kBig, kBig}, .bytes = 0}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kFloat32, .shape = {-1}, .bytes = 4}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kString, .shape = {1}, .bytes = 0}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = static_cast<DType>(200), .shape = {1}, .bytes = 1}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kUint8, .encoding = static_cast<Encoding>(1), .shape = {1}, .bytes = 1}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kUint8, .shape = {kBig}, .bytes = static_cast<std::uint64_t>(kBig)}}));
  EXPECT_TRUE(refused({{.index = 0, .dtype = DType::kUint8, .shape = std::vector<std::int64_t>(17, 1), .bytes = 1}}));
  EXPECT_TRUE(refused({{.index = 1, .dtype = DType::kUint8, .shape = {1}, .bytes = 1},
                       {.index = 1, .dtype = DType::kUint8, .shape = {1}, .bytes = 1}}));
  std::vector<WireTensor> many;
  for (std::uint16_t i = 0; i <= limits::kFrameTensorsMax; ++i)
    many.push_back({.index = i, .dtype = DType::kUint8, .shape = {1}, .bytes = 1});
  EXPECT_TRUE(refused(many));
  many.pop_back();
  EXPECT_FALSE(refused(many));
}

TEST(Run, AnEncodedTensorIsAtMostItsOwnBytesAndAHead) {
  const std::array<std::int64_t, 2> shape{2, 3};
  for (const std::uint64_t bytes : {encoded_head_bytes(2), encoded_head_bytes(2) + 24}) {
    const auto tensor = coded_tensor(0, DType::kFloat32, shape, bytes);
    ASSERT_TRUE(tensor);
    const wire::Run run{.epoch = 1, .tensors = {*tensor}};
    const auto back = decode<wire::Run>(encoded(run), bytes);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, run);
    EXPECT_FALSE(decode<wire::Run>(encoded(run), 24));
  }
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{encoded_head_bytes(2) - 1}, encoded_head_bytes(2) + 25, ~std::uint64_t{0}}) {
    EXPECT_FALSE(coded_tensor(0, DType::kFloat32, shape, bytes));
    std::vector<std::byte> meta;
    EXPECT_FALSE(encode(wire::Run{.tensors = {{0, DType::kFloat32, Encoding::kCoded, {2, 3}, bytes}}}, meta));
  }
  // What it becomes is limited too.
  std::vector<std::byte> meta;
  EXPECT_FALSE(encode(wire::Run{.tensors = {{0, DType::kUint8, Encoding::kCoded, {std::int64_t{1} << 32}, 100}}}, meta));
}

// Stages without codecs are as they always were; the others say so by a bit.
TEST(InstallProgram, CodecsTravelOnlyWhereThereAreAny) {
  const ProgramStage raw{.id = 0, .inputs = {"x"}, .outputs = {"y"}};
  ProgramStage coded = raw;
  coded.codec_out = {Scheme::kInt8PerChannel, Packing::kZstd};
  const auto without = encoded(InstallProgram{.epoch = 1, .stages = {raw}});
  const auto with = encoded(InstallProgram{.epoch = 1, .stages = {coded}});
  EXPECT_EQ(with.size(), without.size() + 4);
  const auto back = decode<InstallProgram>(with, 0);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->stages[0], coded);
  for (std::size_t size = 0; size < with.size(); ++size) EXPECT_FALSE(decode<InstallProgram>(std::span(with).first(size), 0));
  auto says_none = with;
  says_none[with.size() - 1] = says_none[with.size() - 2] = std::byte{0};
  EXPECT_FALSE(decode<InstallProgram>(says_none, 0));
}

TEST(InstallProgram, SharesTravelOnlyWhereThereAreAny) {
  const ProgramStage none{
      .id = 0, .inputs = {"x"}, .outputs = {"y"}, .calls = true, .next = 1, .next_node = "cloud", .next_address = "127.0.0.1:1"};
  ProgramStage shared = none;
  shared.share = {.compute_ppm = 250'000, .burst_ms = 200, .link_bytes_per_s = 5, .link_total_bytes_per_s = 9};
  const auto without = encoded(InstallProgram{.epoch = 1, .stages = {none}});
  const auto with = encoded(InstallProgram{.epoch = 1, .stages = {shared}});
  EXPECT_EQ(with.size(), without.size() + 24);
  const auto back = decode<InstallProgram>(with, 0);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->stages[0], shared);
  for (std::size_t size = 0; size < with.size(); ++size) EXPECT_FALSE(decode<InstallProgram>(std::span(with).first(size), 0));
  auto says_none = with;
  std::fill(says_none.end() - 24, says_none.end(), std::byte{0});
  EXPECT_FALSE(decode<InstallProgram>(says_none, 0));
  const auto refused = [&](const Share& share, bool calls) {
    ProgramStage wrong = shared;
    wrong.share = share;
    if (!calls) {
      wrong.calls = false;
      wrong.next = 0;
      wrong.next_node = wrong.next_address = "";
    }
    std::vector<std::byte> meta;
    return !encode(InstallProgram{.epoch = 1, .stages = {wrong}}, meta);
  };
  EXPECT_FALSE(refused({.compute_ppm = limits::kShareMax}, false));
  EXPECT_TRUE(refused({.compute_ppm = limits::kShareMax + 1}, true));
  EXPECT_TRUE(refused({.compute_ppm = 1, .burst_ms = limits::kShareBurstMsMax + 1}, true));
  EXPECT_TRUE(refused({.link_bytes_per_s = 2, .link_total_bytes_per_s = 1}, true));
  EXPECT_TRUE(refused({.link_bytes_per_s = 1, .link_total_bytes_per_s = 1}, false));
  EXPECT_TRUE(refused({.burst_ms = 1}, true));
}

TEST(RunResult, TimesOfCodingComeBehindTheRestAndOnlyWhereThereAreAny) {
  Samples samples(3);
  RunResult result{.epoch = 1, .tensors = samples.tensors()};
  for (const char* name : {"server", "gateway", "camera"}) result.stages.push_back({.node = name, .compute_ns = 5});
  const auto payload = samples.payload_for(result);
  const auto plain = encoded(result);
  result.stages[0].decode_ns = 7;
  result.stages[2].encode_ns = 9;
  const auto timed = encoded(result);
  EXPECT_EQ(timed.size(), plain.size() + 2 + 2 * 18);
  const auto back = decode<RunResult>(timed, payload);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, result);
  for (std::size_t size = plain.size() + 1; size < timed.size(); ++size)
    EXPECT_FALSE(decode<RunResult>(std::span(timed).first(size), payload)) << size;
  // A stage that is not there, one twice, none at all, nothing to say.
  for (const auto& [at, value] : std::vector<std::pair<std::size_t, int>>{{2, 3}, {20, 0}, {0, 0}, {4, 0}}) {
    auto damaged = timed;
    damaged[plain.size() + at] = static_cast<std::byte>(value);
    EXPECT_FALSE(decode<RunResult>(damaged, payload)) << at;
  }
}

TEST(List, CannotAnnounceMoreThanItsBytes) {
  // 1024 hashes announced, none there: nothing may be reserved for them.
  const std::byte bytes[] = {std::byte{0}, std::byte{4}};
  EXPECT_FALSE(decode<HasSegments>(bytes, 0));
}

TEST(Install, StagesAndNextNodeMustFit) {
  Install install{.epoch = 1,
                  .stage = 0,
                  .stages = 2,
                  .segment = Sha256{},
                  .inputs = {"x"},
                  .outputs = {"y"},
                  .next_node = "edge",
                  .next_address = "a:1"};
  std::vector<std::byte> meta;
  EXPECT_TRUE(encode(install, meta));
  install.stage = 1;
  EXPECT_FALSE(encode(install, meta)) << "the last stage has no next node";
  install.next_node = install.next_address = "";
  EXPECT_TRUE(encode(install, meta));
  install.stage = 2;
  EXPECT_FALSE(encode(install, meta));
  install.stage = 1;
  install.segment.reset();
  EXPECT_FALSE(encode(install, meta)) << "passing on cannot rename";
  install.outputs = install.inputs;
  EXPECT_TRUE(encode(install, meta));
  install.outputs = install.inputs = std::vector<std::string>(20, std::string(4000, 'n'));
  EXPECT_FALSE(encode(install, meta)) << "over the limit of a meta";
}

// An answer that is wanted nowhere: only a stage that answers may make nothing.
TEST(InstallProgram, OnlyAStageThatAnswersMayMakeNothing) {
  ProgramStage stage{.id = 0, .segment = Sha256{}, .inputs = {"x"}};
  std::vector<std::byte> meta;
  EXPECT_TRUE(encode(InstallProgram{1, {stage}}, meta));
  stage.calls = true;
  stage.next = 1;
  stage.next_node = "edge";
  stage.next_address = "a:1";
  EXPECT_FALSE(encode(InstallProgram{1, {stage}}, meta));
  stage.outputs = {"y"};
  EXPECT_TRUE(encode(InstallProgram{1, {stage}}, meta));
  stage.inputs.clear();
  EXPECT_FALSE(encode(InstallProgram{1, {stage}}, meta));
}

// Frames and HELLO ----------------------------------------------------------------------------------------------------

// System: CRC-32C. Expectation: the vectors of RFC 3720, B.4.
TEST(Crc32c, KnownValues) {
  const std::vector<std::byte> zeros(32, std::byte{0}), ones(32, std::byte{0xff});
  EXPECT_EQ(crc32c(zeros), 0x8a9136aau);
  EXPECT_EQ(crc32c(ones), 0x62a8ab43u);
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits))), 0xe3069283u);
}

TEST(Crc32c, TableAndInstructionAgreeAndPiecesJoin) {
  Samples samples(1);
  for (int i = 0; i < 200; ++i) {
    const std::string text = samples.text(300);
    const auto bytes = std::as_bytes(std::span(text));
    const auto cut = static_cast<std::size_t>(samples.number(bytes.size()));
    EXPECT_EQ(crc32c(bytes), crc32c_by_table(bytes, 0));
    EXPECT_EQ(crc32c(bytes), crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))));
  }
}

FrameHeader sample_header() {
  return {.type = FrameType::kRun,
          .flags = kFlagPayloadChecksum,
          .request_id = 0x0102030405060708,
          .payload_bytes = 602112,
          .meta_bytes = 77,
          .meta_crc32c = 1,
          .payload_crc32c = 2};
}

TEST(FrameHeader, ComesBackAsItWas) {
  const auto back = decode_frame_header(encode_frame_header(sample_header()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, sample_header());
}

TEST(FrameHeader, EveryFlippedBitIsNoticed) {
  const auto bytes = encode_frame_header(sample_header());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const auto back = decode_frame_header(damaged);
    ASSERT_FALSE(back) << "bit " << bit;
    ASSERT_EQ(back.error().code, ErrorCode::kCorrupt);
  }
}

// With a right checksum, as a liar would write it.
TEST(FrameHeader, LimitsUnknownTypesAndFlagsAreRefused) {
  const auto refused = [](auto change) {
    FrameHeader header = sample_header();
    change(header);
    return !decode_frame_header(encode_frame_header(header));
  };
  EXPECT_FALSE(refused([](auto& h) { h.payload_bytes = limits::kFramePayloadBytesMax; }));
  EXPECT_TRUE(refused([](auto& h) { h.payload_bytes = limits::kFramePayloadBytesMax + 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.payload_bytes = std::uint64_t{1} << 63; }));
  EXPECT_FALSE(refused([](auto& h) { h.meta_bytes = limits::kFrameMetaBytesMax; }));
  EXPECT_TRUE(refused([](auto& h) { h.meta_bytes = limits::kFrameMetaBytesMax + 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(0); }));
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(9999); }));
  EXPECT_TRUE(refused([](auto& h) { h.flags = 2; }));
  EXPECT_TRUE(refused([](auto& h) { h.flags = 0; })) << "a checksum without its flag";
}

Hello sample_hello() {
  Hello hello{.version_max = 3,
              .version_min = 2,
              .role = Role::kNode,
              .kind = ConnectionKind::kControl,
              .status = 4,
              .capabilities = 0x8877665544332211,
              .name = "edge-1",
              .message = "no room"};
  for (std::size_t i = 0; i < 16; ++i) hello.session.bytes[i] = static_cast<std::uint8_t>(0xa0 + i);
  return hello;
}

// System: HELLO's frozen layout. Expectation: these bytes, for ever; written from the table of protocol.md, not from the code.
TEST(Hello, GoldenBytes) {
  std::array<unsigned char, kHelloBytes> golden{};
  const auto put = [&golden](std::size_t at, std::initializer_list<int> values) {
    for (const int value : values) golden[at++] = static_cast<unsigned char>(value);
  };
  put(0, {'T', 'I', 'D', 'E', 'L', 'I', 'N', 'E'});
  put(8, {3, 0, 2, 0, 2, 2, 4, 0});
  put(16, {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88});
  put(24, {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf});
  put(40, {6, 'e', 'd', 'g', 'e', '-', '1'});
  put(104, {7, 'n', 'o', ' ', 'r', 'o', 'o', 'm'});
  put(252, {0x7a, 0x2c, 0x4b, 0xa7});  // computed by another program
  const auto bytes = encode_hello(sample_hello()).value();
  EXPECT_EQ(std::memcmp(bytes.data(), golden.data(), kHelloBytes), 0);
}

TEST(Hello, ComesBackAsItWas) {
  const auto bytes = encode_hello(sample_hello());
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto back = decode_hello(*bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, sample_hello());
}

TEST(Hello, EveryFlippedBitIsNoticed) {
  const auto bytes = encode_hello(sample_hello()).value();
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    ASSERT_FALSE(decode_hello(damaged)) << "bit " << bit;
  }
}

TEST(Hello, WrongNamesRolesAndRestsAreRefusedThoughTheChecksumIsRight) {
  const auto refused = [](std::size_t at, int value) {
    auto bytes = encode_hello(sample_hello()).value();
    bytes[at] = static_cast<std::byte>(value);
    store_le(bytes.data() + 252, crc32c(std::span(bytes).first(252)));
    return !decode_hello(bytes);
  };
  EXPECT_FALSE(refused(16, 0xff)) << "an unknown capability is ignored";
  EXPECT_TRUE(refused(12, 3)) << "role";
  EXPECT_TRUE(refused(13, 0)) << "kind";
  EXPECT_TRUE(refused(10, 9)) << "versions the wrong way round";
  EXPECT_TRUE(refused(40, 0)) << "no name, but letters";
  EXPECT_TRUE(refused(40, 64)) << "longer than its field";
  EXPECT_TRUE(refused(41, '/')) << "a letter that names do not have";
  EXPECT_TRUE(refused(104, 255)) << "message longer than its field";
  EXPECT_TRUE(refused(105, 7)) << "not printable";
  EXPECT_TRUE(refused(251, 1)) << "rest not zero";
}

TEST(Hello, VersionsAreAgreedOrBothRangesNamed) {
  Hello a, b;
  a.name = "a";
  b.name = "b";
  a.version_min = 1, a.version_max = 3;
  b.version_min = 2, b.version_max = 5;
  EXPECT_EQ(agree_version(a, b).value(), 3);
  EXPECT_EQ(agree_version(b, a).value(), 3);
  b.version_min = 4;
  for (const auto& none : {agree_version(a, b), agree_version(b, a)}) {
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(none.error().message, testing::AllOf(testing::HasSubstr("1 to 3"), testing::HasSubstr("4 to 5")));
  }
}

TEST(Session, IdsDiffer) { EXPECT_NE(random_session_id(), random_session_id()); }

// Behind the rest, and only where there is something to say: those that know nothing of it read the others.
TEST(NodeStatusTail, CountsOfDroppedSegments) {
  Samples samples(9);
  NodeStatus status = samples.make<NodeStatus>();
  const auto without = encoded(status);
  status.segments_reloaded = 3;
  const auto with = encoded(status);
  EXPECT_EQ(with.size(), without.size() + 16);
  const auto back = decode<NodeStatus>(with, 0);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, status);
  for (std::size_t size = without.size() + 1; size < with.size(); ++size)
    EXPECT_FALSE(decode<NodeStatus>(std::span(with).first(size), 0)) << size;
  auto nothing = with;
  std::fill(nothing.begin() + static_cast<std::ptrdiff_t>(without.size()), nothing.end(), std::byte{0});
  EXPECT_FALSE(decode<NodeStatus>(nothing, 0)) << "one message has one encoding";
}

}  // namespace
}  // namespace tideline::wire
