// Frames over a connection: what goes in comes out whatever the pieces it travels in, and a peer that lies or breaks off is a
// typed error.
#include "transport/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>

#include "transport/test_times.h"
#include "wire/codec.h"
#include "wire/samples.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

struct Ends {
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Connection> caller, node;
};
Ends connect(std::unique_ptr<Transport> transport) {
  auto listener = transport->listen({"127.0.0.1", 0}).value();
  auto caller = transport->connect(listener->address(), soon()).value();
  auto node = listener->accept(soon()).value();
  return {std::move(transport), std::move(caller), std::move(node)};
}

void put(Connection& connection, std::span<const std::byte> bytes) { ASSERT_TRUE(connection.send({&bytes, 1}, soon())); }

wire::Hello hello(std::string name) {
  wire::Hello mine;
  mine.session = wire::random_session_id();
  mine.name = std::move(name);
  return mine;
}

std::vector<std::byte> bytes_of(std::size_t size, unsigned seed) {
  wire::Samples samples(seed);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(samples.number(255));
  return bytes;
}

wire::WireTensor bytes_tensor(std::uint16_t index, std::size_t size) {
  return wire::wire_tensor(index, DType::kUint8, std::vector<std::int64_t>{static_cast<std::int64_t>(size)}).value();
}

// A whole frame, as bytes to damage.
template <class Message>
std::vector<std::byte> frame_bytes(std::uint64_t id, const Message& message, std::span<const std::byte> payload,
                                   std::uint16_t flags = 0) {
  std::vector<std::byte> bytes(wire::kFrameHeaderBytes);
  EXPECT_TRUE(wire::encode(message, bytes));
  wire::FrameHeader header{.type = Message::kType, .flags = flags, .request_id = id, .payload_bytes = payload.size()};
  header.meta_bytes = static_cast<std::uint32_t>(bytes.size() - wire::kFrameHeaderBytes);
  bytes.resize(wire::frame_head_bytes(header.meta_bytes));
  header.meta_crc32c = wire::crc32c(std::span(bytes).subspan(wire::kFrameHeaderBytes));
  if (flags != 0) header.payload_crc32c = wire::crc32c(payload);
  std::memcpy(bytes.data(), wire::encode_frame_header(header).data(), wire::kFrameHeaderBytes);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() : ends_(connect(make_tcp_transport({}))), caller_(std::move(ends_.caller)), node_(std::move(ends_.node)) {}
  Ends ends_;
  Channel caller_, node_;
};

TEST_F(ChannelTest, GreetingAgreesOnAVersion) {
  const auto mine = hello("camera");
  auto greeting = std::async(std::launch::async, [&] { return caller_.greet(mine, soon()); });
  const auto theirs = node_.await_hello(soon());
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_EQ(*theirs, mine);
  wire::Hello reply;
  reply.name = "edge";
  ASSERT_TRUE(node_.welcome(reply, *theirs, nullptr, soon()));
  const auto greeted = greeting.get();
  ASSERT_TRUE(greeted) << greeted.error().message;
  EXPECT_EQ(greeted->name, "edge");
  EXPECT_EQ(greeted->session, mine.session);
  EXPECT_EQ(caller_.version(), wire::kVersion);
  EXPECT_EQ(node_.version(), wire::kVersion);
}

TEST_F(ChannelTest, ARefusalReachesTheCallerWithItsReason) {
  auto greeting = std::async(std::launch::async, [&] {
    auto greeted = caller_.greet(hello("camera"), soon());
    caller_.shutdown();
    return greeted;
  });
  const auto theirs = node_.await_hello(soon()).value();
  const Error full{ErrorCode::kOverloaded, "256 connections are open"};
  const Status welcomed = node_.welcome(hello("edge"), theirs, &full, soon());
  ASSERT_FALSE(welcomed);
  EXPECT_EQ(welcomed.error().code, ErrorCode::kOverloaded);
  const auto greeted = greeting.get();
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().code, ErrorCode::kOverloaded);
  EXPECT_THAT(greeted.error().message, testing::AllOf(testing::HasSubstr("edge"), testing::HasSubstr("256 connections")));
}

