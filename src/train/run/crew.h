// Crew: all workers of a run as the coordinator sees them: who is there, who owes an answer, who is trusted, and what they have
// sent and received. Not thread-safe; internal to train/run.
#pragma once

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

  // REQUIRES: the worker is able.
  void work(std::uint32_t worker, TrainWork work, SharedBytes model);
  std::string address(std::uint32_t worker) const;
  // The next answer to a work order, of whichever round; nothing until the deadline, or when cancelled. A worker that was lost is
  // an answer too, with is_lost.
  std::optional<Answer> next(SteadyTime deadline);

  // Asked no more, with the reason in the news.
  void quarantine(std::uint32_t worker, std::string_view why);
  void lose(std::uint32_t worker, std::string_view why);
  void tell(std::string news);

  // Since the last call, at the sockets; adds to bytes_by_worker unless the bytes are not those of a round.
  MovedBytes take_bytes(bool are_of_round);
  // What a worker said that it has moved to and from others.
  void count_peer_bytes(std::uint32_t worker, std::uint64_t sent, std::uint64_t received);
  std::vector<std::uint64_t>& bytes_by_worker() { return bytes_by_worker_; }

  // Of every able worker; empty where there is none.
  std::vector<std::vector<std::byte>> fetch_states(bool commit);
  Result<std::vector<float>> fetch_model(std::uint32_t worker, bool commit);
  // Says goodbye to all that are there.
  void finish();
  std::vector<std::string> take_news() { return std::move(news_); }

 private:
  struct Place {
    std::unique_ptr<WorkerLink> link;
    bool is_there = true;
    bool is_trusted = true;
    bool is_busy = false;
    std::uint64_t tag = 0;
    ConnectionCounters counted;
  };
  Crew(const Job& job, const TrainOptions& options) : job_(job), options_(options) {}
  Status connect();
  Status set_up();
  std::span<const std::byte> state_of(std::uint32_t worker) const;
  std::optional<Answer> take(SteadyTime deadline);
  Result<Answer> fetch(std::uint32_t worker, TrainFetch fetch);

  const Job& job_;
  const TrainOptions& options_;
  AnswerQueue answers_;  // outlives the links
  std::vector<Place> places_;
  std::vector<std::uint64_t> samples_;
  std::vector<std::uint64_t> bytes_by_worker_;
  std::uint64_t last_tag_ = 0;
  MovedBytes peer_bytes_;
  std::vector<std::string> news_;
  std::optional<CancelToken::Watch> watch_;
};

}  // namespace tideline::train
