// PeerNetwork: the connections of one worker to the other workers, and the exchange of one round over them as a PeerGroup.
//
// Each direction has a connection of its own: who sends, calls. What comes is read at once by a thread for each connection and
// kept until it is asked for, up to limits::kTrainInboxModelsMax models; then that sender has to wait. When any member is found
// to be gone, every connection is shut down: the news goes around the group at the speed of the network, all fail this attempt
// and none waits for its deadline. The coordinator then names who is left. A member that sends another step, another length or a
// number that is not finite is remembered (take_accused()). begin(), abort() and the PeerGroup belong to one thread; adopt() is
// for any. `transport` outlives it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "train/exchange/all_reduce.h"
#include "train/protocol/messages.h"
#include "transport/transport.h"

namespace tideline::train {

// "worker-7": the name in the HELLO of a worker that calls another.
std::string worker_name(std::uint32_t worker);
// The number in it; kInvalidArgument.
Result<std::uint32_t> worker_of_name(std::string_view name);

class PeerNetwork final : public PeerGroup {
 public:
  // `numbers_max`: of one piece. `is_over`: whether nobody wants the exchange any more; asked while this worker waits.
  PeerNetwork(Transport& transport, std::uint32_t worker, wire::SessionId session, std::size_t numbers_max,
              std::chrono::nanoseconds patience, std::function<bool()> is_over);
  ~PeerNetwork() override;

  // A connection on which another worker sends, after its HELLO: takes the place of an earlier one of the same worker.
  void adopt(std::uint32_t worker, std::unique_ptr<Channel> channel);
  // The next exchange. kInvalidArgument when this worker is not among the members.
  Status begin(std::uint64_t round, std::uint32_t attempt, const std::vector<TrainWork::Member>& members);
  // Shuts down all connections, so that everybody else in this attempt learns that it has failed.
  void abort();

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return members_.size(); }
  Status send(std::size_t to, std::uint32_t step, std::span<const float> numbers) override;
  Status receive(std::size_t from, std::uint32_t step, std::span<float> into) override;

  // Who sent this worker what no member may, if anybody has since the last call.
  std::optional<std::uint32_t> take_accused() { return std::exchange(accused_, std::nullopt); }

  struct Bytes {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
  };
  // At the sockets, since the last call.
  Bytes take_bytes();

 private:
  struct Piece {
    TrainPiece head;
    std::vector<float> numbers;
  };
  struct Incoming {
    std::unique_ptr<Channel> channel;
    std::thread reader;
    std::deque<Piece> pieces;
    std::size_t numbers = 0;  // in them
    bool ended = false;
    bool is_used = false;  // in this attempt
  };
  void read(Incoming& incoming);
  void read_pieces(Incoming& incoming);
  Error accuse(std::uint32_t worker, std::string_view what);
  Result<Channel*> outgoing_to(std::size_t rank, SteadyTime deadline);
  bool any_outgoing_ended();
  void close(Incoming& incoming);
  void drop_outgoing();

  Transport& transport_;
  const std::uint32_t worker_;
  const wire::SessionId session_;
  const std::size_t numbers_max_;
  const std::chrono::nanoseconds patience_;
  const std::function<bool()> is_over_;

  std::optional<std::uint32_t> accused_;
  std::uint64_t round_ = 0;
  std::uint32_t attempt_ = 0;
  std::size_t rank_ = 0;
  SteadyTime begun_{};
  std::vector<TrainWork::Member> members_;
  std::map<std::uint32_t, std::unique_ptr<Channel>> outgoing_;
  std::uint64_t sent_before_ = 0;  // by connections that are gone
  std::uint64_t sent_reported_ = 0;
  std::uint64_t received_reported_ = 0;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool closing_ = false;
  std::optional<std::pair<std::uint64_t, std::uint32_t>> failed_;  // round and attempt that this worker gave up last
  std::uint64_t received_before_ = 0;
  std::map<std::uint32_t, std::unique_ptr<Incoming>> incoming_;
};

}  // namespace tideline::train