TEST_F(ChannelTest, NoCommonVersionIsUnsupportedAtBothEnds) {
  auto greeting = std::async(std::launch::async, [&] {
    auto future = hello("camera");
    future.version_min = future.version_max = 999;
    auto greeted = caller_.greet(future, soon());
    caller_.shutdown();
    return greeted;
  });
  const auto theirs = node_.await_hello(soon()).value();
  const Status welcomed = node_.welcome(hello("edge"), theirs, nullptr, soon());
  ASSERT_FALSE(welcomed);
  EXPECT_EQ(welcomed.error().code, ErrorCode::kUnsupported);
  const auto greeted = greeting.get();
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(greeted.error().message, testing::HasSubstr("999"));
}

TEST_F(ChannelTest, SomebodyElsesProtocolIsCorrupt) {
  std::string http = "GET / HTTP/1.1\r\nHost: edge\r\n\r\n";
  http.resize(wire::kHelloBytes, ' ');
  put(caller_.connection(), std::as_bytes(std::span(http)));
  const auto theirs = node_.await_hello(soon());
  ASSERT_FALSE(theirs);
  EXPECT_EQ(theirs.error().code, ErrorCode::kCorrupt);
}

TEST_F(ChannelTest, HalfAHelloEndsAtTheDeadline) {
  put(caller_.connection(), bytes_of(100, 1));
  const auto theirs = node_.await_hello(deadline_in(50ms));
  ASSERT_FALSE(theirs);
  EXPECT_EQ(theirs.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(ChannelTest, AReplyForAnotherSessionIsCorrupt) {
  auto greeting = std::async(std::launch::async, [&] { return caller_.greet(hello("camera"), soon()); });
  ASSERT_TRUE(node_.await_hello(soon()));
  auto other = hello("edge");
  other.role = wire::Role::kNode;
  put(node_.connection(), wire::encode_hello(other).value());
  const auto greeted = greeting.get();
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().code, ErrorCode::kCorrupt);
}

TEST_F(ChannelTest, TensorsArriveInTheBuffersGiven) {
  const auto first = bytes_of(100'001, 1), second = bytes_of(3, 2), none = bytes_of(0, 3), fourth = bytes_of(2'000'000, 4);
  const wire::Run run{.epoch = 9,
                      .stage = 2,
                      .deadline_us = 5,
                      .tensors = {bytes_tensor(0, first.size()), bytes_tensor(1, second.size()), bytes_tensor(2, none.size()),
                                  bytes_tensor(3, fourth.size())}};
  auto sending = std::async(std::launch::async, [&] {
    const std::span<const std::byte> payload[] = {first, second, none, fourth};
    return caller_.send(77, run, payload, soon());
  });
  const auto frame = node_.receive(soon());
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_EQ(frame->header.request_id, 77u);
  const auto got = decode<wire::Run>(*frame);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(*got, run);
  std::vector<std::vector<std::byte>> buffers(4);
  const Status received = receive_tensors(
      node_, *frame, got->tensors,
      [&](std::size_t i, const wire::WireTensor& tensor) -> Result<std::span<std::byte>> {
        buffers[i].resize(tensor.bytes);
        return std::span<std::byte>(buffers[i]);
      },
      soon());
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_TRUE(sending.get());
  EXPECT_EQ(buffers[0], first);
  EXPECT_EQ(buffers[1], second);
  EXPECT_EQ(buffers[3], fourth);
}

// At a pace it is the same frame: pieces of what was asked for, one after another, whatever tensors they end in.
TEST_F(ChannelTest, APacedPayloadArrivesWholeAndLetsOthersGoBetween) {
  const auto first = bytes_of(100'001, 1), second = bytes_of(3, 2), third = bytes_of(50'000, 3);
  const wire::Run run{.epoch = 9,
                      .stage = 2,
                      .deadline_us = 5,
                      .tensors = {bytes_tensor(0, first.size()), bytes_tensor(1, second.size()), bytes_tensor(2, third.size())}};
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{64'000}, std::size_t{150'004}, std::size_t{1'000'000}}) {
    std::vector<std::size_t> pieces;
    const Pace pace{.bytes = bytes, .before = [&](std::size_t next) { pieces.push_back(next); }};
    auto sending = std::async(std::launch::async, [&] {
      const std::span<const std::byte> payload[] = {first, second, third};
      return caller_.send(77, run, payload, soon(), &pace);
    });
    const auto frame = node_.receive(soon());
    ASSERT_TRUE(frame) << frame.error().message;
    std::vector<std::byte> seen(150'004);
    const std::span<std::byte> into(seen);
    ASSERT_TRUE(node_.receive_payload(*frame, {&into, 1}, soon()));
    ASSERT_TRUE(sending.get());
    std::vector<std::byte> sent = first;
    sent.insert(sent.end(), second.begin(), second.end());
    sent.insert(sent.end(), third.begin(), third.end());
    EXPECT_EQ(seen, sent);
    // All but the first, which leaves with the head.
    std::size_t rest = 150'004 - std::min<std::size_t>(bytes, 150'004);
    for (const std::size_t piece : pieces) {
      EXPECT_EQ(piece, std::min(bytes, rest));
      rest -= piece;
    }
    EXPECT_EQ(rest, 0u);
  }
}

