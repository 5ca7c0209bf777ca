// The three ways in which rounds run, and what they share. Internal to train/run.
#pragma once

#include "train/run/crew.h"

namespace tideline::train {

// How many samples an update of a worker with so many may at most have been computed from.
std::uint64_t samples_max(const Job& job, std::uint64_t samples);

// When nobody at all answers, at least so long is waited for one of them: a machine may be busy with something else.
constexpr std::chrono::seconds kNobodyPatience{30};

// A run under way.
class TrainingRun {
 public:
  TrainingRun(const Job& job, const TrainOptions& options, Crew& crew);
  virtual ~TrainingRun() = default;
  // Until the last round, or until cancelled.
  virtual Status run() = 0;
  TrainReport take_report();

 protected:
  bool is_cancelled() const { return options_.cancel.cancelled(); }
  std::chrono::nanoseconds patience() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience);
  }
  // A whole model as a work order's payload.
  SharedBytes model_bytes() const;
  // Until somebody can be asked: kDisconnected when nobody is left who may come back, kDeadlineExceeded after the patience
  // (kNobodyPatience at least), ok also when cancelled.
  Status wait_for_somebody();
  // Why an update cannot be used, if it cannot: what it says of itself, and numbers that are not finite.
  std::optional<std::string> fault_of(const Answer& answer) const;
  // Evaluates and saves where that is due; then the round is over. `record` has what happened; its bytes are filled in.
  Status finish_round(RoundRecord record);
  Status evaluate(RoundRecord& record);
  // Makes model_ the newest one, where workers have it.
  virtual Status update_model() { return {}; }
  virtual void save_server(StateWriter&) const {}
  // Whether the workers must first take over what the last round gave.
  virtual bool take_commit() { return false; }
  Status save_now();
  // At the end of a run that was cancelled: what it has come to, and a checkpoint.
  Status wind_up();
  // That a checkpoint cannot be written ends no run; it is told.
  void try_to_save();

  const Job& job_;
  const TrainOptions& options_;
  Crew& crew_;
  std::vector<float> model_;
  std::vector<RoundRecord> records_;
  std::vector<std::uint64_t> staleness_;
  std::uint64_t round_ = 0;  // that comes next
  std::uint64_t saved_round_ = 0;
};

Result<std::unique_ptr<TrainingRun>> make_central_run(const Job& job, const TrainOptions& options, Crew& crew);
Result<std::unique_ptr<TrainingRun>> make_async_run(const Job& job, const TrainOptions& options, Crew& crew);
std::unique_ptr<TrainingRun> make_peer_run(const Job& job, const TrainOptions& options, Crew& crew);

}  // namespace tideline::train
