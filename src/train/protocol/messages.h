// The messages between a coordinator of training and its workers, and among workers, as plain structs, and their bytes. They are
// frames of the wire protocol (wire/protocol.md, section Training); src/train/run moves them.
//
// Values; functions without state: thread-safe. As in wire/messages.h: a decoder reads what a stranger sent, every length is held
// against base/limits.h before anything is allocated, and anything wrong is kCorrupt.
//
//   TIDELINE_CHECK_OK(send(channel, round, TrainWork{.round = round, .model_bytes = bytes.size()}, {&bytes, 1}, deadline));
//   TIDELINE_TRY(const TrainUpdate update, decode_train<TrainUpdate>(frame));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "transport/channel.h"
#include "wire/messages.h"

namespace tideline::train {

// Coordinator to worker, first: what is trained. Payload: the model's file, then the state that this worker had at a checkpoint
// (none at a start). Answered by TRAIN_READY.
struct TrainSetup {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainSetup;
  std::uint32_t worker = 0;  // below `workers`
  std::uint32_t workers = 1;
  std::vector<std::byte> job;     // write_job(); at most limits::kTrainJobBytesMax
  std::uint64_t model_bytes = 0;  // at most limits::kTrainModelBytesMax
  std::uint64_t state_bytes = 0;  // at most limits::kTrainStateBytesMax
  bool operator==(const TrainSetup&) const = default;
};
struct TrainReady {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainReady;
  std::uint64_t samples = 0;
  std::uint64_t parameters = 0;
  std::uint64_t buffers = 0;
  bool operator==(const TrainReady&) const = default;
};

// Coordinator to worker: take part in a round. Payload: the coordinator's model as float32, parameters and then buffers; none
// where workers keep models of their own. Answered by TRAIN_UPDATE.
struct TrainWork {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainWork;
  std::uint64_t round = 0;
  std::uint64_t rounds = 0;   // of the whole run
  std::uint32_t attempt = 0;  // of this round; above 0 after a member was lost
  bool commit = false;        // what the last attempt of the round before gave holds
  struct Member {
    std::uint32_t worker = 0;
    std::string address;  // "host:port", where other workers reach it
    bool operator==(const Member&) const = default;
  };
  std::vector<Member> members;  // by rising worker; none over a parameter server
  bool operator==(const TrainWork&) const = default;
};
// Payload: the update as the job's compression writes it; none between peers.
struct TrainUpdate {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainUpdate;
  std::uint64_t round = 0;
  std::uint32_t attempt = 0;
  std::uint64_t samples = 0;  // that it was computed from
  std::uint64_t correct = 0;
  double loss = 0;  // their mean; any number, NaN included: the coordinator judges
  std::uint64_t compute_ns = 0;
  std::uint64_t peer_sent_bytes = 0;      // to other workers, at the sockets, since the last TRAIN_UPDATE
  std::uint64_t peer_received_bytes = 0;  // from them
  std::uint32_t replica_crc32c = 0;       // of the worker's own model before this round; 0 over a parameter server
  bool operator==(const TrainUpdate&) const = default;
};

// Coordinator to worker: what you have, please. Answered by TRAIN_STATE, whose payload it is.
struct TrainFetch {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainFetch;
  enum class What : std::uint8_t { kModel = 1, kState = 2 };
  What what = What::kModel;
  bool commit = false;  // as in TRAIN_WORK, before it is fetched
  bool operator==(const TrainFetch&) const = default;
};
struct TrainState {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainState;
  TrainFetch::What what = TrainFetch::What::kModel;
  bool operator==(const TrainState&) const = default;
};

// Worker to worker: one step of an exchange. Payload: float32 numbers. Not answered.
struct TrainPiece {
  static constexpr wire::FrameType kType = wire::FrameType::kTrainPiece;
  std::uint64_t round = 0;
  std::uint32_t attempt = 0;
  std::uint32_t step = 0;
  bool operator==(const TrainPiece&) const = default;
};

template <class Message>
Status encode_train(const Message& message, std::vector<std::byte>& meta);
// Whether a frame with this message may have a payload of that size.
template <class Message>
bool fits_train_payload(const Message& message, std::uint64_t payload_bytes);
template <class Message>
Result<Message> decode_train(std::span<const std::byte> meta, std::uint64_t payload_bytes);

// The message of a frame; an ERROR frame becomes its Error, another type kCorrupt.
template <class Message>
Result<Message> decode_train(const Frame& frame);
// As Channel::send.
template <class Message>
Status send_train(Channel& channel, std::uint64_t id, const Message& message, ConstPieces payload, SteadyTime deadline);

}  // namespace tideline::train