TEST_F(ChannelTest, OneSendForARunAndOneReadForASmallResult) {
  const auto payload = bytes_of(4096, 1);
  const std::span<const std::byte> piece(payload);
  ASSERT_TRUE(node_.send(1, wire::RunResult{.epoch = 1, .tensors = {bytes_tensor(0, 4096)}}, {&piece, 1}, soon()));
  EXPECT_EQ(node_.connection().counters().send_calls, 1u);
  const auto frame = caller_.receive(soon());
  ASSERT_TRUE(frame);
  std::vector<std::byte> got(4096);
  const std::span<std::byte> into(got);
  ASSERT_TRUE(caller_.receive_payload(*frame, {&into, 1}, soon()));
  EXPECT_EQ(got, payload);
  // The operating system may deliver the 4 kB in two parts.
  EXPECT_LE(caller_.connection().counters().receive_calls, 2u);
}

TEST_F(ChannelTest, ARefusedTensorIsSkippedAndTheConnectionGoesOn) {
  const auto payload = bytes_of(300'000, 1);
  auto sending = std::async(std::launch::async, [&] {
    const std::span<const std::byte> piece(payload);
    const Status run = caller_.send(1, wire::Run{.epoch = 1, .tensors = {bytes_tensor(0, payload.size())}}, {&piece, 1}, soon());
    return run ? caller_.send(2, wire::GetStatus{}, soon()) : run;
  });
  const auto frame = node_.receive(soon()).value();
  const auto run = decode<wire::Run>(frame).value();
  const Status refused = receive_tensors(
      node_, frame, run.tensors,
      [](std::size_t, const wire::WireTensor&) {
        return Error{ErrorCode::kInvalidArgument, "another shape"};
      },
      soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "another shape");
  const auto next = node_.receive(soon());
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_TRUE(decode<wire::GetStatus>(*next));
  EXPECT_TRUE(sending.get());
}

TEST_F(ChannelTest, AnErrorFrameIsTheErrorOfWhateverWasExpected) {
  ASSERT_TRUE(node_.send(5, wire::to_message({ErrorCode::kNotFound, "no such epoch"}, "edge"), soon()));
  const auto frame = caller_.receive(soon()).value();
  const auto result = decode<wire::RunResult>(frame);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(result.error().message, "node edge: no such epoch");
  ASSERT_TRUE(node_.send(5, wire::Pong{}, soon()));
  const auto other = decode<wire::RunResult>(caller_.receive(soon()).value());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kCorrupt);
}

