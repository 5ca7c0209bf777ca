// Goal: every message of training is read as it was written, and nothing else is accepted. Method: messages with every field set,
// each byte of their metas cut off or changed, and the slips of a liar.
#include "train/protocol/messages.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace tideline::train {
namespace {

TrainSetup setup() {
  return {.worker = 2, .workers = 5, .job = {std::byte{'{'}, std::byte{'}'}}, .model_bytes = 70, .state_bytes = 6};
}
TrainWork work() {
  return {.round = 9, .rounds = 11, .attempt = 1, .commit = true, .members = {{0, "127.0.0.1:4000"}, {3, "[::1]:5"}}};
}
TrainUpdate update() {
  return {.round = 9,
          .attempt = 1,
          .samples = 10,
          .correct = 4,
          .loss = 0.5,
          .compute_ns = 7,
          .peer_sent_bytes = 8,
          .peer_received_bytes = 9,
          .replica_crc32c = 10};
}

template <class Message>
void check(const Message& message, std::uint64_t payload) {
  std::vector<std::byte> meta;
  ASSERT_TRUE(encode_train(message, meta));
  const auto back = decode_train<Message>(meta, payload);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, message);
  for (std::size_t size = 0; size < meta.size(); ++size)
    EXPECT_FALSE(decode_train<Message>(std::span(meta).first(size), payload)) << size;
  meta.push_back(std::byte{0});
  EXPECT_EQ(decode_train<Message>(meta, payload).error().code, ErrorCode::kCorrupt);
}

TEST(TrainMessages, WhatIsWrittenIsRead) {
  check(setup(), 76);
  check(TrainReady{1, 2, 3}, 0);
  check(work(), 40);
  check(update(), 123);
  check(TrainFetch{TrainFetch::What::kState, true}, 0);
  check(TrainState{TrainFetch::What::kModel}, 44);
  check(TrainPiece{1, 2, 3}, 400);
}

template <class Message>
bool is_refused(const Message& message, std::uint64_t payload) {
  std::vector<std::byte> meta;
  return !encode_train(message, meta) || !fits_train_payload(message, payload);
}

TEST(TrainMessages, LiarsAreRefused) {
  const auto with = [](auto message, auto change) {
    change(message);
    return message;
  };
  EXPECT_TRUE(is_refused(with(setup(), [](auto& m) { m.worker = 5; }), 76));
  EXPECT_TRUE(is_refused(with(setup(), [](auto& m) { m.model_bytes = limits::kTrainModelBytesMax + 1; }), 76));
  EXPECT_TRUE(is_refused(with(setup(), [](auto& m) { m.job.resize(limits::kTrainJobBytesMax + 1); }), 76));
  EXPECT_TRUE(is_refused(setup(), 75));
  EXPECT_TRUE(is_refused(with(work(), [](auto& m) { std::swap(m.members[0], m.members[1]); }), 0));
  EXPECT_TRUE(is_refused(with(work(), [](auto& m) { m.members[1].worker = 0; }), 0));
  EXPECT_TRUE(is_refused(work(), 41));
  EXPECT_TRUE(is_refused(work(), limits::kTrainModelBytesMax + 4));
  EXPECT_TRUE(is_refused(with(update(), [](auto& m) { m.correct = 11; }), 0));
  EXPECT_TRUE(is_refused(update(), limits::kTrainUpdateBytesMax + 1));
  EXPECT_TRUE(is_refused(TrainPiece{1, 2, 3}, 402));
  EXPECT_TRUE(is_refused(TrainFetch{static_cast<TrainFetch::What>(3), false}, 0));
}

}  // namespace
}  // namespace tideline::train
