// Crew: all workers of a run as the coordinator sees them: who is there, who owes an answer, who is trusted, and what they have
// sent and received. Who is lost is called again, beside the rounds of the others, where TrainOptions says how (call_lost()).
// Over a parameter server it is then there; between peers it waits, set up but for its state, to be admitted between two rounds.
// Not thread-safe; internal to train/run.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/run/coordinator.h"
#include "train/run/link.h"

namespace tideline::train {

struct MovedBytes {
  std::uint64_t up = 0;    // sent by workers
  std::uint64_t down = 0;  // received by them
};

class Crew {
 public:
  // Connects, sets up and waits until every worker is ready.
  static Result<std::unique_ptr<Crew>> call(const Job& job, const TrainOptions& options);

  // Those that can be asked: there, trusted, and not busy with an earlier order. Ascending.
  std::vector<std::uint32_t> able() const;
  // Those that are there and trusted, busy or not.
  std::size_t alive() const;
  bool is_alive(std::uint32_t worker) const { return places_[worker].is_there && places_[worker].is_trusted; }
  bool is_busy(std::uint32_t worker) const { return places_[worker].is_busy; }
  const std::vector<std::uint64_t>& samples() const { return samples_; }

  // Calls those that are lost and whose turn it is; does not wait.
  void call_lost();
  // Whether somebody who is lost may come back.
  bool may_return() const;
  // Those that have come back and wait for their state.
  std::vector<std::uint32_t> waiting() const;
  // Gives one of them the state of another, and waits until it is ready: then it is able. It is lost again otherwise.
  void admit(std::uint32_t worker, std::span<const std::byte> state);

  // REQUIRES: the worker is able.
  void work(std::uint32_t worker, TrainWork work, SharedBytes model);
  std::string address(std::uint32_t worker) const;
  // The next answer to a work order, of whichever round; nothing until the deadline, when cancelled, or when a worker has come
  // back. A worker that was lost is an answer too, with is_lost.
  std::optional<Answer> next(SteadyTime deadline) { return take(deadline); }

  // Asked no more, with the reason in the news.
  void quarantine(std::uint32_t worker, std::string_view why);
  void lose(std::uint32_t worker, std::string_view why);
  // Who was away, lost or late, comes with what the others have long learned away from: for a while its updates may be longer
  // than theirs and are shortened, not rejected. use_grace(): whether that holds, of one update that is too long. The grace ends
  // with the first one that is not (end_grace()).
  void set_away(std::uint32_t worker) { places_[worker].grace = kGraceUpdates; }
  bool use_grace(std::uint32_t worker);
  void end_grace(std::uint32_t worker) { places_[worker].grace = 0; }
  void tell(std::string news);

  // Since the last call, at the sockets; adds to bytes_by_worker unless the bytes are not those of a round.
  MovedBytes take_bytes(bool are_of_round);
  // What a worker said that it has moved to and from others.
  void count_peer_bytes(std::uint32_t worker, std::uint64_t sent, std::uint64_t received);
  std::vector<std::uint64_t>& bytes_by_worker() { return bytes_by_worker_; }

  // Of every able worker; empty where there is none.
  std::vector<std::vector<std::byte>> fetch_states(bool commit);
  Result<std::vector<std::byte>> fetch_state(std::uint32_t worker, bool commit);
  Result<std::vector<float>> fetch_model(std::uint32_t worker, bool commit);
  // Says goodbye to all that are there.
  void finish();
  std::vector<std::string> take_news() { return std::move(news_); }

 private:
  struct Place {
    std::unique_ptr<WorkerLink> link;
    Address address;
    bool is_there = false;
    bool is_trusted = true;
    bool is_busy = false;
    bool is_called = false;   // its TRAIN_READY is awaited
    bool is_waiting = false;  // to be admitted
    SteadyTime call_at{};     // not before
    std::chrono::nanoseconds pause{0};
    std::uint64_t tag = 0;
    std::uint32_t grace = 0;
    ConnectionCounters counted;
  };
  static constexpr std::uint32_t kGraceUpdates = 20;
  Crew(const Job& job, const TrainOptions& options);
  Status set_up();
  Status call(std::uint32_t worker, std::span<const std::byte> state);
  TrainSetup setup_message(std::uint32_t worker, std::size_t state_bytes) const;
  std::span<const std::byte> state_of(std::uint32_t worker) const;
  Status judge(const Answer& answer);
  void settle_call(const Answer& answer);
  void call_later(Place& place);
  std::optional<Answer> take(SteadyTime deadline);
  // The answer to the order that this worker was just given; what others say meanwhile is kept for take().
  std::optional<Answer> take_of(std::uint32_t worker, SteadyTime deadline);
  Result<Answer> fetch(std::uint32_t worker, TrainFetch fetch);
  void count(std::uint32_t worker, bool are_of_round, MovedBytes& moved);

  const Job& job_;
  const TrainOptions& options_;
  const std::string text_;   // of the job
  const SharedBytes model_;  // its file
  const wire::Hello hello_;
  AnswerQueue answers_;  // outlives the links
  std::deque<Answer> kept_;
  std::vector<Place> places_;
  std::vector<std::uint64_t> samples_;
  std::vector<std::uint64_t> bytes_by_worker_;
  std::uint64_t last_tag_ = 0;
  MovedBytes peer_bytes_;
  std::vector<std::string> news_;
  std::optional<CancelToken::Watch> watch_;
};

}  // namespace tideline::train