TEST_F(ChannelTest, WhatMayNotBeSentIsNotSent) {
  const auto payload = bytes_of(5, 1);
  const std::span<const std::byte> piece(payload);
  const Status wrong_size = caller_.send(1, wire::Run{.tensors = {bytes_tensor(0, 4)}}, {&piece, 1}, soon());
  ASSERT_FALSE(wrong_size);
  EXPECT_EQ(wrong_size.error().code, ErrorCode::kInvalidArgument);
  const Status no_name = caller_.send(1, wire::NodeStatus{}, soon());
  ASSERT_FALSE(no_name);
  EXPECT_EQ(no_name.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(caller_.connection().counters().sent_bytes, 0u);
}

TEST_F(ChannelTest, PayloadChecksumsFindDamage) {
  const auto payload = bytes_of(50'000, 1);
  const std::span<const std::byte> piece(payload);
  std::vector<std::byte> got(payload.size());
  const std::span<std::byte> into(got);
  caller_.checksum_payloads(true);
  const wire::Run run{.tensors = {bytes_tensor(0, payload.size())}};
  ASSERT_TRUE(caller_.send(1, run, {&piece, 1}, soon()));
  EXPECT_TRUE(node_.receive_payload(node_.receive(soon()).value(), {&into, 1}, soon()));
  auto damaged = frame_bytes(2, run, payload, wire::kFlagPayloadChecksum);
  damaged[damaged.size() - 10] ^= std::byte{1};
  put(caller_.connection(), damaged);
  const Status received = node_.receive_payload(node_.receive(soon()).value(), {&into, 1}, soon());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(caller_.send(3, wire::GetStatus{}, soon()));
  EXPECT_TRUE(node_.receive(soon())) << "the connection goes on";
}

// Every bit of the head of a frame: noticed, remembered, and never a wait for bytes that were not announced truly.
TEST(ChannelDamage, EveryFlippedBitOfAHeadIsCorrupt) {
  const auto payload = bytes_of(16, 1);
  const auto good = frame_bytes(3, wire::Run{.epoch = 1, .tensors = {bytes_tensor(0, 16)}}, payload);
  const std::size_t head = good.size() - payload.size();
  for (std::size_t bit = 0; bit < 8 * head; bit += 3) {
    Ends ends = connect(make_loopback_transport());
    Channel node(std::move(ends.node));
    auto damaged = good;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    put(*ends.caller, damaged);
    const auto frame = node.receive(soon());
    ASSERT_FALSE(frame) << "bit " << bit;
    ASSERT_EQ(frame.error().code, ErrorCode::kCorrupt) << "bit " << bit << ": " << frame.error().message;
    put(*ends.caller, good);
    const auto next = node.receive(soon());
    ASSERT_FALSE(next);
    ASSERT_EQ(next.error().code, ErrorCode::kCorrupt);
    EXPECT_TRUE(node.send(0, wire::to_message(frame.error(), "edge"), soon())) << "it can still say so";
  }
}

TEST(ChannelDamage, CutAnywhereIsDisconnected) {
  const auto payload = bytes_of(9000, 1);
  const auto good = frame_bytes(3, wire::Run{.epoch = 1, .tensors = {bytes_tensor(0, payload.size())}}, payload);
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 20) {
    Ends ends = connect(make_loopback_transport());
    Channel node(std::move(ends.node));
    put(*ends.caller, std::span(good).first(size));
    ends.caller.reset();
    std::vector<std::byte> got(payload.size());
    const std::span<std::byte> into(got);
    const auto frame = node.receive(soon());
    const Status end = frame ? node.receive_payload(*frame, {&into, 1}, soon()) : Status(frame.error());
    ASSERT_FALSE(end) << "cut to " << size;
    ASSERT_EQ(end.error().code, ErrorCode::kDisconnected) << end.error().message;
  }
}

TEST(ChannelDamage, OneByteAtATimeIsTheSame) {
  Ends ends = connect(make_loopback_transport());
  Channel node(std::move(ends.node));
  const auto payload = bytes_of(300, 1);
  const wire::Run run{.epoch = 4, .tensors = {bytes_tensor(0, payload.size())}};
  auto bytes = frame_bytes(3, run, payload);
  const auto second = frame_bytes(4, wire::GetStatus{}, {});
  bytes.insert(bytes.end(), second.begin(), second.end());
  for (std::size_t i = 0; i < 60; ++i) put(*ends.caller, std::span(bytes).subspan(i, 1));
  // What came so far is kept over the deadline.
  const auto early = node.receive(deadline_in(5ms));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, ErrorCode::kDeadlineExceeded);
  auto sending = std::async(std::launch::async, [&] {
    for (std::size_t i = 60; i < bytes.size(); ++i) put(*ends.caller, std::span(bytes).subspan(i, 1));
  });
  const auto frame = node.receive(soon());
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_EQ(decode<wire::Run>(*frame).value(), run);
  std::vector<std::byte> got(payload.size());
  const std::span<std::byte> into(got);
  ASSERT_TRUE(node.receive_payload(*frame, {&into, 1}, soon()));
  EXPECT_EQ(got, payload);
  EXPECT_TRUE(decode<wire::GetStatus>(node.receive(soon()).value()));
}

TEST(ChannelDamage, ALiarsLengthIsRefusedBeforeAnythingIsAllocated) {
  Ends ends = connect(make_loopback_transport());
  Channel node(std::move(ends.node));
  wire::FrameHeader header{.type = wire::FrameType::kRun, .payload_bytes = std::uint64_t{1} << 63};
  put(*ends.caller, wire::encode_frame_header(header));
  const auto frame = node.receive(soon());
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::kCorrupt);
}

TEST(ChannelFlow, FramesOfAllKindsAndSizesOneAfterAnother) {
  Ends ends = connect(make_tcp_transport({}));
  Channel caller(std::move(ends.caller)), node(std::move(ends.node));
  auto sending = std::async(std::launch::async, [&]() -> Status {
    for (unsigned seed = 0; seed < 300; ++seed) {
      wire::Samples samples(seed);
      if (seed % 3 == 0) {
        TIDELINE_CHECK_OK(caller.send(seed, samples.make<wire::Install>(), soon()));
      } else if (seed % 3 == 1) {
        TIDELINE_CHECK_OK(caller.send(seed, samples.make<wire::HasSegments>(), soon()));
      } else {
        const auto payload = bytes_of(samples.number(20'000) + 1, seed);
        const std::span<const std::byte> piece(payload);
        TIDELINE_CHECK_OK(
            caller.send(seed, wire::Run{.epoch = seed, .tensors = {bytes_tensor(0, payload.size())}}, {&piece, 1}, soon()));
      }
    }
    return {};
  });
  for (unsigned seed = 0; seed < 300; ++seed) {
    wire::Samples samples(seed);
    const auto frame = node.receive(soon());
    ASSERT_TRUE(frame) << frame.error().message;
    ASSERT_EQ(frame->header.request_id, seed);
    if (seed % 3 == 0) {
      ASSERT_EQ(decode<wire::Install>(*frame).value(), samples.make<wire::Install>());
    } else if (seed % 3 == 1) {
      ASSERT_EQ(decode<wire::HasSegments>(*frame).value(), samples.make<wire::HasSegments>());
    } else {
      const auto expected = bytes_of(samples.number(20'000) + 1, seed);
      std::vector<std::byte> got(expected.size());
      const std::span<std::byte> into(got);
      ASSERT_TRUE(node.receive_payload(*frame, {&into, 1}, soon()));
      ASSERT_EQ(got, expected);
    }
  }
  EXPECT_TRUE(sending.get());
}

}  // namespace
}  // namespace tideline
